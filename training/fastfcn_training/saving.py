"""Checkpoints of a training: whole or not there, the last few and the best kept.

``RUN/checkpoints/001200/`` holds

``model.safetensors``
    the weights by our names, and what they are (`fastfcn_export.trained`): this file is what
    ``fastfcn-export`` takes;
``optimiser.safetensors``
    what the optimiser remembers of each tensor, as ``TENSOR|KIND``;
``progress.json``
    the recipe, the iteration and the best score so far.

There is no state of random numbers to be saved: everything random in an iteration follows from the
recipe's seed and the iteration's number.
"""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from fastfcn_export.trained import KEY, Trained
from fastfcn_infer import record
from fastfcn_infer.atomic import write_file, write_folder
from fastfcn_infer.errors import CheckpointError
from fastfcn_training.recipe import Recipe

Tensors = Mapping[str, NDArray[Any]]
MODEL, OPTIMISER, PROGRESS = "model.safetensors", "optimiser.safetensors", "progress.json"
_FOLDER = "checkpoints"
_NUMBER = re.compile(r"\d{6,}")


@dataclass(frozen=True)
class Best:
    """The best validation so far: its score, a share of 1, and the iterations behind it."""

    score: float
    iteration: int


@dataclass(frozen=True)
class Progress:
    """How far a training has come.

    Args:
        recipe: of the training.
        iteration: steps that were made.
        world: processes that made them.
        best: None before the first validation.
    """

    recipe: Recipe
    iteration: int
    world: int
    best: Best | None


@dataclass(frozen=True)
class Checkpoint:
    """What a training needs to go on."""

    progress: Progress
    weights: Tensors
    optimiser: Tensors


def save_checkpoint(run: Path, checkpoint: Checkpoint, trained: Trained, *, keep: int) -> Path:
    """Write a checkpoint below `run`; then delete old ones but the last `keep` and the best.

    Returns:
        The checkpoint's folder.

    Raises:
        OSError: it could not be written; the older checkpoints are all there.
    """
    progress = checkpoint.progress
    folder = run / _FOLDER / f"{progress.iteration:06d}"
    if not folder.exists():  # resumed and stopped at once: it is there already
        with write_folder(folder, replace=False) as partial:
            write_file(partial / OPTIMISER, save(_contiguous(checkpoint.optimiser)))
            write_file(partial / MODEL, _model(checkpoint.weights, trained))
            write_file(partial / PROGRESS, record.to_json(progress).encode())
    best = None if progress.best is None else progress.best.iteration
    for old in checkpoints(run)[:-keep]:
        if int(old.name) != best:
            shutil.rmtree(old)
    return folder


def save_weights(path: Path, weights: Tensors, trained: Trained) -> None:
    """Write the weights alone, for `fastfcn-export`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, _model(weights, trained))


def checkpoints(run: Path) -> list[Path]:
    """List the folders of the checkpoints below `run`, by iteration."""
    folder = run / _FOLDER
    found = folder.iterdir() if folder.is_dir() else iter(())
    return sorted((p for p in found if _NUMBER.fullmatch(p.name)), key=lambda p: int(p.name))


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint's folder.

    Raises:
        CheckpointError: files are missing or damaged; names the first one.
    """
    path = folder / PROGRESS
    try:
        progress = record.from_json(Progress, path.read_bytes())
        path = folder / MODEL
        weights = load_file(path)
        path = folder / OPTIMISER
        return Checkpoint(progress, weights, load_file(path))
    except (OSError, record.RecordError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} cannot be read: {error}. Expected a checkpoint that fastfcn-train wrote, with "
            f"{MODEL}, {OPTIMISER} and {PROGRESS}."
        ) from error


def _model(weights: Tensors, trained: Trained) -> bytes:
    metadata = {KEY: json.dumps(record.to_data(trained), ensure_ascii=False)}
    return bytes(save(_contiguous(weights), metadata))


def _contiguous(tensors: Tensors) -> dict[str, NDArray[Any]]:
    return {name: np.ascontiguousarray(array) for name, array in tensors.items()}
