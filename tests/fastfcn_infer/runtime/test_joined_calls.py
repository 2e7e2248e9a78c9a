"""Callers in many threads share calls of the network, and each gets what is its own."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.errors import BackendError
from fastfcn_infer.runtime import joined_calls
from fastfcn_infer.runtime.joined_calls import JoinedCalls
from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact, tiny_model

FOR_EVER = 100.0  # seconds; only a full group, or an end, lets these callers go on
Array = NDArray[Any]


class Doubling:
    """A network that doubles numbers, refuses 13, and remembers how many views it was given."""

    def __init__(self) -> None:
        self.views: list[int] = []
        self.closed = False

    def run(self, batch: Array) -> Array:
        self.views.append(len(batch))
        if self.closed:
            raise BackendError("closed")
        if (batch == 13).any():
            raise BackendError("thirteen")
        return 2 * batch


@pytest.fixture
def network() -> Doubling:
    return Doubling()


@pytest.fixture
def calls(network: Doubling, monkeypatch: pytest.MonkeyPatch) -> JoinedCalls:
    monkeypatch.setattr(joined_calls, "LONGEST", FOR_EVER)
    return JoinedCalls(network, FOR_EVER)


def batch(value: float, *shape: int) -> Array:
    return np.full(shape, value, np.float32)


def in_threads(work: Sequence[Callable[[], Any]]) -> list[Any]:
    """Do all at a time; return the results, or the errors."""

    def safely(one: Callable[[], Any]) -> Any:
        try:
            return one()
        except BackendError as error:
            return error

    with ThreadPoolExecutor(len(work)) as threads:
        return list(threads.map(safely, work, timeout=60))


def until_waiting(calls: JoinedCalls, views: int) -> None:
    """Return when so many views wait for others."""
    tick = threading.Event()
    for _ in range(6000):
        if sum(group.views for group in [*calls._open.values()]) == views:
            return
        tick.wait(0.01)
    raise AssertionError("nobody waits")


def test_eight_callers_of_one_shape_share_a_call_and_get_their_own(
    calls: JoinedCalls, network: Doubling
) -> None:
    given = [batch(value, 1, 3, 4, 5) for value in range(8)]
    found = in_threads([partial(calls.run, one, 8) for one in given])
    for one, output in zip(given, found, strict=True):
        np.testing.assert_array_equal(output, 2 * one)
        assert output.base is None  # nobody holds the others' memory
    assert network.views == [8]


def test_only_equal_shapes_and_types_share_a_call(calls: JoinedCalls, network: Doubling) -> None:
    kinds = [batch(1, 1, 3, 4, 5), batch(2, 1, 3, 5, 4), batch(3, 1, 3, 4, 5).astype(np.float64)]
    given = [*kinds, *kinds]
    found = in_threads([partial(calls.run, one, 2) for one in given])
    for one, output in zip(given, found, strict=True):
        assert output.dtype == one.dtype
        np.testing.assert_array_equal(output, 2 * one)
    assert network.views == [2, 2, 2]


def test_an_error_of_one_caller_does_not_concern_the_others(
    calls: JoinedCalls, network: Doubling
) -> None:
    given = [batch(value, 1, 2) for value in (11, 13, 12)]
    found = in_threads([partial(calls.run, one, 3) for one in given])
    np.testing.assert_array_equal(found[0], 2 * given[0])
    np.testing.assert_array_equal(found[2], 2 * given[2])
    assert str(found[1]) == "thirteen"
    assert sorted(network.views) == [1, 1, 1, 3]


def test_a_batch_that_does_not_fit_waits_for_the_next_call(
    calls: JoinedCalls, network: Doubling
) -> None:
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(calls.run, batch(1, 3, 2), 4)
        until_waiting(calls, 3)
        second = threads.submit(calls.run, batch(2, 2, 2), 4)
        np.testing.assert_array_equal(first.result(60), batch(2, 3, 2))
        until_waiting(calls, 2)
        third = threads.submit(calls.run, batch(3, 2, 2), 4)
        np.testing.assert_array_equal(second.result(60), batch(4, 2, 2))
        np.testing.assert_array_equal(third.result(60), batch(6, 2, 2))
    assert network.views == [3, 4]


def test_a_caller_without_others_waits_no_longer_than_allowed(network: Doubling) -> None:
    calls = JoinedCalls(network, 0.001)
    np.testing.assert_array_equal(calls.run(batch(1, 1, 2), 8), batch(2, 1, 2))
    np.testing.assert_array_equal(
        calls.run(batch(1, 8, 2), 8), batch(2, 8, 2)
    )  # is full by itself
    assert network.views == [1, 8]
    assert not calls._open


def test_closing_lets_those_who_wait_go_and_later_ones_not_wait(
    calls: JoinedCalls, network: Doubling
) -> None:
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(calls.run, batch(n, 1, 2 + n), 8) for n in range(2)]
        until_waiting(calls, 2)
        network.closed = True
        calls.close()
        for one in waiting:
            with pytest.raises(BackendError, match="closed"):
                one.result(60)
    with pytest.raises(BackendError, match="closed"):
        calls.run(batch(1, 1, 2), 8)
    assert not calls._open


def test_a_leader_that_is_interrupted_leaves_nobody_waiting(
    calls: JoinedCalls, network: Doubling, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Array) -> Array:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(network, "run", interrupted)

    def caught(value: float) -> Array | None:
        try:
            return calls.run(batch(value, 1, 2), 2)
        except KeyboardInterrupt:
            return None

    found = in_threads([partial(caught, value) for value in (1, 2)])
    assert sum(one is None for one in found) == 1
    assert network.views == [1]


def test_labels_are_those_of_single_calls(tmp_path: Path) -> None:
    tiny_artifact(tmp_path / "tiny", tiny_model(5))
    random = np.random.default_rng(0)
    sizes = [(40, 56), (40, 56), (64, 96), (40, 56), (64, 96), (33, 33), (40, 56), (64, 96)]
    pictures = [random.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    with (
        Segmenter.from_pretrained(tmp_path / "tiny", device="cpu") as alone,
        Segmenter.from_pretrained(tmp_path / "tiny", device="cpu", join_calls=0.01) as joined,
    ):
        for procedure in (None, "tiles"):
            found = in_threads([partial(joined.predict, one, procedure) for one in pictures])
            for one, result in zip(pictures, found, strict=True):
                assert np.array_equal(result.labels, alone.predict(one, procedure).labels)
                assert np.array_equal(result.picture, one)
        assert alone._joined is None


def test_a_segmenter_in_other_colours_joins_the_same_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_artifact(tmp_path / "tiny", tiny_model(5))
    joining: list[JoinedCalls] = []
    run = JoinedCalls.run

    def noted(calls: JoinedCalls, batch: Array, most: int) -> Array:
        joining.append(calls)
        return run(calls, batch, most)

    monkeypatch.setattr(JoinedCalls, "run", noted)
    with Segmenter.from_pretrained(tmp_path / "tiny", device="cpu", join_calls=0.001) as opened:
        for segmenter in (opened, opened.with_palette("distinct")):
            segmenter.predict(np.zeros((40, 56, 3), np.uint8))
    assert len(joining) == 2 and joining[0] is joining[1]


@pytest.mark.parametrize("wait", [-0.001, 1.5, float("nan"), float("inf")])
def test_a_wait_that_is_none_is_refused_before_anything_is_opened(wait: float) -> None:
    with pytest.raises(
        ValueError, match=r"join_calls is .*; seconds from 0, .* to 1 were expected"
    ):
        Segmenter.from_pretrained("no-such-model", join_calls=wait)
