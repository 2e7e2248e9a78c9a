"""Class weights computed from how frequent each class is."""

from collections.abc import Sequence

import numpy as np

from fastfcn_infer.data.dataset import Dataset
from fastfcn_infer.data.label_count import count_labels
from fastfcn_infer.errors import DatasetError
from fastfcn_infer.system.progress import Progress
from fastfcn_training.paddle_setup import launch

_SHOWN = 10  # faults in a message


def balanced(pixels: Sequence[int]) -> tuple[float, ...]:
    """Weigh rare classes more: ``1 / ln(1.1 + frequency)``, to four decimals.

    Args:
        pixels: of each class.

    Raises:
        ValueError: no class has any pixels.

    Source: Paszke et al., ENet, 2016, section 5.2, with 1.1 for their 1.02.
    """
    counts = np.asarray(pixels, np.float64)
    if not counts.sum() > 0:
        raise ValueError("no class has any pixels, so class weights cannot be computed")
    return tuple(round(float(weight), 4) for weight in 1 / np.log(1.1 + counts / counts.sum()))


def counted_weights(dataset: Dataset) -> tuple[float, ...]:
    """Count the pixels in every label file and compute balanced class weights.

    Raises:
        DatasetError: some label files are bad; names them.
        ValueError: no class has any pixels.
    """
    total, first = len(dataset.samples), launch.rank() == 0
    with Progress("Count pixels", total=total, unit="pictures", visible=first) as bar:
        found = count_labels(dataset, bar.advance)
    if found.faults:
        shown = "".join(f"\n- {fault}" for fault in found.faults[:_SHOWN])
        raise DatasetError(f"{len(found.faults)} label files cannot be counted:{shown}")
    return balanced(found.pixels)
