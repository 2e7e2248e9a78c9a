import itertools
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastfcn_infer.artifact.procedure import PRESETS, Merge, Mirror, Procedure, Windows
from fastfcn_infer.inference.bands import bands
from fastfcn_infer.inference.pipeline import Job, labelled, segment
from fastfcn_infer.inference.scores import TILE
from fastfcn_infer.inference.views import View, plan
from models import tiny_model, tiny_output

CLASSES = 5


class Network:
    """The tiny network in NumPy, which counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        self.calls += 1
        return tiny_output(batch, CLASSES)


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng((height, width)).integers(0, 256, (height, width, 3), np.uint8)


def rows_of(view: View) -> range:
    assert view.window is not None
    return range(view.window.top, view.window.top + view.window.height)


@given(
    st.integers(1, 900),
    st.integers(1, 200),
    st.integers(33, 130),
    st.integers(1, 130),
    st.sampled_from(("shift", "pad")),
    st.sampled_from(("none", "horizontal", "vertical", "both")),
    st.sampled_from((1, 64)),
)
def test_every_row_is_labelled_once_and_from_all_windows_that_reach_it(
    height: int,
    width: int,
    crop: int,
    stride: int,
    border: Literal["shift", "pad"],
    mirror: Mirror,
    step: int,
) -> None:
    windows = Windows(crop, min(stride, crop), border)
    views = plan(Procedure(windows=windows, mirror=mirror), (None, None), (height, width))
    found = bands(views, (height, width), step)
    assert [row for band in found for row in range(band.rows.start, band.rows.stop)] == [
        *range(height)
    ]
    assert all(band.rows.start % step == 0 for band in found)
    for index, view in enumerate(views):
        rows = rows_of(view)
        for band in found:
            if rows.start < band.rows.stop and band.rows.start < rows.stop:
                assert index in band.views
    for before, after in itertools.pairwise(found):
        assert before.views.start <= after.views.start
        assert before.views.stop <= after.views.stop


@pytest.mark.parametrize(
    "name", [name for name in PRESETS if name not in ("tiles", "paddleseg-slide")]
)
def test_procedures_that_resize_label_the_whole_picture_at_once(name: str) -> None:
    (band,) = bands(plan(PRESETS[name], (None, None), (700, 900)), (700, 900), 64)
    assert band.rows == slice(0, 700)


def test_a_band_holds_only_the_rows_of_windows_that_overlap() -> None:
    views = plan(PRESETS["tiles"], (None, None), (20_000, 15_000))
    columns = 47
    found = bands(views, (20_000, 15_000), TILE[0])
    assert len(views) == 62 * columns
    assert max(len(band.views) for band in found) <= 3 * columns


@settings(max_examples=40, deadline=None)
@given(
    st.integers(30, 300),
    st.integers(30, 150),
    st.sampled_from(((64, 64), (64, 40), (70, 33), (48, 11))),
    st.sampled_from(("shift", "pad")),
    st.sampled_from(("coverage", "gaussian")),
    st.sampled_from(("none", "horizontal", "vertical", "both")),
    st.sampled_from(("logits", "probabilities", "exp")),
)
def test_bands_have_the_labels_that_the_picture_has_as_a_whole(
    height: int,
    width: int,
    sides: tuple[int, int],
    border: Literal["shift", "pad"],
    weight: Literal["coverage", "gaussian"],
    mirror: Mirror,
    merge: Merge,
) -> None:
    procedure = Procedure(windows=Windows(*sides, border, weight), mirror=mirror, merge=merge)
    picture, model = noise(height, width), tiny_model(CLASSES)
    job = Job([picture], model, procedure=procedure)
    outputs = {
        part.view: one
        for call in job.calls
        for part, one in job.split(call, Network().run(job.batch(call)))
    }
    whole = job.scores(0, outputs).labels()
    (found,) = segment([picture], model, Network(), procedure=procedure)
    np.testing.assert_array_equal(found, whole)


def test_labelling_can_begin_at_any_band() -> None:
    procedure, picture = Procedure(windows=Windows(64, 40), mirror="both"), noise(400, 150)
    job = Job([picture], tiny_model(CLASSES), procedure=procedure, batch=3)
    full = Network()
    (whole,) = segment([picture], tiny_model(CLASSES), full, procedure=procedure, batch=3)
    assert len(job.bands[0]) > 4
    for first in range(len(job.bands[0])):
        network = Network()
        found = list(labelled(job, network, timings={}, first=first))
        assert [band for _, band, _ in found] == list(job.bands[0][first:])
        for _, band, rows in found:
            np.testing.assert_array_equal(rows, whole[band.rows])
        assert network.calls == full.calls if first == 0 else network.calls <= full.calls
    assert network.calls < full.calls / 2  # the last band needs few of them


def test_outputs_are_released_when_no_later_band_needs_them() -> None:
    procedure = Procedure(windows=Windows(64, 64))
    job = Job([noise(640, 64)], tiny_model(CLASSES), procedure=procedure, batch=1)
    assert len(job.views[0]) == 10
    assert job.held_bytes(0) <= 2 * CLASSES * 8 * 8 * 4
