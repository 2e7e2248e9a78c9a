"""Groups of classes: what a user writes, checked against the classes of a model."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import LONGEST_NAME
from fastfcn_infer.inference.class_names import Which, as_list, find_class
from fastfcn_infer.system.excerpt import excerpt

Groups: TypeAlias = Mapping[str, Which | Iterable[Which]]


@dataclass(frozen=True, eq=False)
class Grouping:
    """Classes, some of which are groups of others.

    Args:
        names: of the new classes.
        colors: of the new classes, (C, 3) RGB.
        new: the new class of each old one.
        several: the new classes that are groups of several.
    """

    names: tuple[str, ...]
    colors: NDArray[np.uint8]
    new: tuple[int, ...]
    several: tuple[int, ...]


def as_lists(groups: Groups) -> dict[str, list[Which]]:
    """Read what a user gives once: it may hold iterators, which are empty afterwards.

    Args:
        groups: as `group` takes them. The classes of a set are sorted, as a set has no order of its own.

    Raises:
        ValueError: it is no mapping, or the name of a group is no name of a class.
    """
    if not isinstance(groups, Mapping):
        raise ValueError(
            f'groups is {excerpt(groups)}; a mapping such as {{"vehicle": ["car", "bus"]}} was expected'
        )
    for name in groups:
        given: object = name
        if not isinstance(given, str) or not given.strip() or len(given) > LONGEST_NAME:
            raise ValueError(
                f"{excerpt(name)} is no name of a group; a text of 1 to {LONGEST_NAME} characters was expected"
            )
    return {
        name: sorted(given, key=str) if isinstance(given, Set) else as_list(given)
        for name, given in groups.items()
    }


def group(names: Sequence[str], colors: NDArray[np.uint8], groups: Groups) -> Grouping:
    """Put groups in the place of their classes.

    A group has the place and the colour of the class that it names first. Classes in no group stay what
    they are, in their order.

    Args:
        names: of the classes.
        colors: of the classes, (C, 3) RGB.
        groups: name of a group -> names or indices of its classes; a name is that of all classes that
            share it.

    Raises:
        ValueError: as `as_lists`; or a class does not exist or is in two groups, a group is empty, or has the name of
            a class that is in no group; says all of them.
    """
    group_of: dict[int, str] = {}
    first: dict[int, str] = {}
    faults = []
    for name, given in as_lists(groups).items():
        members: list[int] = []
        if not given:
            faults.append(f"group {name!r} has no classes")
        for which in given:
            try:
                members += find_class(names, which)
            except ValueError as error:
                faults.append(f"group {name!r}: {error}")
        for member in dict.fromkeys(members):
            if member in group_of:
                faults.append(
                    f"class {names[member]!r} is in the groups {group_of[member]!r} and {name!r}"
                )
            group_of[member] = name
        first.update({member: name for member in members[:1]})
    alone = {name for index, name in enumerate(names) if index not in group_of}
    faults += [
        f"group {name!r} has the name of a class that is in no group: put the class into it, or rename it"
        for name in groups
        if name in alone
    ]
    if faults:
        raise ValueError("; ".join(faults))
    old = [index for index in range(len(names)) if index in first or index not in group_of]
    new_names = [first.get(index, names[index]) for index in old]
    place = {first.get(index, index): at for at, index in enumerate(old)}
    new = tuple(place[group_of.get(index, index)] for index in range(len(names)))
    sizes = np.bincount(new, minlength=len(old))
    several = tuple(np.flatnonzero(sizes > 1).tolist())
    return Grouping(tuple(new_names), colors[old], new, several)
