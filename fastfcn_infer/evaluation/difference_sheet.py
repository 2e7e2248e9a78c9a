"""A picture of how two models differ: the worst pictures, each beside its two overlays and where they disagree."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.inference.predictor import Predictor
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.picture.legend import draw_title, drawable
from fastfcn_infer.picture.picture import Picture
from fastfcn_infer.system.opencv import cv2

_HEIGHT, _WIDTH = 240, 360  # pixels of a picture, at most
_GAP = 4
_GROUND = 24  # grey
_DIFFERENT = (220, 30, 30)
_HEADS = ("picture", "A", "B", "red: A and B differ")


def sheet(a: Predictor, b: Predictor, pictures: Sequence[tuple[Path, str, float]]) -> Picture:
    """Draw some pictures, each in a row: the picture, A's overlay, B's overlay, where they differ in red.

    Args:
        a: the reference.
        b: the other model.
        pictures: path, name and share of equal labels of each; at least one.

    Raises:
        ValueError: there is no picture.
        ImageError: a picture cannot be read.
    """
    if not pictures:
        raise ValueError("a sheet of no pictures; at least one was expected")
    rows = [np.concatenate([draw_title(head, _WIDTH + _GAP) for head in _HEADS], axis=1)]
    for path, name, share in pictures:
        row = _row(a.predict(path), b.predict(path))
        title = f"{drawable(name, 'picture')}: {100 * share:.2f} % of the labels agree"
        rows += [draw_title(title, row.shape[1]), row]
    return Picture(np.concatenate(rows))


def _row(first: Segmentation, second: Segmentation) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(cv2.cvtColor(first.picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    differs = np.asarray(grey // 2 + 96, np.uint8)
    differs[first.labels != second.labels] = _DIFFERENT
    panels = [
        first.picture,
        first.overlay(legend="none").array,
        second.overlay(legend="none").array,
        differs,
    ]
    height, width = first.size
    scale = min(_HEIGHT / height, _WIDTH / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # Panoramas and columns get no more room than other pictures.
    row = np.full((size[1] + _GAP, len(panels) * (_WIDTH + _GAP), 3), _GROUND, np.uint8)
    for nth, panel in enumerate(panels):
        left = nth * (_WIDTH + _GAP) + (_WIDTH - size[0]) // 2
        # Averaged where it becomes smaller: single pixels in red are still seen.
        row[: size[1], left : left + size[0]] = cv2.resize(
            panel, size, interpolation=cv2.INTER_AREA
        )
    return row
