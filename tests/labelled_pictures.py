"""A generated data set: the colours of each picture say which one it is."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from fastfcn_infer.artifact.manifest import ClassInfo
from fastfcn_infer.data.dataset import IGNORE, Dataset, Sample


def make(folder: Path, count: int, size: tuple[int, int] = (24, 32)) -> Dataset:
    """Write `count` pictures; of number i, labels are i and pixels (i, 2 i, label), without loss."""
    samples = []
    for number in range(count):
        picture, label = folder / f"picture {number}.png", folder / f"labels {number}.png"
        labels = np.full(size, number, np.uint8)
        labels[: size[0] // 3] = IGNORE
        colours = np.dstack(
            [np.full_like(labels, number), np.full_like(labels, 2 * number), labels]
        )
        cv2.imwrite(str(picture), colours[..., ::-1])
        cv2.imwrite(str(label), labels)
        samples.append(Sample(f"s{number}", picture, label))
    classes = tuple(ClassInfo(f"class {number}", (number, 0, 0)) for number in range(count))
    values = {number: number for number in (*range(count), IGNORE)}
    return Dataset("made", "train", classes, tuple(samples), values)


def with_picture(dataset: Dataset, number: int, picture: Path) -> Dataset:
    """Let another file be the picture of a sample."""
    samples = list(dataset.samples)
    samples[number] = replace(samples[number], picture=picture)
    return replace(dataset, samples=tuple(samples))
