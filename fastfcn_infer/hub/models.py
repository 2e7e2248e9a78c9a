"""Where a model comes from: the package, a folder, a file, or a name of the catalogue."""

import os
from importlib import resources
from pathlib import Path

from fastfcn_infer.artifact.artifact import Artifact, open_artifact
from fastfcn_infer.hub import catalogue
from fastfcn_infer.hub.conversion import SUFFIXES, Conversion, converted
from fastfcn_infer.system.cache import cache_folder

EMBEDDED = "fastfcn-resnet18-camvid"


def find_model(
    model: str | os.PathLike[str] | None,
    cache: Path | None,
    conversion: Conversion,
    *,
    local_files_only: bool,
) -> Artifact:
    """Find a model and open its artifact, every file checked.

    Args:
        model: artifact folder, ``.onnx``, checkpoint, or a name: of the catalogue, or of the
            embedded model, which None means too.
        cache: folder of downloads and conversions; None: the user's.
        conversion: what the user says about a checkpoint.
        local_files_only: fetch nothing.

    Raises:
        ArtifactError: there is no such model, or it is not whole.
        CheckpointError: the checkpoint cannot be used.
        DownloadError: a checkpoint could not be fetched.
        BackendMissing: a checkpoint needs converting, and no exporter is installed.
    """
    if model is None:
        return _embedded()
    path = Path(model)
    conversions = (cache or cache_folder()) / "artifacts"
    if path.is_file() and path.name.lower().endswith(SUFFIXES):
        return converted(path, conversion, conversions)
    if path.exists() or path == Path(EMBEDDED) or _looks_like_path(model):
        return open_local(path)
    entry = catalogue.find(os.fspath(model))
    checkpoint = catalogue.fetch(entry.name, cache, local_files_only=local_files_only)
    known = Conversion(
        conversion.classes or entry.classes,
        conversion.dialect or entry.dialect,
        conversion.output_stride or entry.output_stride,
    )
    return converted(checkpoint, known, conversions)


def open_local(model: str | os.PathLike[str]) -> Artifact:
    """Open an artifact that is on this machine, every file checked.

    Args:
        model: artifact folder or ``.onnx``; or the embedded model's name, where no file has it.

    Raises:
        ArtifactError: it is not there, or not whole.
    """
    path = Path(model)
    return _embedded() if path == Path(EMBEDDED) and not path.exists() else open_artifact(path)


def _embedded() -> Artifact:
    with resources.as_file(
        resources.files("fastfcn_infer") / "assets" / "models" / EMBEDDED
    ) as folder:
        return open_artifact(folder)


def _looks_like_path(model: str | os.PathLike[str]) -> bool:
    # Names of the catalogue have neither; a path that does not exist is told so, as a path.
    text = os.fspath(model).lower()
    return not isinstance(model, str) or os.sep in text or text.endswith((".onnx", *SUFFIXES))
