"""Weights of classes that follow from how often each is seen."""

from collections.abc import Callable, Sequence

import numpy as np

from fastfcn_infer.dataset import IGNORE, Dataset


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


def count_pixels(dataset: Dataset, advance: Callable[[], None]) -> tuple[int, ...]:
    """Count the pixels of each class over all label maps.

    Args:
        dataset: with labels.
        advance: called after each of them.

    Raises:
        DatasetError: labels cannot be read.
    """
    total = np.zeros(IGNORE + 1, np.int64)
    for sample in dataset.samples:
        total += np.bincount(dataset.read_labels(sample).reshape(-1), minlength=IGNORE + 1)
        advance()
    return tuple(total[: len(dataset.classes)].tolist())
