"""Training in eager PyTorch by definitions, for any of our networks: the reference for gradients."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from benchmarks.torch_target import TorchOps
from fastfcn_export.network.architecture import EPSILON, Architecture
from fastfcn_export.network.fastfcn import fastfcn_training
from fastfcn_infer.data.dataset import IGNORE
from fastfcn_training.recipe.recipe import Losses, Optimiser

Tensor = Any  # torch.Tensor; torch is not there where the types are checked
Array = NDArray[Any]
MOMENTUM = 0.9  # of running statistics


class Textbook(TorchOps):
    """Adds what training has: norms over the batch by their definition, statistics that move."""

    def __init__(self, weights: dict[str, Any], *, frozen: bool) -> None:
        super().__init__(weights)
        self._frozen = frozen
        self.statistics: dict[str, Any] = {}

    def _batch_norm(self, x: Any, layer: str) -> Any:
        old, spread, weight, bias = self._norm(layer, "mean", "var", "weight", "bias")
        others = [axis for axis in range(x.ndim) if axis != 1]
        mean, var = old, spread
        if not self._frozen:
            mean = x.mean(others)
            var = ((x - self._along(mean, x)) ** 2).mean(others)
            for part, before, batch in (("mean", old, mean), ("var", spread, var)):
                moved = MOMENTUM * before + (1 - MOMENTUM) * batch
                self.statistics[f"{layer}.norm.{part}"] = moved.detach().numpy()
        normal = (x - self._along(mean, x)) / torch.sqrt(self._along(var, x) + EPSILON)
        return normal * self._along(weight, x) + self._along(bias, x)

    @staticmethod
    def _along(vector: Any, x: Any) -> Any:
        return vector.reshape((1, -1, *(1 for _ in range(x.ndim - 2))))


@dataclass(frozen=True)
class Batch:
    """Pictures (N, 3, H, W), normalised, and labels (N, H, W); their type decides the precision."""

    image: Array
    labels: Array


@dataclass(frozen=True)
class Step:
    """The loss before a step, and the length of the gradient of every tensor that learns."""

    loss: float
    gradient_norms: dict[str, float]


class Training:
    """A network, and SGD that moves it.

    Args:
        architecture: of the network.
        weights: by our names; copied, and brought to the precision of `batch`.
        batch: to learn from, again and again.
        losses: what is minimised.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: Mapping[str, Array],
        batch: Batch,
        losses: Losses,
    ) -> None:
        self._architecture = architecture
        self._tensors = {
            name: torch.from_numpy(np.array(array, batch.image.dtype, order="C"))
            for name, array in weights.items()
        }
        self._learning = {
            name: tensor.requires_grad_()
            for name, tensor in self._tensors.items()
            if not name.endswith((".norm.mean", ".norm.var"))
        }
        self._image = torch.from_numpy(batch.image)
        self._labels = torch.from_numpy(batch.labels.astype(np.int64))
        self._losses = losses

    def loss(self, *, evaluation: bool) -> Tensor:
        """Compute the weighted sum of the losses, corners aligned."""
        ops = Textbook(self._tensors, frozen=evaluation)
        found = fastfcn_training(ops, self._architecture, self._image)
        loss = self._entropy(found.main)
        if found.auxiliary is not None:
            loss = loss + self._losses.auxiliary * self._entropy(found.auxiliary)
        if found.semantic is not None:
            shown = [[k in one for k in range(self._architecture.classes)] for one in self._labels]
            truth = torch.tensor(shown, dtype=self._image.dtype)
            presence = functional.binary_cross_entropy_with_logits(found.semantic, truth)
            loss = loss + self._losses.semantic * presence
        return loss

    def steps(self, count: int, rate: float, wanted: Optimiser) -> Iterator[Step]:
        """Make steps of SGD."""
        speeds: dict[str, Tensor] = {}
        for _ in range(count):
            loss = self.loss(evaluation=False)
            gradients = torch.autograd.grad(loss, list(self._learning.values()))
            named = dict(zip(self._learning, gradients, strict=True))
            yield Step(float(loss.detach()), {n: float(g.norm()) for n, g in named.items()})
            with torch.no_grad():
                for name, tensor in self._learning.items():
                    force = named[name] + wanted.weight_decay * tensor
                    speeds[name] = wanted.momentum * speeds.get(name, 0) + force
                    factor = 1.0 if name.startswith("backbone.") else wanted.head_factor
                    tensor -= rate * factor * speeds[name]

    def _entropy(self, logits: Tensor) -> Tensor:
        full = functional.interpolate(
            logits, self._labels.shape[1:], mode="bilinear", align_corners=True
        )
        return functional.cross_entropy(full, self._labels, ignore_index=IGNORE)
