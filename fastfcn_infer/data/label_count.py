"""Count the pixels of each class in a part of a data set, and find its bad label files."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fastfcn_infer.data.dataset import IGNORE, Dataset
from fastfcn_infer.errors import DatasetError


@dataclass(frozen=True)
class LabelCount:
    """The contents of the label files of a part.

    Args:
        pixels: number of pixels of each class, in the order of the labels.
        pictures: number of pictures in which each class occurs.
        ignored: number of pixels in no class.
        faults: what is wrong with each file that could not be counted.
    """

    pixels: tuple[int, ...]
    pictures: tuple[int, ...]
    ignored: int
    faults: tuple[str, ...]


def count_labels(dataset: Dataset, advance: Callable[[], None] = lambda: None) -> LabelCount:
    """Read every label file of a part, and continue after bad ones.

    Args:
        dataset: the part.
        advance: called after each file.
    """
    pixels, pictures = np.zeros(256, np.int64), np.zeros(256, np.int64)
    faults = []
    for sample in dataset.samples:
        try:
            counts = np.bincount(dataset.read_labels(sample).ravel(), minlength=256)
            pixels += counts
            pictures += counts > 0
        except DatasetError as error:
            faults.append(str(error))
        advance()
    count = len(dataset.classes)
    return LabelCount(
        tuple(pixels[:count].tolist()),
        tuple(pictures[:count].tolist()),
        int(pixels[IGNORE]),
        tuple(faults),
    )
