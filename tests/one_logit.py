"""Small checkpoints with one logit, and their labels computed the way that their authors do."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from exports import save_checkpoint
from fastfcn_export.dialect.dialect import recognise, to_dialect
from fastfcn_export.target.random_weights import random_weights
from fastfcn_export.target.targets import reference
from networks import CASES

Array = NDArray[Any]


def tensors_with_one_logit(case: str) -> dict[str, Array]:
    """Return the checkpoint of a small network whose head has one logit."""
    dialect, architecture, _ = CASES[case]
    architecture = replace(architecture, classes=1)
    return to_dialect(dialect, architecture, random_weights(architecture, seed=3))


def save_with_one_logit(case: str, folder: Path) -> Path:
    """Save such a checkpoint."""
    folder.mkdir(exist_ok=True)
    return save_checkpoint(folder, CASES[case][0], tensors_with_one_logit(case))


def probability(case: str, picture: Array) -> Array:
    """Return the sigmoid of the upsampled logit, (H, W), of a picture that is fed at its own size."""
    network = recognise(tensors_with_one_logit(case), output_stride=CASES[case][2])
    conventions = network.conventions
    scaled = (picture / 255 - np.array(conventions.mean)) / np.array(conventions.std)
    fed = np.ascontiguousarray(scaled.transpose(2, 0, 1)[None], np.float32)
    logit = reference.logits(network.architecture, network.weights, fed)[0, 0]
    assert not conventions.align_corners  # cv2 has no such resize
    height, width = picture.shape[:2]
    full = cv2.resize(logit.astype(np.float64), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(1 / (1 + np.exp(-full)))
