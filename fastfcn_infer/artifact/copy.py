"""Copy an artifact: its files as they are, with the description that it was given in memory."""

import shutil
from collections.abc import Iterable
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
from fastfcn_infer.errors import ArtifactError

_PADDLE_DESCRIPTION = "paddle/inference.yml"
_LABEL_LIST = "\nlabel_list:\n"  # the last section of that file


def copy(artifact: Artifact, target: Path, *, force: bool) -> None:
    """Write a copy of an artifact, which gets its name when it is complete.

    The weights, the record of their verification and the golden picture are copied as they are; the
    descriptions say what `artifact.model` says.

    Args:
        artifact: as it was opened from a folder, perhaps with another `model`.
        target: folder of the copy.
        force: replace an artifact of that name.

    Raises:
        ArtifactError: `artifact` is a lone ``.onnx``, or was changed since it was opened; or `target`
            holds something that is no artifact.
        FileExistsError: `target` exists, and `force` is false.
        OSError: a file cannot be read or written.
    """
    _, found = folder_and_manifest(artifact)
    # In another precision the graph is another file; what is copied is the whole artifact.
    model = replace(artifact.model, precision=found.model.precision)
    described = descriptions(model)
    with write_artifact(target, replace=force) as folder, artifact.unchanged(*artifact.files):
        copy_files(artifact, folder, artifact.files.keys() - described.keys())
        for name in artifact.files.keys() & described.keys():
            with artifact.files[name].open("rb") as source, (folder / name).open("wb") as written:
                onnx_metadata.copy_described(source, written, described[name])
        of_paddle = folder / _PADDLE_DESCRIPTION
        if of_paddle.exists():
            of_paddle.write_text(
                _with_names(of_paddle.read_text("utf-8"), model), encoding="utf-8"
            )
        seal(folder, model, found.source, found.verification, found.producer, found.variants)


def copy_files(artifact: Artifact, folder: Path, names: Iterable[str]) -> None:
    """Copy some files of an artifact to the same places in another folder.

    Args:
        artifact: holds them.
        folder: exists.
        names: of `artifact.files`.

    Raises:
        OSError: a file cannot be read or written.
    """
    for name in names:
        written = folder / name
        written.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(artifact.files[name], written)


def folder_and_manifest(artifact: Artifact) -> tuple[Path, manifest.Manifest]:
    """Return the folder of an artifact, and its manifest.

    Raises:
        ArtifactError: it is a lone ``.onnx``, which has neither.
    """
    if artifact.folder is None or artifact.manifest is None:
        raise ArtifactError(
            f"{artifact.files[FORMATS['onnx']]} is a lone .onnx file, without the manifest that says what it "
            "was made from. Give the folder that fastfcn-export wrote."
        )
    return artifact.folder, artifact.manifest


def _with_names(text: str, model: manifest.Model) -> str:
    """Replace the names at the end of an ``inference.yml`` that fastfcn-export wrote."""
    before, section, _ = text.partition(_LABEL_LIST)
    names = "".join(f"- {_quoted(each.name)}\n" for each in model.classes)
    return before + section + names if section else text


def _quoted(name: str) -> str:
    """Quote a text for YAML, as the exporter does: what cannot be printed is escaped."""
    plain = (c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08X}" for c in name)
    return f'"{"".join(plain)}"'
