"""Validation during training: whole pictures, prepared as the SDK prepares them."""

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import paddle
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Input, Output
from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.data.dataset import Dataset, Sample
from fastfcn_infer.evaluation.metrics import Confusion
from fastfcn_infer.inference.pipeline import segment
from fastfcn_training.network.paddle_network import TrainingNetwork
from fastfcn_training.recipe.recipe import Recipe

_AHEAD = 2  # pictures read ahead while the network computes


@dataclass(frozen=True)
class _Conventions:
    """What `inference.pipeline` needs to know about the network in training."""

    name: str
    classes: Sequence[object]
    input: Input
    output: Output
    align_corners: bool
    procedure: Procedure
    published: Procedure | None = None

    @classmethod
    def of(cls, recipe: Recipe, dataset: Dataset) -> "_Conventions":
        """Take them from a recipe, as the exporter will."""
        data = recipe.data
        return cls(
            recipe.data.dataset,
            dataset.classes,
            Input("image", data.mean, data.std, recipe.augmentation.padding),
            Output("logits", 8),
            recipe.align_corners,
            Procedure("whole", recipe.resize),
        )


class _Running:
    """The network in training as `inference.pipeline` runs one."""

    def __init__(self, network: TrainingNetwork) -> None:
        self._network = network

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Compute the logits (N, C, h, w) for a batch (N, 3, H, W)."""
        logits: Any = self._network.logits(paddle.to_tensor(batch))
        return np.asarray(logits.numpy())


_Pair: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # picture, labels


def validate(
    network: TrainingNetwork, dataset: Dataset, recipe: Recipe, *, rank: int = 0, world: int = 1
) -> Confusion:
    """Predict the pictures of `dataset`, each process its share, and count the results.

    Labels are computed from the small logits as in the SDK, so memory does not grow with the number
    of classes. The network is left in evaluation mode.

    Returns:
        The counts of this process, to be added to those of the other processes.

    Raises:
        ImageError, DatasetError: a picture or its labels cannot be read.
    """
    network.eval()
    conventions, running = _Conventions.of(recipe, dataset), _Running(network)
    confusion = Confusion(len(dataset.classes))
    with paddle.no_grad(), closing(_read_ahead(dataset, dataset.samples[rank::world])) as pairs:
        for picture, truth in pairs:
            (labels,) = segment([picture], conventions, running)
            confusion.add(labels, truth)
    return confusion


def _read_ahead(dataset: Dataset, samples: Sequence[Sample]) -> Generator[_Pair]:
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[_Pair]] = deque()
        for sample in samples:
            waiting.append(pool.submit(dataset.read, sample))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
