"""Checkpoints of a training: whole or not there, the last few and the best kept.

``RUN/checkpoints/001200/`` holds

``model.safetensors``
    the weights by our names, and what they are (`fastfcn_export.dialect.trained`): this file is what
    ``fastfcn-export`` takes;
``optimiser.safetensors``
    what the optimiser remembers of each tensor, as ``TENSOR|KIND``;
``progress.json``
    the recipe, the iteration, the best score so far and the hashes of the other two.

There is no state of random numbers to be saved: everything random in an iteration follows from the
recipe's seed and the iteration's number.
"""

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from fastfcn_export.dialect.trained import KEY, Trained
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system import record
from fastfcn_infer.system.atomic import sweep, write_file, write_folder
from fastfcn_training.recipe.recipe import Recipe

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
class LossScale:
    """What mixed precision remembers from step to step.

    Args:
        factor: of the losses.
        good: steps in a row whose gradients were finite.
        bad: steps in a row whose gradients were not, and which were left out.
    """

    factor: float
    good: int
    bad: int


@dataclass(frozen=True)
class Progress:
    """How far a training has come.

    Args:
        recipe: of the training.
        iteration: steps that were made.
        world: processes that made them.
        best: None before the first validation.
        samples: pictures that were learned from; None: not known.
        loss_scale: of mixed precision.
        sha256: of the files beside this one, hexadecimal; those that are not here are not checked.
    """

    recipe: Recipe
    iteration: int
    world: int
    best: Best | None
    samples: int | None = None
    loss_scale: LossScale | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """What a training needs to go on."""

    progress: Progress
    weights: Tensors
    optimiser: Tensors


def save_checkpoint(run: Path, checkpoint: Checkpoint, trained: Trained, *, keep: int) -> Path:
    """Write a checkpoint below `run`; then delete older ones but the last `keep` and the best.

    One of the same iteration that is there already was left behind by a training that went on from
    an earlier one; it is replaced.

    Returns:
        The checkpoint's folder.

    Raises:
        OSError: it could not be written; the older checkpoints are all there.
    """
    progress = checkpoint.progress
    files = {
        OPTIMISER: save(_contiguous(checkpoint.optimiser)),
        MODEL: _model(checkpoint.weights, trained),
    }
    progress = replace(progress, sha256={name: _hash(data) for name, data in files.items()})
    folder = run / _FOLDER / f"{progress.iteration:06d}"
    if folder.exists():
        _remove(folder)
    with write_folder(folder, replace=False) as partial:
        for name, data in files.items():
            write_file(partial / name, data)
        write_file(partial / PROGRESS, record.to_json(progress).encode())
    best = None if progress.best is None else progress.best.iteration
    older = [old for old in checkpoints(run) if int(old.name) <= progress.iteration]
    for old in older[:-keep]:
        if int(old.name) != best:
            _remove(old)
    return folder


def save_weights(path: Path, weights: Tensors, trained: Trained) -> None:
    """Write the weights alone, for `fastfcn-export`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, _model(weights, trained))


def clean(run: Path) -> None:
    """Delete what killed trainings left half-written; no other may be writing into `run`."""
    for folder in (run, run / _FOLDER):
        sweep(folder, older_than=0)


def checkpoints(run: Path) -> list[Path]:
    """List the folders of the checkpoints below `run`, by iteration."""
    folder = run / _FOLDER
    found = folder.iterdir() if folder.is_dir() else iter(())
    return sorted((p for p in found if _NUMBER.fullmatch(p.name)), key=lambda p: int(p.name))


def open_checkpoint(path: Path) -> Checkpoint:
    """Read the last checkpoint of a run, or one that is named.

    Args:
        path: folder of a run, or of one of its checkpoints.

    Raises:
        CheckpointError: there is none; or it is damaged: names the file, and the last checkpoint
            of the run that is not.
    """
    if (path / PROGRESS).exists():
        return load_checkpoint(path)
    found = checkpoints(path)
    if not found:
        raise CheckpointError(
            f"{path} holds no checkpoint of a training. Expected the folder of a run, with "
            f"{_FOLDER}/NUMBER in it, or of one of its checkpoints, with {PROGRESS}"
        )
    try:
        return load_checkpoint(found[-1])
    except CheckpointError as error:
        whole = next((older for older in found[-2::-1] if _whole(older)), None)
        advice = "None of the older ones is whole" if whole is None else f"Go on from {whole}"
        raise CheckpointError(f"{error} {advice}.") from error


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint's folder.

    Raises:
        CheckpointError: files are missing or damaged; names the first one.
    """
    path = folder / PROGRESS
    try:
        progress = record.from_json(Progress, path.read_bytes())
        path = folder / MODEL
        weights = _tensors(path, progress)
        path = folder / OPTIMISER
        return Checkpoint(progress, weights, _tensors(path, progress))
    except (OSError, record.RecordError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} cannot be read: {error}. Expected a checkpoint that fastfcn-train wrote, with "
            f"{MODEL}, {OPTIMISER} and {PROGRESS}."
        ) from error


def _tensors(path: Path, progress: Progress) -> Tensors:
    data = path.read_bytes()
    found = _hash(data)
    wanted = progress.sha256.get(path.name, found)
    if found != wanted:
        raise CheckpointError(
            f"{path} is damaged: its SHA-256 is {found}, but what was written had {wanted}."
        )
    tensors: Tensors = load(data)
    return tensors


def _whole(folder: Path) -> bool:
    try:
        load_checkpoint(folder)
    except CheckpointError:
        return False
    return True


def _remove(folder: Path) -> None:
    # Under another name first: half a checkpoint must not have the name of a whole one.
    doomed = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}.partial")
    folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)  # what is left, `clean` finds


def _model(weights: Tensors, trained: Trained) -> bytes:
    metadata = {KEY: json.dumps(record.to_data(trained), ensure_ascii=False)}
    return bytes(save(_contiguous(weights), metadata))


def _contiguous(tensors: Tensors) -> dict[str, NDArray[Any]]:
    return {name: np.ascontiguousarray(array) for name, array in tensors.items()}


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
