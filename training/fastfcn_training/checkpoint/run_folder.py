"""What a training leaves in its folder: checkpoints, the best weights and the last ones."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fastfcn_export.dialect.trained import Trained
from fastfcn_export.network.primitives import Weights
from fastfcn_training.checkpoint.files import Checkpoint, clean, save_checkpoint, save_weights
from fastfcn_training.errors import TrainingError


class Archive:
    """The folder of a run; weights that are not numbers never come into it.

    Args:
        run: the folder; no other training writes there. What killed ones left half-written goes.
        keep: last checkpoints to keep; the best one is kept too.
    """

    def __init__(self, run: Path, keep: int) -> None:
        self._run, self._keep = run, keep
        clean(run)

    def save(self, checkpoint: Checkpoint, trained: Trained) -> Path:
        """Write a checkpoint; returns its folder.

        Raises:
            TrainingError: it cannot be written, or some weights are not numbers.
        """
        _check_numbers(checkpoint.weights, trained.iterations)
        with self._writing(f"the checkpoint of iteration {trained.iterations}"):
            return save_checkpoint(self._run, checkpoint, trained, keep=self._keep)

    def save_weights(self, name: str, weights: Weights, trained: Trained) -> None:
        """Write weights into the file ``RUN/name``.

        Raises:
            TrainingError: it cannot be written, or some weights are not numbers.
        """
        _check_numbers(weights, trained.iterations)
        with self._writing(name):
            save_weights(self._run / name, weights, trained)

    @contextlib.contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TrainingError(
                f"{what} cannot be written to {self._run}: {error}. What was saved before is all "
                f"there; make room and go on with --resume {self._run}"
            ) from error


def _check_numbers(weights: Weights, iteration: int) -> None:
    strange = [name for name, array in weights.items() if not np.isfinite(array).all()]
    if strange:
        raise TrainingError(
            f"after iteration {iteration} {len(strange)} tensors hold values that are not numbers, "
            f"such as {strange[0]}; they are not saved, what was saved before is all there. Begin "
            "anew with a lower learning rate or with clipped gradients"
        )
