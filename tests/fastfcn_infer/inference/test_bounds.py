"""What is left out of a tile cannot have won there, and cannot be seen in a softmax."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastfcn_infer.artifact.procedure import Merge, Mirror, Procedure, Windows
from fastfcn_infer.inference.bounds import Bounds, able
from fastfcn_infer.inference.scores import TILE, Scores
from fastfcn_infer.inference.views import plan

Floats = NDArray[np.float32]
PICTURE = (2 * TILE[0] + 5, 2 * TILE[1] + 9)


def softmax(logits: Floats) -> NDArray[np.float64]:
    shares = np.exp(logits.astype(np.float64) - logits.max(0))
    return np.asarray(shares / shares.sum(0))


def scores_of(
    merge: Merge, classes: int, spread: float, *, windows: Windows | None = None
) -> Scores:
    """Random logits, `spread` times as far from 0 as usual, for two scales and a mirror image."""
    mirror: Mirror = "horizontal"
    procedure = Procedure(scales=(1.0, 0.75), mirror=mirror, merge=merge, windows=windows)
    views = plan(procedure, (None, None), PICTURE)
    rng = np.random.default_rng(int(spread) + classes)
    outputs = [
        spread
        * rng.standard_normal(
            (classes, -(-v.canvas[0] // 8), -(-v.canvas[1] // 8)), dtype=np.float32
        )
        for v in views
    ]
    return Scores(views, outputs, PICTURE, procedure, align_corners=False)


@given(st.integers(1, 9), st.integers(0, 2**32), st.floats(0, 300))
@example(3, 58525, 237.0)  # exp of all but the largest logit is 0, or close to it
def test_softmax_lies_within_the_bounds_of_its_logits(
    classes: int, seed: int, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    logits = np.float32(spread) * rng.standard_normal((classes, 6, 1), dtype=np.float32)
    found = Bounds(logits.min(1, keepdims=True), logits.max(1, keepdims=True)).shares()
    shares = softmax(logits)
    assert np.isfinite(found.low).all()
    assert np.isfinite(found.high).all()
    assert (found.low <= shares + 1e-6).all()
    assert (found.high >= shares - 1e-6).all()


@given(st.integers(1, 200), st.integers(0, 2**32), st.floats(0, 100))
def test_what_the_sum_under_a_softmax_leaves_out_is_below_the_rounding_of_float32(
    classes: int, seed: int, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    logits = np.float32(spread) * rng.standard_normal((classes, 4, 1), dtype=np.float32)
    around = Bounds(logits.min(1, keepdims=True), logits.max(1, keepdims=True))
    left_out = ~around.counted()[:, 0, 0]
    assert softmax(logits)[left_out].sum(0).max() < np.finfo(np.float32).eps / 2


def test_a_tie_keeps_both_classes() -> None:
    low = np.array([1.0, 1.0, 0.0], np.float32).reshape(3, 1, 1)
    assert able([Bounds(low, low), Bounds(low, low)])[:, 0, 0].tolist() == [True, True, False]


@pytest.mark.parametrize("merge", ["logits", "probabilities", "exp"])
@pytest.mark.parametrize("spread", [0.1, 5.0, 60.0])
@pytest.mark.parametrize("windows", [None, Windows(64, 40), Windows(64, 40, weight="gaussian")])
def test_labels_are_those_of_all_classes(
    merge: Merge, spread: float, windows: Windows | None
) -> None:
    scores = scores_of(merge, 40, spread, windows=windows)
    labels = scores.labels()
    for top in range(0, PICTURE[0], TILE[0]):
        for left in range(0, PICTURE[1], TILE[1]):
            rows = slice(top, min(top + TILE[0], PICTURE[0]))
            columns = slice(left, min(left + TILE[1], PICTURE[1]))
            whole = scores.tile(rows, columns)
            assert np.isfinite(whole).all()
            chosen = np.take_along_axis(whole, labels[None, rows, columns].astype(np.intp), 0)[0]
            assert (whole.max(0) - chosen).max() <= 2e-5 * np.abs(whole).max()


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, 29), min_size=1), st.sampled_from((0.5, 30.0)))
def test_probabilities_of_some_classes_are_those_among_all(
    chosen: set[int], spread: float
) -> None:
    scores = scores_of("probabilities", 30, spread)
    classes = np.array(sorted(chosen))
    rows, columns = slice(3, 40), slice(0, 90)
    whole = scores.tile(rows, columns)
    np.testing.assert_allclose(scores.tile(rows, columns, classes), whole[classes], atol=1e-6)
    np.testing.assert_allclose(whole.sum(0), 1, atol=1e-5)


def test_probabilities_of_logits_far_apart_are_exact() -> None:
    """Within a tile the largest logit may be so much smaller than elsewhere that its exp is 0."""
    procedure = Procedure(mirror="horizontal", merge="probabilities")
    views = plan(procedure, (None, None), (64, 64))
    logits = np.zeros((3, 8, 8), np.float32)
    logits[0, :, :2] = 400
    logits[1, :, 2:] = 2
    outputs = [logits, np.ascontiguousarray(logits[:, :, ::-1])]
    scores = Scores(views, outputs, (64, 64), procedure, align_corners=False)
    found = scores.tile(slice(0, 64), slice(0, 64))
    np.testing.assert_allclose(found[:, 30, 40], softmax(logits[:, 4, 5]), atol=1e-6)
    assert scores.labels()[30, 40] == 1


def test_a_class_wins_where_no_other_is_near_however_large_another_is_beside_it() -> None:
    """Relative to the largest logit of the tile, exp of all other classes is 0."""
    procedure = Procedure(scales=(1.0, 0.5), merge="probabilities")
    views = plan(procedure, (None, None), TILE)
    far, near = (
        np.zeros((3, view.canvas[0] // 8, view.canvas[1] // 8), np.float32) for view in views
    )
    far[:] = np.array([-2000, -100, -2000]).reshape(3, 1, 1)
    far[0, :, :4] = 1000
    near[2] = 0.5  # of this scale alone class 2 would win
    scores = Scores(views, [far, near], TILE, procedure, align_corners=False)
    assert scores.labels()[5, [5, TILE[1] - 5]].tolist() == [0, 1]
