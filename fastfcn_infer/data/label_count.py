"""Count the pixels of each class in a part of a data set, and find its bad label files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fastfcn_infer.data.dataset import IGNORE, Dataset, Sample
from fastfcn_infer.errors import DatasetError


@dataclass(frozen=True)
class LabelCount:
    """The contents of the label files of a part.

    Args:
        pixels: number of pixels of each class, in the order of the labels.
        pictures: number of pictures in which each class occurs.
        ignored: number of pixels in no class.
        faults: what is wrong with each file that could not be counted.
        files: number of files that were counted.
        bad: names of the pictures whose files could not be.
    """

    pixels: tuple[int, ...]
    pictures: tuple[int, ...]
    ignored: int
    faults: tuple[str, ...]
    files: int = 0
    bad: frozenset[str] = frozenset()


def count_labels(
    dataset: Dataset,
    advance: Callable[[], None] = lambda: None,
    *,
    samples: Sequence[Sample] | None = None,
    enough: int | None = None,
) -> LabelCount:
    """Read the label files of a part, and continue after bad ones.

    Args:
        dataset: the part.
        advance: called after each file.
        samples: those of its pictures whose label files are read; None: all.
        enough: stop when so many classes have been found; None: read every file.
    """
    pixels, pictures = np.zeros(256, np.int64), np.zeros(256, np.int64)
    faults: list[str] = []
    bad: set[str] = set()
    files = 0
    for sample in dataset.samples if samples is None else samples:
        try:
            counts = np.bincount(dataset.read_labels(sample).ravel(), minlength=256)
            pixels += counts
            pictures += counts > 0
            files += 1
        except DatasetError as error:
            faults.append(str(error))
            bad.add(sample.name)
        advance()
        if enough is not None and np.count_nonzero(pixels[:IGNORE]) >= enough:
            break
    count = len(dataset.classes)
    return LabelCount(
        tuple(pixels[:count].tolist()),
        tuple(pictures[:count].tolist()),
        int(pixels[IGNORE]),
        tuple(faults),
        files,
        frozenset(bad),
    )
