"""Convert checkpoints into artifacts in the cache, using the installed exporter.

The SDK imports no exporter: it finds one through the entry-point group `GROUP`.
"""

import contextlib
import hashlib
import json
import os
import shlex
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast

from fastfcn_infer.artifact import artifact
from fastfcn_infer.artifact.checked_file import hash_file
from fastfcn_infer.artifact.class_table import class_table_names, find_class_table
from fastfcn_infer.artifact.manifest import ClassInfo, Network
from fastfcn_infer.artifact.variant import GraphPrecision
from fastfcn_infer.errors import ArtifactError, BackendError, BackendMissing
from fastfcn_infer.system import atomic
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.install import install
from fastfcn_infer.system.version import __version__

GROUP = "fastfcn_infer.converters"  # of entry points, each a `Converter`
CHECKPOINT = "checkpoint"  # name of the entry point that converts checkpoints

SUFFIXES = (".pdparams", ".pth", ".pt", ".tar", ".safetensors")

_ONE_AT_A_TIME = threading.Lock()  # threads that need the same conversion share the first one's


@dataclass(frozen=True)
class Conversion:
    """What a user specifies about a checkpoint; None: read from it, or its dialect's default."""

    classes: str | os.PathLike[str] | None = None
    dialect: str | None = None
    output_stride: int | None = None
    precision: GraphPrecision = "fp32"


class Description(Protocol):
    """What an exporter says about a checkpoint: a dataclass with at least these fields."""

    @property
    def network(self) -> Network:
        """Dialect, backbone, head, and what was assumed."""

    @property
    def classes(self) -> int:
        """Number of classes."""


class Converter(Protocol):
    """What an entry point of `GROUP` refers to: an exporter, usually a package."""

    def export(
        self,
        checkpoint: Path,
        folder: Path,
        *,
        force: bool,
        classes: str | os.PathLike[str] | None,
        dialect: str | None,
        output_stride: int | None,
        precision: Literal["fp32", "fp16"],
    ) -> object:
        """Write `folder`, an artifact with the graph in ONNX format, and verify it.

        Args:
            checkpoint: the file.
            folder: where the artifact is to be.
            force: replace an existing artifact.
            classes: name of a class table or path of a JSON file; None: from the checkpoint, or
                numbered.
            dialect: None: found from the checkpoint's keys.
            output_stride: of the backbone; None: the dialect's published default.
            precision: of the network's arithmetic.

        Raises:
            CheckpointError: it is refused, damaged or fits no network.
            VerificationError: the graph is not the network.
            FileExistsError: `folder` exists, or was made meanwhile, and `force` is false.
            BackendMissing: a package that the exporter needs is not installed.
        """

    def describe_checkpoint(
        self, checkpoint: Path, *, dialect: str | None, output_stride: int | None
    ) -> Description:
        """Describe a checkpoint; arguments and errors are those of `export`."""


def refuse_int8(checkpoint: str | os.PathLike[str], conversion: Conversion) -> None:
    """Refuse to convert a checkpoint to int8, for which calibration pictures are needed.

    Raises:
        ValueError: int8 is asked for.
    """
    if conversion.precision == "int8":
        folder = f"{_stem(Path(checkpoint))}-int8"
        words = ["fastfcn-export", os.fspath(checkpoint), "-o", folder, "--precision", "int8"]
        raise ValueError(
            f"precision int8 was asked for, and {printable(os.fspath(checkpoint))} is a checkpoint. A graph in int8 is "
            "calibrated with pictures, and proven, before it is used. Export it once, and give that folder: "
            f"{printable(shlex.join(words))} --calibrate PICTURES"
        )


def converted(checkpoint: Path, conversion: Conversion, cache: Path) -> artifact.Artifact:
    """Convert a checkpoint, or find it converted already.

    Args:
        checkpoint: the file.
        conversion: what the user says about it.
        cache: folder of all conversions; the artifact's name in it holds the hash of the
            checkpoint's bytes, of `conversion` and of our version.

    Raises:
        CheckpointError: it is refused, damaged or fits no network.
        ArtifactError: the class table is wrong, or one of the files was changed meanwhile.
        VerificationError: the graph is not the network.
        BackendMissing: no exporter is installed, or a package that it needs is missing.
        BackendError: several exporters are installed.
        ValueError: int8 is asked for.
    """
    refuse_int8(checkpoint, conversion)
    with _ONE_AT_A_TIME:
        return _converted(checkpoint, conversion, cache)


def _converted(checkpoint: Path, conversion: Conversion, cache: Path) -> artifact.Artifact:
    found = _Given(hash_file(checkpoint).sha256, _table(conversion))
    key = hashlib.sha256(repr((found, conversion, __version__)).encode()).hexdigest()
    folder = cache / f"{_stem(checkpoint)}-{key[:16]}"
    atomic.recover(folder)
    if (folder / "manifest.json").exists():
        # One that is damaged, or made of a file that changed meanwhile, is made again in its place.
        with contextlib.suppress(ArtifactError):
            return _opened(folder, found)
        _remove_torn(folder)
    try:
        _converter().export(
            checkpoint,
            folder,
            # Another process may open what it has just made: only what is damaged is replaced.
            force=os.path.lexists(folder),
            classes=conversion.classes,
            dialect=conversion.dialect,
            output_stride=conversion.output_stride,
            precision="fp16" if conversion.precision == "fp16" else "fp32",
        )
    except FileExistsError:  # another process was quicker
        pass
    except BackendMissing as error:
        raise BackendMissing(
            f"{checkpoint} is a checkpoint and has to be converted first. {error}"
        ) from error
    return _opened(folder, found)


def _remove_torn(folder: Path) -> None:
    """Delete a conversion whose manifest is not even JSON, because no export would replace it.

    Only files with the names of a conversion's are deleted, the manifest last: if this is interrupted
    it is repeated. A manifest of something else is JSON; its folder is left alone.
    """
    manifest = folder / "manifest.json"
    try:
        json.loads(manifest.read_bytes())
    except (ValueError, RecursionError):
        for name in (
            artifact.FORMATS["onnx"],
            artifact.GOLDEN_PICTURE,
            artifact.GOLDEN_BANDS,
            artifact.GOLDEN_LABELS,
        ):
            (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (folder / artifact.GOLDEN_LABELS).parent.rmdir()
        manifest.unlink()


@dataclass(frozen=True)
class _Given:
    """What a conversion was asked for: the content of files that may change under their names."""

    sha256: str  # of the checkpoint
    classes: tuple[ClassInfo, ...] | None  # of the user's file; None if there is no such file


def _opened(folder: Path, given: _Given) -> artifact.Artifact:
    """Open a conversion if it is one of what was given.

    Raises:
        ArtifactError: it is damaged, or the checkpoint or the class table has changed.
    """
    found = artifact.open_artifact(folder)
    made_from = None if found.manifest is None else found.manifest.source.sha256
    if made_from != given.sha256:
        raise ArtifactError(
            f"{folder} was made from a checkpoint with the SHA-256 {made_from}, not {given.sha256}: "
            "the checkpoint was changed while it was converted. Try again."
        )
    if given.classes not in (None, found.model.classes):
        raise ArtifactError(
            f"{folder} has other classes than the class table, so the class table was changed while "
            "the checkpoint was converted. Try again."
        )
    return found


def describe_checkpoint(checkpoint: Path, conversion: Conversion) -> Description:
    """Describe a checkpoint without converting it.

    Raises:
        CheckpointError: it is refused, damaged or fits no network.
        BackendMissing: no exporter is installed.
        BackendError: several exporters are installed.
    """
    try:
        return _converter().describe_checkpoint(
            checkpoint, dialect=conversion.dialect, output_stride=conversion.output_stride
        )
    except BackendMissing as error:
        raise BackendMissing(
            f"{checkpoint} is a checkpoint, which only an exporter can read. {error}"
        ) from error


def _converter() -> Converter:
    """Load the one exporter that is installed.

    Several distributions may announce the same one (as an editable installation beside its source
    tree does); different ones are refused, because any choice between them would be arbitrary.
    """
    # Imported late: only a conversion pays for importlib.metadata.
    from importlib.metadata import entry_points

    found = {entry.value: entry for entry in entry_points(group=GROUP, name=CHECKPOINT)}
    if len(found) > 1:
        raise BackendError(
            f"Several packages convert checkpoints: {', '.join(sorted(found))}. Uninstall all but "
            f"one of them (entry points {CHECKPOINT!r} of the group {GROUP!r})."
        )
    if not found:
        raise BackendMissing(f"No exporter is installed. Run: {install('export')}")
    (entry,) = found.values()
    try:
        converter = cast("Converter", entry.load())
        _ = converter.export, converter.describe_checkpoint  # which a package may import only now
        return converter
    except BackendMissing:  # which says already what to do
        raise
    except Exception as error:
        raise BackendMissing(
            f"The exporter {entry.value} cannot be imported: {type(error).__name__}: "
            f"{printable(str(error), 1000)}. "
            f"Run: {install('export')}"
        ) from error


def _table(conversion: Conversion) -> tuple[ClassInfo, ...] | None:
    if conversion.classes is None or conversion.classes in class_table_names():
        return None
    return find_class_table(conversion.classes)


def _stem(checkpoint: Path) -> str:
    name = checkpoint.name
    for suffix in (".pth.tar", *SUFFIXES):
        name = name.removesuffix(suffix)
    return name or "checkpoint"
