"""Logits of windows on one grid may be averaged before they are upsampled: the same labels follow."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastfcn_infer.artifact.procedure import Mirror, Procedure, Windows
from fastfcn_infer.inference import coinciding
from fastfcn_infer.inference.interpolation import Span, taps
from fastfcn_infer.inference.pipeline import Job
from fastfcn_infer.inference.scores import Scores
from models import tiny_model, tiny_output

CLASSES = 5
NEAR = 1e-5  # of the largest score


def span(start: int, length: int, step: int = 8) -> Span:
    """A window whose positions are `step` pixels apart, alone on its axis."""
    positions = length // step
    up = taps(positions, length, align_corners=False)
    back = taps(3000, 3000, align_corners=False)
    return Span(start, np.ones(length, np.float32), None, length, positions, up, back)


def outputs_of(job: Job) -> dict[int, NDArray[Any]]:
    return {
        part.view: one
        for call in job.calls
        for part, one in job.split(call, tiny_output(job.batch(call), CLASSES))
    }


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng((height, width)).integers(0, 256, (height, width, 3), np.uint8)


@given(
    st.lists(st.tuples(st.integers(0, 900), st.integers(33, 200)), min_size=1, max_size=9),
    st.booleans(),
)
def test_the_parts_of_an_axis_follow_each_other_and_cover_it(
    windows: list[tuple[int, int]], stepped: bool
) -> None:
    length = max(start + size for start, size in windows)
    covering = {(0, length), *windows}
    spans = [span(start, 64) for start, _ in covering]
    parts = coinciding.parts(covering, spans, length, stepped)
    assert [pixel for part in parts for pixel in range(part.pixels.start, part.pixels.stop)] == [
        *range(length)
    ]


def test_parts_are_regular_where_windows_begin_at_multiples_of_the_step() -> None:
    windows = [(0, 480), (320, 480), (544, 480)]
    spans = [span(*window) for window in windows]
    parts = coinciding.parts(windows, spans, 1024, True)
    # Within half a step of a border a window repeats its outermost position.
    assert [(p.pixels.start, p.pixels.stop) for p in parts if not p.regular] == [
        (320, 324),
        (476, 480),
        (544, 548),
        (796, 800),
    ]


def test_windows_between_the_positions_of_others_are_not_on_their_grid() -> None:
    windows = [(0, 480), (203, 480)]
    parts = coinciding.parts(windows, [span(*window) for window in windows], 683, True)
    assert [(p.pixels.start, p.pixels.stop, p.regular) for p in parts] == [
        (0, 203, True),
        (203, 480, False),
        (480, 683, True),
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(33, 200),
    st.integers(33, 200),
    st.sampled_from(((64, 64), (64, 40), (64, 32), (48, 16), (64, 20), (40, 33))),
    st.sampled_from(("shift", "pad")),
    st.sampled_from(("none", "horizontal", "both")),
    st.booleans(),
    st.booleans(),
)
def test_labels_are_those_of_the_upsampled_windows(
    height: int,
    width: int,
    sides: tuple[int, int],
    border: Literal["shift", "pad"],
    mirror: Mirror,
    align_corners: bool,
    on_the_grid: bool,
) -> None:
    if on_the_grid:
        height, width = height // 8 * 8 + 8, width // 8 * 8 + 8
    procedure = Procedure(windows=Windows(*sides, border), mirror=mirror)
    model = replace(tiny_model(CLASSES), align_corners=align_corners)
    job = Job([noise(height, width)], model, procedure=procedure)
    outputs = outputs_of(job)
    scores = job.scores(0, outputs)
    labels = scores.labels()
    expected = scores.tile(slice(0, height), slice(0, width))
    chosen = np.take_along_axis(expected, labels[None].astype(np.intp), 0)[0]
    assert (expected.max(0) - chosen).max() <= NEAR * np.abs(expected).max()


def test_a_tie_between_windows_goes_to_the_lowest_class() -> None:
    procedure = Procedure(windows=Windows(64, 32), mirror="horizontal")
    job = Job([noise(160, 160)], tiny_model(CLASSES), procedure=procedure)
    outputs = outputs_of(job)
    for output in outputs.values():
        output[3] = output[1]
        output[[0, 2, 4]] = output[1] - 1
    assert (job.label(0, outputs) == 1).all()


@pytest.mark.parametrize("windows", [Windows(64, 32), Windows(64, 37, "pad"), None])
def test_the_order_of_views_changes_nothing(windows: Windows | None) -> None:
    procedure = Procedure(windows=windows, mirror="both", scales=(1.0, 1.25))
    picture = noise(150, 130)
    job = Job([picture], tiny_model(CLASSES), procedure=procedure)
    outputs, views = outputs_of(job), job.views[0]
    order = np.random.default_rng(0).permutation(len(views))
    mixed = Scores(
        [views[i] for i in order],
        [outputs[i] for i in order],
        (150, 130),
        procedure,
        align_corners=False,
    )
    whole = slice(0, 150), slice(0, 130)
    expected = job.scores(0, outputs).tile(*whole)
    np.testing.assert_allclose(
        mixed.tile(*whole), expected, rtol=0, atol=NEAR * np.abs(expected).max()
    )
    assert (mixed.labels() == job.label(0, outputs)).mean() > 0.999
