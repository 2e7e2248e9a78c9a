"""Small checkpoints whose first convolution takes other than three channels."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exports import save_checkpoint
from fastfcn_export.dialect.dialect import to_dialect
from fastfcn_export.network.architecture import Architecture
from fastfcn_export.network.primitives import Weights
from fastfcn_export.target.random_weights import random_weights
from networks import CASES

FIRST = "backbone.stem.0.conv.weight"


def network_of(case: str, channels: int) -> tuple[Architecture, Weights]:
    """Return a small network that takes so many channels, with the weights of a checkpoint."""
    architecture = replace(CASES[case][1], channels=channels)
    return architecture, random_weights(architecture)


def save_with_channels(
    case: str, channels: int, folder: Path, first: NDArray[Any] | None = None
) -> Path:
    """Save the checkpoint of such a network; `first` are other weights of its first convolution."""
    architecture, weights = network_of(case, channels)
    changed = {} if first is None else {FIRST: np.asarray(first, np.float32)}
    folder.mkdir(parents=True, exist_ok=True)
    dialect = CASES[case][0]
    return save_checkpoint(
        folder, dialect, to_dialect(dialect, architecture, {**weights, **changed})
    )
