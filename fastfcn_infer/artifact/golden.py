"""The self-test that every verified artifact carries: a picture and its exact labels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.artifact import GOLDEN_LABELS as LABELS
from fastfcn_infer.artifact.artifact import GOLDEN_PICTURE as PICTURE
from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.artifact.manifest import Verification
from fastfcn_infer.errors import ArtifactError, ImageError
from fastfcn_infer.picture.header import read_header
from fastfcn_infer.picture.read import DEFAULT_MAX_PIXELS, read_picture


@dataclass(frozen=True)
class Golden:
    """The golden picture and its labels."""

    record: Verification
    picture: NDArray[np.uint8]  # (H, W, 3) RGB
    labels: NDArray[Any]  # (H, W), exact: the reference's


@dataclass(frozen=True)
class Replay:
    """What the self-test found on this machine."""

    agreement: float  # share of the pixels that have the exact label
    required: float

    @property
    def passed(self) -> bool:
        """Tell whether enough pixels agree."""
        return self.agreement >= self.required


def write_golden(folder: Path, picture: NDArray[np.uint8], labels: NDArray[Any]) -> None:
    """Store the self-test of an artifact that is being made.

    Args:
        folder: of the artifact.
        picture: (H, W, 3) uint8, RGB.
        labels: (H, W) uint8 or uint16; stored as a grey picture, the grey being the label.
    """
    (folder / PICTURE).parent.mkdir()
    (folder / PICTURE).write_bytes(_png(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)))
    (folder / LABELS).write_bytes(_png(labels))


def compare(golden: Golden, found: NDArray[Any]) -> Replay:
    """Compare labels (H, W) that were found for the golden picture with the exact ones."""
    same = found.shape == golden.labels.shape
    agreement = float((found == golden.labels).mean()) if same else 0.0
    return Replay(agreement, golden.record.required_agreement)


def carries_golden(artifact: Artifact) -> bool:
    """Tell whether an artifact has a self-test: a lone ``.onnx`` and ``--verify off`` have none."""
    record = None if artifact.manifest is None else artifact.manifest.verification
    return record is not None and {PICTURE, LABELS} <= set(artifact.files)


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
        picture = read_picture(artifact.read(PICTURE))
    except ImageError as error:
        raise ArtifactError(f"The golden picture cannot be read: {error}") from error
    labels = _labels(artifact.read(LABELS))
    if labels is None:
        raise ArtifactError(
            f"{artifact.files[LABELS]} is not a grey picture of labels with at most "
            f"{DEFAULT_MAX_PIXELS:,} pixels."
        )
    return Golden(record, picture, labels)


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
