"""Counts of equal labels equal those of a judge that looks at every pixel and its surroundings."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastfcn_infer.evaluation.agreement import NEAR, Agreement, agreement

Labels = NDArray[np.int64]


@st.composite
def label_maps(draw: st.DrawFn) -> tuple[Labels, Labels, list[int], int]:
    """Two maps of large areas, with ignored pixels, and how far a boundary reaches."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width, cell = draw(st.tuples(*[st.integers(1, 13)] * 2, st.integers(1, 6)))
    values = np.array([0, 1, 7, 255, 65535])
    coarse = random.choice(values, (13, 13))
    reference = coarse.repeat(cell, 0).repeat(cell, 1)[:height, :width]
    labels = np.where(random.random(reference.shape) < 0.7, reference, random.choice(values))
    return (
        labels,
        reference,
        draw(st.sampled_from([[], [255], [0, 65535]])),
        draw(st.integers(0, 4)),
    )


def judged(labels: Labels, reference: Labels, ignore: list[int], near: int) -> Agreement:
    total = Agreement()
    for y, x in np.ndindex(reference.shape):
        if reference[y, x] in ignore:
            continue
        around = reference[max(0, y - near) : y + near + 1, max(0, x - near) : x + near + 1]
        inner = {int(v) for v in around.flat if v not in ignore} == {int(reference[y, x])}
        equal = labels[y, x] == reference[y, x]
        total += Agreement(1, int(equal), int(inner), int(equal and inner))
    return total


@given(label_maps())
def test_counts_are_those_of_a_judge_that_looks_at_every_pixel(
    case: tuple[Labels, Labels, list[int], int],
) -> None:
    labels, reference, ignore, near = case

    assert agreement(labels, reference, ignore=ignore, near=near) == judged(*case)


def test_a_moved_boundary_lowers_the_agreement_overall_only() -> None:
    reference, labels = np.zeros((2, 20, 40), np.uint8)
    reference[:, 20:] = labels[:, 20 + NEAR :] = 1

    found = agreement(labels, reference)

    assert found.overall == 1 - NEAR / 40
    assert found.away_from_boundaries == 1
    assert found.inner_pixels == 20 * (40 - 2 * NEAR)


def test_pictures_add_up_by_their_pixels() -> None:
    large, small = np.zeros((10, 10), np.uint8), np.zeros((5, 4), np.uint8)

    found = agreement(large, large) + agreement(small + 1, small)

    assert found.overall == found.away_from_boundaries == 100 / 120


@pytest.mark.parametrize("shape", [(0, 5), (4, 6)])
def test_without_a_pixel_to_compare_there_is_no_share(shape: tuple[int, int]) -> None:
    ignored = np.full(shape, 255, np.uint8)

    found = agreement(ignored, ignored, ignore=(255,))

    assert found == Agreement()
    assert math.isnan(found.overall)
    assert math.isnan(found.away_from_boundaries)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((4, 5), np.uint8), r"shape \(4, 5\) and \(4, 4\); two of one shape \(H, W\)"),
        (np.zeros((4, 4), np.float32), "type float32; integers were expected"),
        (np.full((4, 4), -1), "from -1 to -1; 0 to 65535"),
        (np.full((4, 4), 65536), "from 65536 to 65536; 0 to 65535"),
    ],
)
def test_what_is_no_pair_of_label_maps_is_refused(labels: NDArray[np.uint8], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        agreement(labels, np.zeros((4, 4), np.uint8))


def test_a_negative_distance_is_refused() -> None:
    labels = np.zeros((4, 4), np.uint8)

    with pytest.raises(ValueError, match="near at -1 pixels; 0 or more were expected"):
        agreement(labels, labels, near=-1)
