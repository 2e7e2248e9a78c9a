"""The self-test that every verified artifact carries: a picture and its exact labels."""

import io
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.artifact import GOLDEN_BANDS as BANDS
from fastfcn_infer.artifact.artifact import GOLDEN_LABELS as LABELS
from fastfcn_infer.artifact.artifact import GOLDEN_PICTURE as PICTURE
from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.artifact.manifest import RGB, Verification
from fastfcn_infer.errors import ArtifactError, ImageError
from fastfcn_infer.picture.header import read_header
from fastfcn_infer.picture.read import DEFAULT_MAX_PIXELS, read_picture
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.opencv import cv2

# Share of the pixels that have to get the exact label in a precision that there is no file of, and so no
# record of a proof.
_REQUIRED = {"bf16": 0.995}


@dataclass(frozen=True)
class Golden:
    """The golden picture and its labels."""

    required: (
        float  # share of the pixels that have to get the exact label in the graph's precision
    )
    picture: NDArray[Any]  # (H, W, 3) RGB uint8; or (H, W, channels), as a user would pass it
    labels: NDArray[Any]  # (H, W), exact: the reference's

    def required_in(self, precision: str) -> float:
        """Return which share of the pixels has to get the exact label in a precision of the arithmetic."""
        return min(self.required, _REQUIRED.get(precision, 1.0))


@dataclass(frozen=True)
class Replay:
    """What the self-test found on this machine."""

    agreement: float  # share of the pixels that have the exact label
    required: float

    @property
    def passed(self) -> bool:
        """Tell whether enough pixels agree."""
        return self.agreement >= self.required


def write_golden(folder: Path, picture: NDArray[Any], labels: NDArray[Any]) -> None:
    """Store the self-test of an artifact that is being made.

    Args:
        folder: of the artifact.
        picture: (H, W, 3) uint8, RGB, stored as PNG; or (H, W, channels), of any type, as an array of NumPy.
        labels: (H, W) uint8 or uint16; stored as a grey picture, the grey being the label.
    """
    (folder / PICTURE).parent.mkdir()
    if picture.shape[2] == RGB:
        (folder / PICTURE).write_bytes(_png(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)))
    else:
        with (folder / BANDS).open("wb") as file:
            np.save(file, picture, allow_pickle=False)
    (folder / LABELS).write_bytes(_png(labels))


def compare(golden: Golden, found: NDArray[Any], precision: str) -> Replay:
    """Compare labels (H, W) that were found for the golden picture with the exact ones.

    Args:
        golden: of the artifact, in the precision of the graph that was run.
        found: the labels.
        precision: of the arithmetic.
    """
    same = found.shape == golden.labels.shape
    agreement = float((found == golden.labels).mean()) if same else 0.0
    return Replay(agreement, golden.required_in(precision))


def carries_golden(artifact: Artifact) -> bool:
    """Tell whether an artifact has a self-test: a lone ``.onnx`` and ``--verify off`` have none."""
    record = None if artifact.manifest is None else artifact.manifest.verification
    return record is not None and {_picture_file(artifact), LABELS} <= set(artifact.files)


def _picture_file(artifact: Artifact) -> str:
    return PICTURE if artifact.model.input.channels == RGB else BANDS


def read_golden(artifact: Artifact) -> Golden:
    """Read the self-test of an artifact.

    Raises:
        ArtifactError: it carries none, one of the two files is no such picture, or was changed since
            the artifact was opened.
    """
    record = None if artifact.manifest is None else artifact.manifest.verification
    if record is None or not carries_golden(artifact):
        raise ArtifactError(
            f"{artifact.folder or artifact.model.name} carries no golden picture: it is a lone "
            ".onnx, or was exported with --verify off. Its files are whole; export the checkpoint "
            "again, with verification, for a self-test."
        )
    try:
        data = artifact.read(_picture_file(artifact))
        rgb = artifact.model.input.channels == RGB
        picture = read_picture(data) if rgb else _array(data, artifact.model.input.channels)
    except ImageError as error:
        raise ArtifactError(f"The golden picture cannot be read: {error}") from error
    labels = _labels(artifact.read(LABELS))
    if labels is None:
        raise ArtifactError(
            f"{artifact.files[LABELS]} is not a grey picture of labels with at most "
            f"{DEFAULT_MAX_PIXELS:,} pixels."
        )
    return Golden(_required(artifact, record), picture, labels)


def _required(artifact: Artifact, record: Verification) -> float:
    variant = artifact.variant
    if variant is None:
        return record.required_agreement
    # A variant that was proven without the golden picture has to do on it as on the held-out ones.
    return variant.agreement.required if variant.golden is None else variant.golden.required


def _array(data: bytes, channels: int) -> NDArray[Any]:
    """Read an array (H, W, channels) from a file of NumPy, without any trust in it.

    Raises:
        ImageError: it is no such array.
    """
    file = io.BytesIO(data)
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("its version is not 1.0")
        shape, by_columns, kind = np.lib.format.read_array_header_1_0(file)
        # Before anything is made of it: a header of a few bytes may describe any size.
        rest = data[file.tell() :]
        if len(shape) != 3 or shape[2] != channels or by_columns or kind.kind not in "uif":
            raise ValueError(f"it is an array of {kind} {shape}")
        if len(rest) != prod(shape) * kind.itemsize or not rest:
            raise ValueError(f"it has {len(rest)} bytes for an array of {kind} {shape}")
    except (ValueError, SyntaxError, TypeError) as error:
        what = printable(str(error), 300)
        raise ImageError(f"an array (H, W, {channels}) was expected, but {what}") from error
    return np.frombuffer(rest, kind).reshape(shape)


def _labels(data: bytes) -> NDArray[Any] | None:
    try:
        header = read_header(data, LABELS)
    except ImageError:
        return None
    # Checked before it is decoded: a small file may hold a picture of gigabytes.
    if header.height * header.width > DEFAULT_MAX_PIXELS:
        return None
    labels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return labels if labels is not None and labels.ndim == 2 else None


def _png(pixels: NDArray[Any]) -> bytes:
    fine, data = cv2.imencode(".png", pixels)
    if not fine:
        raise ValueError(f"OpenCV could not write a PNG of {pixels.dtype} {pixels.shape}")
    return data.tobytes()
