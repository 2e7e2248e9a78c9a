"""Options of ``fastfcn predict`` about the result: groups of classes, and certain pixels only."""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastfcn_infer.system import strict_json
from fastfcn_infer.system.excerpt import excerpt

if TYPE_CHECKING:
    from fastfcn_infer.inference.probability.options import ResultOptions

Parsed = dict[str, list[str | int]]

_LARGEST = 1 << 20  # bytes of a file of groups


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    group = parser.add_argument_group("uncertain pixels and groups of classes")
    group.add_argument(
        "--min-confidence",
        type=float,
        metavar="P",
        help="Label pixels whose class is less probable than P, 0 to 1, with 255, which is no class (65535 with more "
        "than 255 classes)",
    )
    group.add_argument(
        "--groups",
        action="append",
        metavar="GROUPS",
        help='Add up the probabilities of classes first: "vehicle=car,bus;nature=tree,grass", or a JSON file of an '
        "object with a list for each group",
    )


def result_options(arguments: argparse.Namespace, kinds: tuple[str, ...]) -> "ResultOptions":
    """Return what `Segmenter.stream` is to do with the scores.

    Args:
        arguments: those of `add_arguments`.
        kinds: of the results that are saved.

    Raises:
        ValueError: the groups are not written as they should be, or their file cannot be read.
    """
    from fastfcn_infer.inference.probability.options import ResultOptions

    return ResultOptions(
        "scores" if "confidence" in kinds else None,
        None if arguments.groups is None else _joined(map(parse_groups, arguments.groups)),
        arguments.min_confidence,
    )


def _joined(several: Iterable[Parsed]) -> Parsed:
    """Put the groups together where the option is given several times."""
    found: Parsed = {}
    for groups in several:
        for name in found.keys() & groups.keys():
            raise ValueError(f"--groups: the group {excerpt(name)} is there twice")
        found |= groups
    return found


def parse_groups(text: str) -> Parsed:
    """Read groups from a command line, or from the JSON file that it names.

    Args:
        text: ``NAME=CLASS,CLASS;NAME=CLASS``, or the path of a file that ends in ``.json``. A class is a name,
            or an index.

    Raises:
        ValueError: it is written in another way, or the file cannot be read.
    """
    if text.lower().endswith(".json"):
        return _from_file(Path(text))
    found: Parsed = {}
    for part in filter(str.strip, text.split(";")):
        name, equals, classes = part.partition("=")
        name = name.strip()
        words = [word.strip() for word in classes.split(",")]
        if not (equals and name and all(words)):
            raise ValueError(
                f"--groups: {excerpt(part)} is no group; NAME=CLASS,CLASS was expected, or a file that ends in .json"
            )
        if name in found:
            raise ValueError(f"--groups: the group {excerpt(name)} is there twice")
        found[name] = [int(word) if word.isdecimal() else word for word in words]
    if not found:
        raise ValueError("--groups is empty; NAME=CLASS,CLASS was expected")
    return found


def _from_file(path: Path) -> Parsed:
    expected = 'an object such as {"vehicle": ["car", "bus"]} was expected'
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise ValueError(f"--groups {path} cannot be read: {error.strerror}") from error
    if len(text) > _LARGEST:
        raise ValueError(f"--groups {path} is larger than {_LARGEST >> 20} MiB; {expected}")
    try:
        found: Any = strict_json.parse(text)
    except ValueError as error:
        raise ValueError(f"--groups {path}: {excerpt(str(error))}; {expected}") from error
    fine = (
        isinstance(found, Mapping)
        and found
        and all(
            isinstance(classes, list)
            and all(isinstance(one, str | int) and not isinstance(one, bool) for one in classes)
            for classes in found.values()
        )
    )
    if not fine:
        raise ValueError(f"--groups {path} holds {excerpt(found)}; {expected}")
    return dict(found)
