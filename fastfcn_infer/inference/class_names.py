"""Find classes by their names or indices, as users give them."""

import difflib
import operator
from collections.abc import Iterable, Sequence
from typing import SupportsIndex, TypeAlias

from fastfcn_infer.system.excerpt import excerpt, printable

Which: TypeAlias = str | SupportsIndex  # a name or an index

_SHOWN = 20  # names in a message


def find_class(names: Sequence[str], which: Which) -> list[int]:
    """Return the indices of a class.

    Args:
        names: of all classes.
        which: a name, of all the classes that share it, or an index.

    Raises:
        ValueError: there is no such class; suggests similar names. Or `which` is neither name nor index.
    """
    if isinstance(which, str):
        indices = [index for index, name in enumerate(names) if name == which]
        if not indices:
            raise ValueError(f"there is no class {which!r}{_alike(names, which)}")
        return indices
    try:
        if isinstance(which, bool):  # of a mask over the classes, perhaps
            raise TypeError
        index = operator.index(which)
    except TypeError as error:
        raise ValueError(
            f"{excerpt(which)} is no class; a name or an index was expected"
        ) from error
    if not 0 <= index < len(names):
        raise ValueError(f"there is no class {index}; expected 0 to {len(names) - 1}")
    return [index]


def as_list(classes: Which | Iterable[Which]) -> list[Which]:
    """Return one class, or several, as a list."""
    if isinstance(classes, str) or not isinstance(classes, Iterable):
        return [classes]
    if isinstance(classes, bytes):  # a name, perhaps, and not the indices that its bytes are
        raise ValueError(f"{excerpt(classes)} is no class; a name or an index was expected")
    return list(classes)


def _alike(names: Sequence[str], name: str) -> str:
    close = difflib.get_close_matches(name, dict.fromkeys(names), cutoff=0.5)
    if close:
        return f"; did you mean {' or '.join(map(repr, close))}?"
    if len(names) <= _SHOWN:
        return f"; the classes are {', '.join(map(printable, names))}"
    return f"; there are {len(names)}, listed in `.names` and by `fastfcn info`"
