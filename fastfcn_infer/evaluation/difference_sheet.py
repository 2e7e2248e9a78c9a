"""A picture of how two models differ: the worst pictures, each beside its two overlays and where they disagree."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.inference.predictor import Predictor
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.picture.legend import drawable
from fastfcn_infer.picture.picture import Picture
from fastfcn_infer.system.opencv import cv2

_HEIGHT = 240  # pixels of a row
_LINE = 24  # of the text above it
_GAP = 4
_DIFFERENT = (220, 30, 30)
_SCALE, _FONT = 0.5, cv2.FONT_HERSHEY_SIMPLEX


def sheet(a: Predictor, b: Predictor, pictures: Sequence[tuple[Path, str]]) -> Picture:
    """Draw some pictures, each in a row: the picture, A's overlay, B's overlay, where they differ in red.

    Args:
        a: the reference.
        b: the other model.
        pictures: path and title of each; at least one.

    Raises:
        ValueError: there is no picture.
        ImageError: a picture cannot be read.
    """
    if not pictures:
        raise ValueError("a sheet of no pictures; at least one was expected")
    rows = [_row(a.predict(path), b.predict(path), title) for path, title in pictures]
    width = max(row.shape[1] for row in rows)
    wide = [np.pad(row, ((0, _GAP), (0, width - row.shape[1]), (0, 0))) for row in rows]
    return Picture(np.concatenate(wide))


def _row(first: Segmentation, second: Segmentation, title: str) -> NDArray[np.uint8]:
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
    size = (max(1, round(width * _HEIGHT / height)), _HEIGHT)
    # Averaged where it becomes smaller: single pixels in red are still seen.
    shown = [cv2.resize(panel, size, interpolation=cv2.INTER_AREA) for panel in panels]
    gap = np.zeros((_HEIGHT, _GAP, 3), np.uint8)
    parts = [part for panel in shown for part in (panel, gap)][:-1]
    body = np.concatenate(parts, axis=1)
    head = np.full((_LINE, body.shape[1], 3), 255, np.uint8)
    texts = (drawable(title, "picture"), "A", "B", "red: A and B differ")
    for column, text in enumerate(texts):
        place = (6 + column * (size[0] + _GAP), 17)
        cv2.putText(head, text, place, _FONT, _SCALE, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([head, body])
