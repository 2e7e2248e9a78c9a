"""Weights of classes that follow from how often each is seen."""

from collections.abc import Sequence

import numpy as np

from fastfcn_infer.data.dataset import Dataset
from fastfcn_infer.data.label_count import count_labels
from fastfcn_infer.errors import DatasetError
from fastfcn_infer.system.progress import Progress
from fastfcn_training.paddle_setup import launch

_SHOWN = 10  # bad files


def balanced(pixels: Sequence[int]) -> tuple[float, ...]:
    """Weigh rare classes more: ``1 / ln(1.1 + frequency)``, to four decimals.

    Args:
        pixels: of each class.

    Raises:
        ValueError: there are no pixels.

    Source: Paszke et al., ENet, 2016, section 5.2, with 1.1 for their 1.02.
    """
    counts = np.asarray(pixels, np.float64)
    if not counts.sum() > 0:
        raise ValueError("no class has a pixel, so frequencies cannot be computed")
    return tuple(round(float(weight), 4) for weight in 1 / np.log(1.1 + counts / counts.sum()))


def counted_weights(dataset: Dataset) -> tuple[float, ...]:
    """Read every label file and weigh the classes by what is in them.

    Raises:
        DatasetError: some label files are bad; names them.
        ValueError: no class has a pixel.
    """
    total, first = len(dataset.samples), launch.rank() == 0
    with Progress("Count pixels", total=total, unit="pictures", visible=first) as bar:
        found = count_labels(dataset, bar.advance)
    if found.faults:
        shown = "".join(f"\n- {fault}" for fault in found.faults[:_SHOWN])
        raise DatasetError(f"{len(found.faults)} label files cannot be counted:{shown}")
    return balanced(found.pixels)
