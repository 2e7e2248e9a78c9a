"""Find a model: embedded, a folder, a file, on the Hugging Face Hub, or in the catalogue."""

import os
from importlib import resources
from pathlib import Path

from fastfcn_infer.artifact.artifact import Artifact, open_artifact
from fastfcn_infer.artifact.class_table import class_table
from fastfcn_infer.artifact.relabel import table_of_count, with_classes
from fastfcn_infer.errors import ArtifactError, DownloadError
from fastfcn_infer.hub import catalogue
from fastfcn_infer.hub.conversion import SUFFIXES, Conversion, converted, refuse_int8
from fastfcn_infer.hub.download import HUB, download_artifact, parse_hub_name
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
        model: artifact folder, ``.onnx``, checkpoint, ``hub:OWNER/NAME[@REVISION]``, or a name: of
            the catalogue, or of the embedded model, which None means too.
        cache: folder of downloads and conversions; None: the user's. Models that are on this
            machine already, and checkpoints apart, need none.
        conversion: what the user says about a checkpoint; its classes rename those of an artifact.
        local_files_only: download nothing.

    Raises:
        ValueError: `conversion` has something that does not apply to this model.
        ArtifactError: there is no such model, or it is incomplete.
        CheckpointError: the checkpoint cannot be used.
        DownloadError: a file could not be downloaded, or the cache cannot be used.
        BackendMissing: a checkpoint needs converting, and the exporter is not installed; or a file
            has to be downloaded, and the extra ``hub`` is not installed.
    """
    path = None if model is None else Path(model)
    if path is not None and path.is_file() and path.name.lower().endswith(SUFFIXES):
        return _convert(path, conversion, cache)
    if model is None or _is_artifact(model):
        return _artifact(model, cache, conversion, local_files_only=local_files_only)
    entry = catalogue.find(os.fspath(model))
    if conversion.dialect not in (None, entry.dialect):
        raise ValueError(
            f"dialect {conversion.dialect!r} (--dialect) contradicts the catalogue: {entry.name} is a "
            f"checkpoint of the dialect {entry.dialect!r}. Leave it out."
        )
    refuse_int8(entry.name, conversion)  # before anything is downloaded
    if conversion.classes is not None:
        table_of_count(conversion.classes, len(class_table(entry.classes)), entry.name)
    checkpoint = catalogue.fetch(entry.name, cache, local_files_only=local_files_only)
    known = Conversion(
        conversion.classes or entry.classes,
        entry.dialect,
        conversion.output_stride or entry.output_stride,
        conversion.precision,
    )
    return _convert(checkpoint, known, cache)


def find_entry(model: str) -> catalogue.Entry | None:
    """Find what the catalogue says of a name; None for a path, an artifact on the Hub, and the embedded model.

    Raises:
        ArtifactError: it is none of these, and no name of the catalogue; the message has similar ones.
    """
    return None if _is_artifact(model) else catalogue.find(model)


def refuse_checkpoint_options(model: str, conversion: Conversion) -> None:
    """Refuse what says how a checkpoint is converted, of an artifact, which was converted already.

    Raises:
        ValueError: a dialect or an output stride is given.
    """
    given = {
        "dialect": (conversion.dialect, "--dialect"),
        "output_stride": (conversion.output_stride, "--output-stride"),
    }
    said = [
        f"{name} {value!r} ({option})"
        for name, (value, option) in given.items()
        if value is not None
    ]
    if said:
        raise ValueError(
            f"{' and '.join(said)} cannot apply to {model}: it is an artifact, in which the network is "
            "frozen as it was exported. Leave out what is for checkpoints, or export the checkpoint "
            "again with it."
        )


def _artifact(
    model: str | os.PathLike[str] | None,
    cache: Path | None,
    conversion: Conversion,
    *,
    local_files_only: bool,
) -> Artifact:
    """Open an artifact, with the classes that the user gives."""
    name = EMBEDDED if model is None else os.fspath(model)
    if model is None or _is_hub_name(model):  # before anything is downloaded
        refuse_checkpoint_options(name, conversion)
    found = (
        _embedded()
        if model is None
        else find_artifact(model, cache, local_files_only=local_files_only)
    )
    refuse_checkpoint_options(name, conversion)
    return found if conversion.classes is None else with_classes(found, conversion.classes)


def find_artifact(
    model: str | os.PathLike[str], cache: Path | None, *, local_files_only: bool
) -> Artifact:
    """Open an artifact, every file checked; nothing is converted.

    Args:
        model: artifact folder, ``.onnx``, ``hub:OWNER/NAME[@REVISION]``, or the embedded model's name
            if no file has it.
        cache: folder of downloads; None: the user's.
        local_files_only: download nothing.

    Raises:
        ArtifactError: it does not exist, or is incomplete.
        DownloadError: it could not be downloaded.
        BackendMissing: it has to be downloaded, and the extra ``hub`` is not installed.
    """
    if _is_hub_name(model):
        return _from_hub(os.fspath(model), cache, local_files_only=local_files_only)
    path = Path(model)
    return _embedded() if path == Path(EMBEDDED) and not path.exists() else open_artifact(path)


def _from_hub(name: str, cache: Path | None, *, local_files_only: bool) -> Artifact:
    parse_hub_name(name)  # a wrong name is an error where no cache can be had, too
    folder = download_artifact(
        name, (cache or cache_folder()) / "hub", local_files_only=local_files_only
    )
    try:
        return open_artifact(folder)
    except ArtifactError as error:
        raise ArtifactError(
            f"{name} was downloaded, but {error} To download it again, delete {folder.parents[1]}."
        ) from error


def _convert(checkpoint: Path, conversion: Conversion, cache: Path | None) -> Artifact:
    folder = (cache or cache_folder()) / "artifacts"
    try:
        return converted(checkpoint, conversion, folder)
    except OSError as error:
        if error.filename is not None and Path(error.filename) == checkpoint:
            raise
        raise DownloadError(
            f"{checkpoint} was not converted: {folder} cannot be used: "
            f"{error.strerror or error}. Choose a folder that you can write to and that has room: cache_dir, "
            "--cache-dir or FASTFCN_CACHE."
        ) from error


def _embedded() -> Artifact:
    with resources.as_file(
        resources.files("fastfcn_infer") / "assets" / "models" / EMBEDDED
    ) as folder:
        return open_artifact(folder)


def _is_artifact(model: str | os.PathLike[str]) -> bool:
    # A path that does not exist is reported as a path, and not as an unknown name.
    text = os.fspath(model).lower()
    return (
        _is_hub_name(model)
        or os.fspath(model) == EMBEDDED
        or not isinstance(model, str)
        or os.sep in text
        or text.endswith((".onnx", *SUFFIXES))
        or Path(model).exists()
    )


def _is_hub_name(model: str | os.PathLike[str]) -> bool:
    return isinstance(model, str) and model.startswith(HUB)
