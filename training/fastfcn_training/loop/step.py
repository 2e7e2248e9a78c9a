"""One training step: the gradients of one or more batches, then an update of the weights."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray

from fastfcn_export.network.architecture import Architecture
from fastfcn_export.network.primitives import Weights
from fastfcn_training.checkpoint.files import LossScale
from fastfcn_training.data.batches import Batch, network_input
from fastfcn_training.loop.mixed_precision import Precision
from fastfcn_training.loop.optimisers import NamedOptimiser
from fastfcn_training.network import losses
from fastfcn_training.network.paddle_network import TrainingNetwork
from fastfcn_training.paddle_setup.distributed import ProcessGroup
from fastfcn_training.recipe.recipe import Recipe


@dataclass(frozen=True)
class StepResult:
    """Losses and gradients of a step in this process.

    Args:
        losses: total loss, then its main, auxiliary and semantic parts before weighting; means over
            the batches, 0 for a part that the network does not have.
        finite: all gradients are finite; always true in mixed precision, which skips others itself.
        waited: seconds spent waiting for pictures.
    """

    losses: NDArray[np.float64]
    finite: bool
    waited: float


class TrainingStep:
    """The network, its optimiser and their precision.

    Args:
        recipe: what to train and how.
        architecture: of the network.
        weights: initial weights, by our names.
        processes: the processes that train together.

    Attributes:
        network: with its current weights.

    Raises:
        DeviceUnavailable: the recipe asks for mixed precision and there is no GPU.
        CheckpointError: the weights do not fit the network.
    """

    def __init__(
        self, recipe: Recipe, architecture: Architecture, weights: Weights, processes: ProcessGroup
    ) -> None:
        self._recipe, self._processes = recipe, processes
        self._precision = Precision(recipe.precision, gpu=processes.gpu)
        self.network = TrainingNetwork(
            architecture,
            weights,
            synchronised=processes.synchronise_norms,
            freeze_norms=recipe.freeze_norms,
        )
        self._forward = processes.wrap(self.network)
        self._optimiser = NamedOptimiser(recipe.optimiser, self.network.named_trainable())

    def compute_gradients(self, stream: Iterator[Batch], iteration: int) -> StepResult:
        """Compute the gradients of the next batches; only running statistics change."""
        recipe = self._recipe
        # An iteration depends on its number alone, so no random state has to be saved.
        paddle.seed(_seed(recipe.seed, iteration, self._processes.rank))
        self.network.train()
        found, waited = np.zeros(4), 0.0
        for part in range(recipe.accumulate):
            began = time.perf_counter()
            batch = next(stream)
            waited += time.perf_counter() - began
            found += self._gradients(batch, last=part == recipe.accumulate - 1)
        return StepResult(found / recipe.accumulate, self._finite(), waited)

    def update_weights(self, rate: float) -> None:
        """Update the weights with the gradients, then clear these."""
        self._optimiser.paddle.set_lr(rate)
        self._precision.step(self._optimiser.paddle)
        self._optimiser.paddle.clear_grad()

    def state(self) -> tuple[dict[str, NDArray[Any]], LossScale | None]:
        """Copy the state of optimiser and loss scaling."""
        return self._optimiser.state(), self._precision.state()

    def load(self, optimiser: Mapping[str, NDArray[Any]], scale: LossScale | None) -> None:
        """Restore what `state` returned.

        Raises:
            CheckpointError: it belongs to another network or another kind of optimiser.
        """
        self._optimiser.load(optimiser)
        self._precision.load(scale)

    def _finite(self) -> bool:
        # Checked apart from the losses: a ReLU may turn NaN into 0, so that the loss is finite
        # while the gradient is not.
        if self._recipe.precision == "mixed":
            return True  # `Precision` checks the scaled gradients and skips bad steps
        gradients = (tensor.grad for tensor in self.network.named_trainable().values())
        squares = paddle.stack([(gradient * gradient).sum() for gradient in gradients])
        return bool(np.isfinite(squares.numpy()).all())

    def _gradients(self, batch: Batch, *, last: bool) -> NDArray[np.float64]:
        recipe = self._recipe
        image = paddle.to_tensor(network_input(batch.pixels, recipe.data.mean, recipe.data.std))
        truth = paddle.to_tensor(batch.labels.astype(np.int64))
        with self._processes.gradients(self._forward, shared=last):
            with self._precision.autocast():
                parts = losses.parts(
                    self._forward(image), truth, recipe.losses, align_corners=recipe.align_corners
                )
                loss = losses.total(parts, recipe.losses)
            self._precision.scale(loss / recipe.accumulate).backward()
        found = (loss, parts.main, parts.auxiliary, parts.semantic)
        return np.asarray([0.0 if part is None else float(part) for part in found])


def _seed(seed: int, iteration: int, rank: int) -> int:
    return int(np.random.SeedSequence((seed, iteration, rank)).generate_state(1)[0])
