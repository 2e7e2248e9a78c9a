"""One iteration of a training: the gradients of some batches, and the weights moved along them."""

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
from fastfcn_training.paddle_setup.distributed import Processes
from fastfcn_training.recipe.recipe import Recipe


@dataclass(frozen=True)
class Step:
    """What this process found in the batches of an iteration.

    Args:
        losses: the whole loss, its main, auxiliary and semantic parts before they are weighted;
            means over the batches, 0 for a part that the network has not.
        finite: all gradients are numbers; those of mixed precision need not be.
        waited: seconds spent waiting for the pictures.
    """

    losses: NDArray[np.float64]
    finite: bool
    waited: float


class Learner:
    """A network and what moves its weights.

    Args:
        recipe: what to learn.
        architecture: of the network.
        weights: to begin with, by our names.
        processes: this one and those beside it.

    Attributes:
        network: as it is now.

    Raises:
        DeviceUnavailable: the recipe wants mixed precision and there is no GPU.
        CheckpointError: the weights are not the network's.
    """

    def __init__(
        self, recipe: Recipe, architecture: Architecture, weights: Weights, processes: Processes
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

    def look(self, stream: Iterator[Batch], iteration: int) -> Step:
        """Find the gradients of the next batches; nothing is moved but running statistics."""
        recipe = self._recipe
        # So an iteration depends on its number alone, and a resumed training on nothing saved.
        paddle.seed(_seed(recipe.seed, iteration, self._processes.rank))
        self.network.train()
        found, waited = np.zeros(4), 0.0
        for part in range(recipe.accumulate):
            began = time.perf_counter()
            batch = next(stream)
            waited += time.perf_counter() - began
            found += self._gradients(batch, last=part == recipe.accumulate - 1)
        return Step(found / recipe.accumulate, self._finite(), waited)

    def move(self, rate: float) -> None:
        """Move the weights along the gradients that were found, and forget these."""
        self._optimiser.paddle.set_lr(rate)
        self._precision.step(self._optimiser.paddle)
        self._optimiser.paddle.clear_grad()

    def state(self) -> tuple[dict[str, NDArray[Any]], LossScale | None]:
        """Copy out what it remembers apart from the weights."""
        return self._optimiser.state(), self._precision.state()

    def load(self, optimiser: Mapping[str, NDArray[Any]], scale: LossScale | None) -> None:
        """Take back what `state` gave.

        Raises:
            CheckpointError: it is of another network or another kind of optimiser.
        """
        self._optimiser.load(optimiser)
        self._precision.load(scale)

    def _finite(self) -> bool:
        # Asked for apart from the losses: a ReLU may take what is not a number for 0, so that the
        # loss is one, while the gradient is not.
        if self._recipe.precision == "mixed":
            return True  # the scaled gradients are looked at, and left out, by `Precision`
        gradients = (tensor.grad for tensor in self.network.named_trainable().values())
        squares = paddle.stack([(gradient * gradient).sum() for gradient in gradients])
        return bool(np.isfinite(squares.numpy()).all())

    def _gradients(self, batch: Batch, *, last: bool) -> NDArray[np.float64]:
        recipe = self._recipe
        image = paddle.to_tensor(network_input(batch.pixels, recipe.data.mean, recipe.data.std))
        truth = paddle.to_tensor(batch.labels.astype(np.int64))
        with self._processes.gradients(self._forward, shared=last):
            with self._precision.arithmetic():
                parts = losses.parts(
                    self._forward(image), truth, recipe.losses, align_corners=recipe.align_corners
                )
                loss = losses.total(parts, recipe.losses)
            self._precision.scaled(loss / recipe.accumulate).backward()
        found = (loss, parts.main, parts.auxiliary, parts.semantic)
        return np.asarray([0.0 if part is None else float(part) for part in found])


def _seed(seed: int, iteration: int, rank: int) -> int:
    return int(np.random.SeedSequence((seed, iteration, rank)).generate_state(1)[0])
