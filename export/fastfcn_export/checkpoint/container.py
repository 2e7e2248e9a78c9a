"""The contract of a container: how one kind of checkpoint file holds named tensors.

Every file in `containers/` is an instance: a module with the two functions of `Container`. The
folder is the registry; the kind of a file is recognised by its first bytes, never by its name.

Where files of a kind carry texts beside the tensors, the module also offers ``note`` (see `Annotated`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

HEAD_BYTES = 512
"""How much of a file's start `matches` gets: enough for a tar archive's mark, which lies at 257."""


@dataclass(frozen=True)
class Contents:
    """What a file holds, as it lies there; a value is made of a part only when it is asked for.

    So what stands beside the tensors that are needed costs nothing and cannot spoil anything.

    Attributes:
        tree: nested dicts with text or small numbers for keys, lists, tuples and plain values; the
            container's own records where the file describes anything else.
        convert: makes plain values and read-only NumPy arrays of a part of the tree. No kept copy
            is larger than the file. Raises CheckpointError where the part is damaged, asks for more
            than the file holds or needs code.
        is_tensor: tells of a part of the tree whether a tensor would be made of it.
        skipped: names of classes and functions that would build what is not read.
    """

    tree: object
    convert: Callable[[object], object]
    is_tensor: Callable[[object], bool]
    skipped: tuple[str, ...] = ()


class Container(Protocol):
    """What a module in `containers/` provides."""

    def matches(self, head: bytes) -> bool:
        """Tell whether a file that starts with `head` (at most `HEAD_BYTES`) is of this kind.

        At most one container may say yes to any head.
        """

    def read(self, data: memoryview) -> Contents:
        """Read a whole file of this kind without running anything that it names.

        Args:
            data: the bytes of the file, read-only; arrays are views of it.

        Raises:
            CheckpointError: the file is damaged, names code that could do harm, or is larger than any
                checkpoint.
        """


@runtime_checkable
class Annotated(Protocol):
    """What a module in `containers/` provides if files of its kind carry texts beside the tensors."""

    def note(self, data: memoryview, name: str) -> str | None:
        """Read the text called `name`, as untrusted as the rest; None if absent.

        Raises:
            CheckpointError: the file is damaged.
        """
