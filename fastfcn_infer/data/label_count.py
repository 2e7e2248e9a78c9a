"""How many pixels of each class a part of a data set has, and which of its label files are bad."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fastfcn_infer.data.dataset import IGNORE, Dataset
from fastfcn_infer.errors import DatasetError


@dataclass(frozen=True)
class LabelCount:
    """What the label files of a part hold.

    Args:
        pixels: of each class, in the order of the labels.
        pictures: in which each class occurs.
        ignored: pixels in no class.
        faults: what is wrong with the files that could not be counted.
    """

    pixels: tuple[int, ...]
    pictures: tuple[int, ...]
    ignored: int
    faults: tuple[str, ...]


def count_labels(dataset: Dataset, advance: Callable[[], None] = lambda: None) -> LabelCount:
    """Read every label file of a part, going on after bad ones.

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
