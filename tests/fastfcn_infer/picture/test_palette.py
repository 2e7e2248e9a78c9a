"""Palettes: PaddleSeg's as its code makes it, and one whose colours colour-blind people tell apart."""

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.picture.palette import (
    DEUTERANOPIA,
    PROTANOPIA,
    distinct,
    lab,
    paddleseg,
    palette,
    simulate,
)
from segmentations import COLORS


def closest(colors: NDArray[np.uint8], eye: Any) -> float:
    """Return the smallest distance of two colours as an eye sees them, by OpenCV's L*a*b*."""
    seen = (simulate(colors, eye) / 255).astype(np.float32)
    values = cv2.cvtColor(seen[None], cv2.COLOR_RGB2LAB)[0]
    apart = np.linalg.norm(values[:, None] - values[None], axis=2)
    return float(apart[np.triu_indices(len(colors), 1)].min())


@pytest.mark.parametrize("eye", [None, PROTANOPIA, DEUTERANOPIA])
def test_distinct_colours_are_far_apart_for_every_eye(eye: Any) -> None:
    # 2.3 is a difference that is just noticeable; CamVid has 11 classes, VOC 21.
    assert closest(distinct(11), eye) > 20
    assert closest(distinct(21), eye) > 15
    assert closest(distinct(60), eye) > 8


def test_the_colours_of_data_sets_are_not() -> None:
    assert closest(COLORS[:11], PROTANOPIA) < 5
    assert closest(paddleseg(11), PROTANOPIA) < 5


def test_a_smaller_palette_is_the_beginning_of_a_larger_one() -> None:
    np.testing.assert_array_equal(distinct(150)[:20], distinct(20))
    assert len(np.unique(distinct(256), axis=0)) == 256
    assert distinct(1000).shape == (1000, 3)


def test_distances_are_those_of_opencv() -> None:
    colors = np.random.default_rng(0).integers(0, 256, (200, 3), np.uint8)
    expected = cv2.cvtColor((colors / 255).astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0]
    np.testing.assert_allclose(lab(colors), expected, atol=0.3)


def test_grey_looks_grey_to_every_eye() -> None:
    grey = np.repeat(np.arange(0, 256, 15, dtype=np.uint8)[:, None], 3, axis=1)
    for eye in (PROTANOPIA, DEUTERANOPIA):
        assert np.ptp(simulate(grey, eye).astype(int), axis=1).max() <= 1


def test_paddlesegs_colours_are_those_of_voc_from_the_second_on() -> None:
    # The first entries of VOC's map, as its development kit lists them, without black.
    expected = [(128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128)]
    assert list(map(tuple, paddleseg(5).tolist())) == expected
    assert paddleseg(20)[-1].tolist() == [0, 64, 128]  # VOC's television, class 20
    assert len(np.unique(paddleseg(255), axis=0)) == 255


def test_an_unknown_palette_is_refused() -> None:
    with pytest.raises(ValueError, match="palette is 'rainbow'"):
        palette("rainbow", COLORS)  # type: ignore[arg-type] # on purpose
