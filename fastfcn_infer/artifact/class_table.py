"""Names and colours of classes: the published tables, a user's own, or numbers where names are unknown."""

import os
from importlib import resources
from pathlib import Path

from fastfcn_infer.artifact.manifest import MOST_CLASSES, ClassInfo
from fastfcn_infer.errors import ArtifactError, UnknownClassTable
from fastfcn_infer.system import record
from fastfcn_infer.system.small_file import LargerFileError, read_small_file

_FOLDER = resources.files("fastfcn_infer") / "assets" / "classes"


def class_table_names() -> tuple[str, ...]:
    """List the tables that come with the package, in alphabetical order."""
    files = (file.name for file in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in files if name.endswith(".json")))


def class_table(name: str) -> tuple[ClassInfo, ...]:
    """Return a table that comes with the package, in the order of the labels.

    Two classes of ADE20K are both called "screen", and two have the same colour, as published.

    Raises:
        UnknownClassTable: there is no such table; lists those that exist.
    """
    if name not in class_table_names():
        known = ", ".join(class_table_names())
        raise UnknownClassTable(f"there is no class table {name!r}; expected one of {known}")
    return _read((_FOLDER / f"{name}.json").read_bytes(), name)


def find_class_table(table: str | os.PathLike[str]) -> tuple[ClassInfo, ...]:
    """Return a table by its name, or read it from the path of a user's file.

    Raises:
        UnknownClassTable: it is neither; lists the names.
        ArtifactError: the file cannot be opened or is no class table.
    """
    if isinstance(table, str) and table in class_table_names():
        return class_table(table)
    if isinstance(table, str) and not Path(table).exists():
        known = ", ".join(class_table_names())
        raise UnknownClassTable(
            f"there is no class table {table!r}; expected one of {known}, or the path of a JSON file"
        )
    return read_class_table(os.fspath(table))


def tables_of(count: int) -> tuple[str, ...]:
    """List the tables that come with the package and have `count` classes."""
    return tuple(name for name in class_table_names() if len(class_table(name)) == count)


def read_class_table(path: str | Path) -> tuple[ClassInfo, ...]:
    """Read a user's table: a JSON list of ``{"name": "road", "color": [128, 64, 128]}``.

    Args:
        path: the file; the position in the list is the label, the colour is R, G, B, each 0..255.

    Raises:
        ArtifactError: the file cannot be opened or is no such list; lists every fault.
    """
    try:
        text = read_small_file(path)
    except LargerFileError as error:
        raise ArtifactError(f"the class table {error}") from error
    except OSError as error:
        raise ArtifactError(
            f"the class table {path} cannot be opened: {error.strerror}"
        ) from error
    return _read(text, str(path))


def numbered_classes(count: int) -> tuple[ClassInfo, ...]:
    """Return a table for a model whose class names are unknown: "class 0", "class 1", ...

    Raises:
        ValueError: `count` is not in 1..65535.

    Source: the colours follow PASCAL VOC's formula: the bits of the label, three by three from the
    lowest, become the bits of R, G and B from the highest.
    """
    if not 1 <= count <= MOST_CLASSES:
        raise ValueError(f"{count} classes; 1 to {MOST_CLASSES} were expected")
    return tuple(ClassInfo(f"class {label}", _voc_color(label)) for label in range(count))


def _voc_color(label: int) -> tuple[int, int, int]:
    red, green, blue = (
        sum((label >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8))
        for channel in range(3)
    )
    return red, green, blue


def _read(text: bytes, where: str) -> tuple[ClassInfo, ...]:
    kind: type[tuple[ClassInfo, ...]] = tuple[ClassInfo, ...]
    try:
        table = record.from_json(kind, text)
    except record.RecordError as error:
        raise ArtifactError(
            f"{where} is not a class table: {error}. "
            'Expected a list of {"name": "road", "color": [128, 64, 128]}.'
        ) from error
    if not 1 <= len(table) <= MOST_CLASSES:
        raise ArtifactError(
            f"{where} has {len(table)} classes; 1 to {MOST_CLASSES} were expected."
        )
    return table
