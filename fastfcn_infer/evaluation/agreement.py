"""Agreement of two label maps of one picture: the share of pixels with equal labels, and how it is away from boundaries.

Where two classes meet, the scores of both are close, so that the smallest change of the arithmetic moves the
boundary by a pixel. That is the usual price of a lower precision; a disagreement inside an area is not.
So both shares are reported.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.system.opencv import cv2

NEAR = 3  # pixels; a boundary is near if another class is at most so far away, diagonally too

_VALUES = 1 << 16  # of a label map


@dataclass(frozen=True)
class Agreement:
    """Counts of pixels of one or more pictures; those of several pictures add up.

    Args:
        pixels: that were compared; ignored ones are not.
        equal: pixels with equal labels.
        inner_pixels: pixels away from boundaries of the reference.
        inner_equal: of those, pixels with equal labels.
    """

    pixels: int = 0
    equal: int = 0
    inner_pixels: int = 0
    inner_equal: int = 0

    @property
    def overall(self) -> float:
        """Share of all pixels, of 1; not a number if there is no pixel."""
        return _share(self.equal, self.pixels)

    @property
    def away_from_boundaries(self) -> float:
        """Share of the pixels away from boundaries, of 1; not a number if there is no such pixel."""
        return _share(self.inner_equal, self.inner_pixels)

    def __add__(self, other: "Agreement") -> "Agreement":
        """Join the counts of two parts."""
        return Agreement(
            self.pixels + other.pixels,
            self.equal + other.equal,
            self.inner_pixels + other.inner_pixels,
            self.inner_equal + other.inner_equal,
        )


def agreement(
    labels: NDArray[Any],
    reference: NDArray[Any],
    *,
    ignore: Collection[int] = (),
    near: int = NEAR,
) -> Agreement:
    """Compare two label maps of a picture, pixel by pixel.

    A pixel is near a boundary if a pixel of another class lies in the square of ``2 * near + 1`` pixels
    around it, in the reference. Ignored pixels belong to no class: they make no boundary.

    Args:
        labels: (H, W), integers 0 to 65535.
        reference: (H, W), integers 0 to 65535.
        ignore: labels of the reference whose pixels are left out, such as 255.
        near: pixels, from 0.

    Raises:
        ValueError: the shapes differ or are not (H, W), the values are no labels, or `near` is negative.
    """
    if labels.shape != reference.shape or labels.ndim != 2:
        raise ValueError(
            f"label maps of shape {labels.shape} and {reference.shape}; two of one shape (H, W) were expected"
        )
    if near < 0:
        raise ValueError(f"a boundary cannot be near at {near} pixels; 0 or more were expected")
    labels, reference = _label_map(labels), _label_map(reference)
    counted = ~np.isin(reference, list(ignore))
    equal = counted & (labels == reference)
    inner = counted & ~_near_boundaries(reference, counted, near)
    return Agreement(
        *(int(np.count_nonzero(part)) for part in (counted, equal, inner, equal & inner))
    )


def _label_map(values: NDArray[Any]) -> NDArray[np.uint16]:
    if values.dtype.kind not in "iu":
        raise ValueError(f"labels of type {values.dtype}; integers were expected")
    if values.size and not (values.min() >= 0 and values.max() < _VALUES):
        raise ValueError(
            f"labels from {values.min()} to {values.max()}; 0 to {_VALUES - 1} were expected"
        )
    return np.ascontiguousarray(values, np.uint16)


def _near_boundaries(
    reference: NDArray[np.uint16], counted: NDArray[np.bool_], near: int
) -> NDArray[np.bool_]:
    """Tell which squares hold two classes: their largest and smallest label differ."""
    if not reference.size:
        return np.zeros(reference.shape, np.bool_)
    square = np.ones((2 * near + 1, 2 * near + 1), np.uint8)
    # Ignored pixels take the value that changes neither; nor do those outside the picture.
    largest = cv2.dilate(np.where(counted, reference, np.uint16(0)), square)
    smallest = cv2.erode(np.where(counted, reference, np.uint16(_VALUES - 1)), square)
    return np.asarray(largest != smallest)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
