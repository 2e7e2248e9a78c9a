"""Give an artifact other names and colours of its classes; the graph stays as it is."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.artifact.class_table import find_class_table, tables_of
from fastfcn_infer.artifact.copy import copy
from fastfcn_infer.artifact.manifest import ClassInfo
from fastfcn_infer.picture.palette import Palette, palette


def with_classes(artifact: Artifact, classes: str | os.PathLike[str]) -> Artifact:
    """Return an opened artifact with other names and colours; its files are not changed.

    Args:
        artifact: as it was opened.
        classes: name of a class table, or path of a JSON file.

    Raises:
        ArtifactError: there is no such table, or it is not one.
        ValueError: it has another number of classes than the model.
    """
    expected, name = len(artifact.model.classes), artifact.model.name
    table = table_of_count(classes, expected, name)
    return replace(artifact, model=replace(artifact.model, classes=table))


def with_palette(artifact: Artifact, name: Palette) -> Artifact:
    """Return an opened artifact with the colours of a palette; its files are not changed.

    Raises:
        ValueError: there is no such palette.
    """
    classes = artifact.model.classes
    colors = palette(name, np.array([one.color for one in classes], np.uint8)).tolist()
    colored = tuple(
        replace(one, color=(red, green, blue))
        for one, (red, green, blue) in zip(classes, colors, strict=True)
    )
    return replace(artifact, model=replace(artifact.model, classes=colored))


def table_of_count(
    classes: str | os.PathLike[str], count: int, model: str
) -> tuple[ClassInfo, ...]:
    """Find the class table that is to rename the `count` classes of a model.

    Raises:
        ArtifactError: there is no such table, or it is not one.
        ValueError: it has another number of classes.
    """
    table = find_class_table(classes)
    if len(table) != count:
        fitting = tables_of(count)
        hint = f" Tables with {count}: {', '.join(fitting)}." if fitting else ""
        raise ValueError(
            f"classes {os.fspath(classes)!r} (--classes) has {len(table)} classes, and the model {model} "
            f"has {count}; a table renames the classes of a model and cannot change their number.{hint}"
        )
    return table


def relabel(
    artifact: Artifact, classes: str | os.PathLike[str], target: Path, *, force: bool = False
) -> None:
    """Write a copy of an artifact with other names and colours of its classes.

    The weights, also those in other precisions, the records of their verification and the golden
    picture are copied as they are.

    Args:
        artifact: as it was opened from a folder.
        classes: name of a class table, or path of a JSON file.
        target: folder of the copy.
        force: replace an artifact of that name.

    Raises:
        ArtifactError: there is no such table; `artifact` is a lone ``.onnx``, or was changed since it
            was opened; `target` holds something else.
        ValueError: the table has another number of classes than the model.
        FileExistsError: `target` exists, and `force` is false.
        OSError: a file cannot be read or written.
    """
    copy(with_classes(artifact, classes), target, force=force)
