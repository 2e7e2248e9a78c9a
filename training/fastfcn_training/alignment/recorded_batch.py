"""The batch whose losses were recorded, and our network, which should give the same."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import paddle

from fastfcn_training.alignment import values
from fastfcn_training.alignment.reference import Reference
from fastfcn_training.loop.optimisers import NamedOptimiser
from fastfcn_training.network import losses
from fastfcn_training.network.paddle_network import TrainingNetwork

Tensor = Any  # paddle.Tensor; Paddle's types are not known where the types are checked
Precision = Literal["float32", "float64"]


@dataclass(frozen=True)
class Step:
    """One training step: the loss before it, and the norm of each tensor's gradient."""

    loss: float
    gradient_norms: dict[str, float]


class RecordedBatch:
    """Our network on the recorded batch; dropout is off, as in the recording.

    Args:
        reference: recorded values, which say what the weights, pictures and labels are.
        dtype: of the arithmetic.
    """

    def __init__(self, reference: Reference, dtype: Precision) -> None:
        wanted = reference.training
        self._wanted = wanted
        self._network = TrainingNetwork(
            reference.architecture(wanted.classes),
            reference.weights(wanted.classes),
            dropout=False,
            dtype=dtype,
        )
        size = (wanted.height, wanted.width)
        pictures = [values.network_input(seed, *size) for seed in wanted.seeds]
        labels = values.label_maps(wanted.labels_seed, wanted.classes, len(pictures), *size)
        self._image = paddle.to_tensor(np.concatenate(pictures).astype(dtype))
        self._labels = paddle.to_tensor(labels.astype(np.int64))

    def evaluation_loss(self) -> float:
        """Compute the loss with batch norms in evaluation mode."""
        self._network.eval()
        with paddle.no_grad():
            return float(self._loss())

    def steps(self, count: int) -> Iterator[Step]:
        """Train for `count` steps."""
        self._network.train()
        tensors = self._network.named_trainable()
        optimiser = NamedOptimiser(self._wanted.optimiser, tensors)
        optimiser.paddle.set_lr(self._wanted.rate)
        for _ in range(count):
            loss = self._loss()
            loss.backward()
            norms = {name: _norm(tensor.grad) for name, tensor in tensors.items()}
            yield Step(float(loss), norms)
            optimiser.paddle.step()
            optimiser.paddle.clear_grad()

    def _loss(self) -> Tensor:
        wanted = self._wanted
        outputs = self._network(self._image)
        found = losses.parts(
            outputs, self._labels, wanted.losses, align_corners=wanted.align_corners
        )
        return losses.total(found, wanted.losses)


def _norm(gradient: Tensor) -> float:
    if gradient is None:  # the loss does not depend on the tensor
        return 0.0
    return float(np.linalg.norm(gradient.numpy().astype(np.float64)))
