"""The folder of a run: checkpoints, the best weights and the last ones."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fastfcn_export.dialect.trained import Trained, read_trained
from fastfcn_export.network.primitives import Weights
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.atomic import write_file
from fastfcn_infer.system.writing import make_folder
from fastfcn_training.checkpoint.files import (
    BEST,
    MODEL,
    Best,
    Checkpoint,
    checkpoint_folder,
    clean,
    save_checkpoint,
    save_weights,
)
from fastfcn_training.errors import NotSaved, TrainingError


class RunFolder:
    """Writes to the folder of a run; weights that are not finite are never saved.

    Args:
        run: the folder; no other training may write there. Half-written files of killed ones are
            deleted.
        keep: number of last checkpoints to keep; the best one is kept too.
    """

    def __init__(self, run: Path, keep: int) -> None:
        self._run, self._keep = run, keep
        clean(run)

    def save(self, checkpoint: Checkpoint, trained: Trained) -> Path:
        """Write a checkpoint; returns its folder.

        Raises:
            TrainingError: it cannot be written, or some weights are not finite.
        """
        _check_numbers(checkpoint.weights, trained.iterations)
        with self._writing(f"the checkpoint of iteration {trained.iterations}"):
            return save_checkpoint(self._run, checkpoint, trained, keep=self._keep)

    def save_weights(self, name: str, weights: Weights, trained: Trained) -> None:
        """Write weights to the file ``RUN/name``.

        Raises:
            TrainingError: it cannot be written, or some weights are not finite.
        """
        _check_numbers(weights, trained.iterations)
        with self._writing(name):
            save_weights(self._run / name, weights, trained)

    @contextlib.contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise NotSaved(
                f"{what} cannot be written to {self._run}: {error.strerror or error}. Everything saved before "
                f"is intact; free some space and continue with --resume {self._run}"
            ) from error


def restore_best(run: Path, source: Path, best: Best) -> bool:
    """Make sure that ``RUN/best.safetensors`` holds the best weights of a resumed training.

    It does not if the training is resumed in another folder, or from an earlier checkpoint than the
    file was written after, or if the file was deleted.

    Args:
        run: folder that the resumed training writes to.
        source: the run, or the checkpoint of a run, that is resumed.
        best: the best validation of the checkpoint.

    Returns:
        Whether the weights were found.
    """
    origin = source if (source / "checkpoints").is_dir() else source.parent.parent
    for path in (run / BEST, origin / BEST, checkpoint_folder(origin, best.iteration) / MODEL):
        if not _is_of(path, best.iteration):
            continue
        if path != run / BEST:
            make_folder(run)
            write_file(run / BEST, path.read_bytes())
        return True
    return False


def _is_of(path: Path, iteration: int) -> bool:
    try:
        trained = read_trained(path)
    except CheckpointError:
        return False
    return trained is not None and trained.iterations == iteration


def _check_numbers(weights: Weights, iteration: int) -> None:
    broken = [name for name, array in weights.items() if not np.isfinite(array).all()]
    if broken:
        raise TrainingError(
            f"after iteration {iteration} {len(broken)} tensors hold NaN or infinity, such as "
            f"{broken[0]}; they are not saved, and everything saved before is intact. Start again "
            "with a lower learning rate or with gradient clipping"
        )
