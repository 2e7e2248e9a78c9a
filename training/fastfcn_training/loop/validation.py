"""How good the network is in the middle of its training: on whole pictures, as the SDK shows them."""

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeAlias

import numpy as np
import paddle
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Input, Procedure
from fastfcn_infer.data.dataset import Dataset, Sample
from fastfcn_infer.evaluation.metrics import Confusion
from fastfcn_infer.inference.labels import labels_from_logits
from fastfcn_infer.inference.merge import merge
from fastfcn_infer.inference.preprocess import prepare
from fastfcn_infer.inference.views import plan
from fastfcn_training.network.paddle_network import TrainingNetwork
from fastfcn_training.recipe.recipe import Recipe

_AHEAD = 2  # pictures that are read while the network works

_Pair: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # picture, labels


def validate(
    network: TrainingNetwork, dataset: Dataset, recipe: Recipe, *, rank: int = 0, world: int = 1
) -> Confusion:
    """Count over the pictures of `dataset`; every process looks at its share of them.

    Labels come from the small logits as in the SDK, so memory does not grow with the classes. The
    network is left in evaluation mode.

    Returns:
        The counts of this process, to be added to those of the others.

    Raises:
        ImageError, DatasetError: a picture or its labels cannot be read.
    """
    network.eval()
    data = recipe.data
    given = Input("image", data.mean, data.std, recipe.augmentation.padding)
    confusion = Confusion(len(dataset.classes))
    with paddle.no_grad(), closing(_read_ahead(dataset, dataset.samples[rank::world])) as pairs:
        for picture, truth in pairs:
            size = (truth.shape[0], truth.shape[1])
            views = plan(Procedure("whole", recipe.resize), (None, None), size)
            image = prepare(picture, views, given, recipe.resize)
            logits: Any = network.logits(paddle.to_tensor(image))
            merged = merge(views, logits.numpy(), size)
            labels = labels_from_logits(
                merged.scores,
                merged.size,
                align_corners=recipe.align_corners,
                region=merged.picture,
            )
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
