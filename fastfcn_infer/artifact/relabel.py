"""Give an artifact other names and colours of its classes; the graph stays as it is."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

from fastfcn_infer.artifact import manifest, onnx_metadata
from fastfcn_infer.artifact.artifact import (
    FORMATS,
    Artifact,
    descriptions,
    seal,
    write_artifact,
)
from fastfcn_infer.artifact.class_table import find_class_table, tables_of
from fastfcn_infer.artifact.manifest import ClassInfo
from fastfcn_infer.errors import ArtifactError

_PADDLE_DESCRIPTION = "paddle/inference.yml"
_LABEL_LIST = "\nlabel_list:\n"  # the last section of that file


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
    found = artifact.manifest
    if found is None:
        raise ArtifactError(
            f"{artifact.files[FORMATS['onnx']]} is a lone .onnx file, without the record of what it "
            "was made from. Give the folder that fastfcn-export wrote."
        )
    model = replace(with_classes(artifact, classes).model, precision=found.model.precision)
    described = descriptions(model)
    with write_artifact(target, replace=force) as folder, artifact.unchanged(*artifact.files):
        for name, path in artifact.files.items():
            copy = folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            if name in described:
                with path.open("rb") as source, copy.open("wb") as written:
                    onnx_metadata.copy_described(source, written, described[name])
            elif name == _PADDLE_DESCRIPTION:
                copy.write_text(_with_names(path.read_text("utf-8"), model), encoding="utf-8")
            else:
                shutil.copyfile(path, copy)
        seal(folder, model, found.source, found.verification, found.producer, found.variants)


def _with_names(text: str, model: manifest.Model) -> str:
    """Replace the names at the end of an ``inference.yml`` that fastfcn-export wrote."""
    before, section, _ = text.partition(_LABEL_LIST)
    names = "".join(f"- {_quoted(each.name)}\n" for each in model.classes)
    return before + section + names if section else text


def _quoted(name: str) -> str:
    """Quote a text for YAML, as the exporter does: what cannot be printed is escaped."""
    plain = (c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08X}" for c in name)
    return f'"{"".join(plain)}"'
