"""How good the network is in the middle of its training: every picture whole, at its own size."""

from typing import Any

import paddle

from fastfcn_infer.dataset import Dataset
from fastfcn_infer.labels import labels_from_logits
from fastfcn_infer.metrics import Confusion
from fastfcn_training.batches import network_input
from fastfcn_training.paddle_train import TrainingNetwork
from fastfcn_training.recipe import Recipe


def validate(
    network: TrainingNetwork, dataset: Dataset, recipe: Recipe, *, rank: int = 0, world: int = 1
) -> Confusion:
    """Count over the pictures of `dataset`; every process looks at its share of them.

    The network is left in evaluation mode.

    Returns:
        The counts of this process, to be added to those of the others.

    Raises:
        ImageError, DatasetError: a picture or its labels cannot be read.
    """
    network.eval()
    confusion = Confusion(len(dataset.classes))
    with paddle.no_grad():
        for sample in dataset.samples[rank::world]:
            picture, truth = dataset.read(sample)
            image = network_input(picture[None], recipe.data.mean, recipe.data.std)
            logits: Any = network.logits(paddle.to_tensor(image))
            size = (truth.shape[0], truth.shape[1])
            labels = labels_from_logits(
                logits.numpy()[0], size, align_corners=recipe.align_corners
            )
            confusion.add(labels, truth)
    return confusion
