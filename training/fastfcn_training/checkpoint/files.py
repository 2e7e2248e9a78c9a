"""Checkpoints of a training: written whole or not at all; the last few and the best are kept.

``RUN/checkpoints/001200/`` holds

``model.safetensors``
    the weights by our names and their description (`fastfcn_export.dialect.trained`): this file is
    what ``fastfcn-export`` takes;
``optimiser.safetensors``
    the optimiser's state of each tensor, as ``TENSOR|KIND``;
``progress.json``
    the recipe, the iteration, the best score so far and the hashes of the other two.

No state of random numbers is saved: everything random in an iteration follows from the recipe's
seed and the iteration's number. Only these files are ever deleted from a checkpoint's folder.
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
from fastfcn_infer.artifact.manifest import ClassInfo, TrainedOn
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system import record
from fastfcn_infer.system.atomic import sweep, write_file, write_folder
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.writing import make_folder
from fastfcn_training.recipe.recipe import Recipe

Tensors = Mapping[str, NDArray[Any]]
MODEL, OPTIMISER, PROGRESS = "model.safetensors", "optimiser.safetensors", "progress.json"
BEST, LAST = "best.safetensors", "model.safetensors"  # in a run's folder: weights alone
_FILES = (OPTIMISER, MODEL, PROGRESS)  # in the order in which they are written
_FOLDER = "checkpoints"
_NUMBER = re.compile(r"\d{6,}")


@dataclass(frozen=True)
class Best:
    """The best validation so far: its score, 0 to 1, and the iteration it came after."""

    score: float
    iteration: int


@dataclass(frozen=True)
class LossScale:
    """State of the loss scaling in mixed precision.

    Args:
        factor: of the losses.
        good: consecutive steps with finite gradients.
        bad: consecutive steps without, which were skipped.
    """

    factor: float
    good: int
    bad: int


@dataclass(frozen=True)
class Progress:
    """How far a training has come; the content of ``progress.json``.

    Args:
        recipe: of the training.
        iteration: steps made.
        world: number of processes that made them.
        best: None before the first validation.
        samples: pictures in the training part; None if unknown.
        loss_scale: of mixed precision.
        sha256: of the other two files, hexadecimal; empty in old checkpoints, which are not checked.
        trained_on: the pictures that the weights learned from; empty in old checkpoints.
    """

    recipe: Recipe
    iteration: int
    world: int
    best: Best | None
    samples: int | None = None
    loss_scale: LossScale | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)
    trained_on: tuple[TrainedOn, ...] = field(default=(), metadata=record.OMITTED)


@dataclass(frozen=True)
class Checkpoint:
    """Everything needed to resume a training."""

    progress: Progress
    weights: Tensors
    optimiser: Tensors


def describe(
    recipe: Recipe,
    classes: tuple[ClassInfo, ...],
    iterations: int,
    trained_on: tuple[TrainedOn, ...] = (),
) -> Trained:
    """Describe the network of a recipe after some iterations, with its conventions."""
    return Trained(
        format_version=1,
        network=recipe.network,
        classes=classes,
        align_corners=recipe.align_corners,
        mean=recipe.data.mean,
        std=recipe.data.std,
        padding=recipe.augmentation.padding,
        dataset=f"{recipe.data.dataset} {recipe.data.split}",
        iterations=iterations,
        convention=recipe.convention,
        resize=recipe.resize,
        trained_on=trained_on,
    )


def save_checkpoint(run: Path, checkpoint: Checkpoint, trained: Trained, *, keep: int) -> Path:
    """Write a checkpoint below `run`; then delete older ones except the last `keep` and the best.

    An existing one of the same iteration is replaced: it is left from before the training was
    resumed from an earlier checkpoint.

    Returns:
        The checkpoint's folder.

    Raises:
        OSError: it could not be written; the older checkpoints are intact.
    """
    progress = checkpoint.progress
    files: dict[str, bytes] = {
        OPTIMISER: save(_contiguous(checkpoint.optimiser)),
        MODEL: _model(checkpoint.weights, trained),
    }
    progress = replace(progress, sha256={name: _hash(data) for name, data in files.items()})
    # Last: it makes the folder a checkpoint.
    files[PROGRESS] = record.to_json(progress).encode("utf-8", "backslashreplace")
    folder = checkpoint_folder(run, progress.iteration)
    if folder.exists():
        _remove(folder)
    if folder.exists():  # with files that are not ours
        _write(folder, files)
    else:
        with write_folder(folder, replace=None) as partial:
            _write(partial, files)
    best = None if progress.best is None else progress.best.iteration
    older = [old for old in checkpoints(run) if int(old.name) <= progress.iteration]
    for old in older[:-keep]:
        if int(old.name) != best:
            _remove(old)
    return folder


def save_weights(path: Path, weights: Tensors, trained: Trained) -> None:
    """Write the weights alone, as `fastfcn-export` takes them."""
    make_folder(path.parent)
    write_file(path, _model(weights, trained))


def clean(run: Path) -> None:
    """Delete half-written files of killed trainings; no other training may be writing to `run`."""
    for folder in (run, run / _FOLDER):
        sweep(folder, older_than=0)


def checkpoint_folder(run: Path, iteration: int) -> Path:
    """Give the folder of a checkpoint, which need not exist."""
    return run / _FOLDER / f"{iteration:06d}"


def checkpoints(run: Path) -> list[Path]:
    """List the folders of the checkpoints below `run`, by iteration; some may be damaged."""
    folder = run / _FOLDER
    found = folder.iterdir() if folder.is_dir() else iter(())
    return sorted((p for p in found if _is_checkpoint(p)), key=lambda p: int(p.name))


def open_checkpoint(path: Path) -> Checkpoint:
    """Read the last checkpoint of a run, or a particular one.

    Args:
        path: folder of a run, or of one of its checkpoints.

    Raises:
        CheckpointError: there is none; or it is damaged: names the file, and the last intact
            checkpoint of the run.
    """
    if (path / PROGRESS).exists():
        return load_checkpoint(path)
    found = checkpoints(path)
    if not found:
        raise CheckpointError(
            f"{path} holds no checkpoint of a training. Expected the folder of a run, with "
            f"{_FOLDER}/NUMBER in it, or of one of its checkpoints, with {PROGRESS} in it"
        )
    try:
        return load_checkpoint(found[-1])
    except CheckpointError as error:
        whole = next((older for older in found[-2::-1] if _whole(older)), None)
        advice = "None of the older ones is intact" if whole is None else f"Resume from {whole}"
        raise CheckpointError(f"{error} {advice}.") from error


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read the checkpoint in a folder.

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
            f"{path} cannot be read: {printable(str(error), 2000)}. Expected a checkpoint that fastfcn-train wrote, with "
            f"{MODEL}, {OPTIMISER} and {PROGRESS}."
        ) from error


def _tensors(path: Path, progress: Progress) -> Tensors:
    data = path.read_bytes()
    found = _hash(data)
    wanted = progress.sha256.get(path.name, found)
    if found != wanted:
        raise CheckpointError(
            f"{path} is damaged: its SHA-256 is {found}, but {wanted} was written."
        )
    tensors: Tensors = load(data)
    return tensors


def _whole(folder: Path) -> bool:
    try:
        load_checkpoint(folder)
    except CheckpointError:
        return False
    return True


def _is_checkpoint(path: Path) -> bool:
    if not _NUMBER.fullmatch(path.name):
        return False
    return any((path / name).is_file() for name in _FILES)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        write_file(folder / name, data)


def _remove(folder: Path) -> None:
    """Delete a checkpoint; other files in its folder are the user's and stay."""
    if {path.name for path in folder.iterdir()} <= set(_FILES):
        # Under another name first: half a checkpoint must not have the name of a whole one.
        doomed = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}.partial")
        folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)  # `clean` deletes the rest
        return
    for name in reversed(_FILES):
        (folder / name).unlink(missing_ok=True)


def _model(weights: Tensors, trained: Trained) -> bytes:
    metadata = {KEY: json.dumps(record.to_data(trained), ensure_ascii=False)}
    return bytes(save(_contiguous(weights), metadata))


def _contiguous(tensors: Tensors) -> dict[str, NDArray[Any]]:
    return {name: np.ascontiguousarray(array) for name, array in tensors.items()}


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
