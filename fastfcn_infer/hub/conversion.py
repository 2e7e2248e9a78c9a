"""The one door to the workshop: checkpoints become artifacts in the cache, if it is installed."""

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastfcn_infer.artifact import artifact
from fastfcn_infer.errors import ArtifactError, BackendMissing
from fastfcn_infer.system import atomic
from fastfcn_infer.system.version import __version__

if TYPE_CHECKING:
    from fastfcn_export import Description

SUFFIXES = (".pdparams", ".pth", ".pt", ".tar", ".safetensors")


@dataclass(frozen=True)
class Conversion:
    """What a user says about a checkpoint; None: found, or as its dialect publishes."""

    classes: str | os.PathLike[str] | None = None
    dialect: str | None = None
    output_stride: int | None = None


def converted(checkpoint: Path, conversion: Conversion, cache: Path) -> artifact.Artifact:
    """Convert a checkpoint, or find it converted already.

    Args:
        checkpoint: the file.
        conversion: what the user says about it.
        cache: folder of all conversions; the artifact's name in it holds the hash of the
            checkpoint's bytes, of `conversion` and of our version.

    Raises:
        CheckpointError: it is refused, damaged or fits no network.
        VerificationError: the graph is not the network.
        BackendMissing: the workshop's packages are not installed.
    """
    _check_installed(checkpoint, "fastfcn_export", "onnx")
    from fastfcn_export import Request, export

    key = hashlib.sha256(artifact.hash_file(checkpoint).sha256.encode())
    key.update(repr((conversion, _table_bytes(conversion), __version__)).encode())
    folder = cache / f"{_stem(checkpoint)}-{key.hexdigest()[:16]}"
    atomic.recover(folder)
    if (folder / "manifest.json").exists():
        try:
            return artifact.open_artifact(folder)
        except ArtifactError:
            pass  # damaged since: made again below, in its place
    request = Request(
        classes=conversion.classes,
        dialect=conversion.dialect,
        output_stride=conversion.output_stride,
    )
    export(checkpoint, folder, request, force=True)
    return artifact.open_artifact(folder)


def describe_checkpoint(checkpoint: Path, conversion: Conversion) -> "Description":
    """Say what a checkpoint is, without converting it.

    Raises:
        CheckpointError: it is refused, damaged or fits no network.
        BackendMissing: the workshop is not installed.
    """
    _check_installed(checkpoint, "fastfcn_export")
    from fastfcn_export import Request
    from fastfcn_export import describe_checkpoint as describe

    request = Request(dialect=conversion.dialect, output_stride=conversion.output_stride)
    return describe(checkpoint, request)


def _check_installed(checkpoint: Path, *packages: str) -> None:
    missing = [name for name in packages if not importlib.util.find_spec(name)]
    if missing:
        raise BackendMissing(
            f"{checkpoint} is a checkpoint; what was asked of it needs {' and '.join(missing)}, which "
            'is not installed. Run: pip install "fastfcn-infer[export]"'
        )


def _table_bytes(conversion: Conversion) -> bytes:
    # A user's class file may change under the same name.
    path = None if conversion.classes is None else Path(conversion.classes)
    return path.read_bytes() if path is not None and path.is_file() else b""


def _stem(checkpoint: Path) -> str:
    name = checkpoint.name
    for suffix in (".pth.tar", *SUFFIXES):
        name = name.removesuffix(suffix)
    return name or "checkpoint"
