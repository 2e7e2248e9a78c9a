"""The network is timed for a few sizes only, and never for long."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Input
from fastfcn_infer.runtime import pace
from fastfcn_infer.runtime.backend import RuntimeFacts
from fastfcn_infer.runtime.pace import Pace

GIVEN = Input("image", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), (0.0, 0.0, 0.0))


class Clockwork:
    """A backend that takes a second for so many views, and the clock that shows it."""

    facts = RuntimeFacts("none", "none", "cpu", 1, {})

    def __init__(self, views_a_second: float) -> None:
        self.now, self._rate = 0.0, views_a_second
        self.new_shape = 0.0  # seconds
        self.slow_calls = 1  # of a new shape
        self.shapes: list[tuple[int, ...]] = []

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        met = self.shapes.count(batch.shape) >= self.slow_calls
        self.now += 0.0 if met else self.new_shape
        self.shapes.append(batch.shape)
        self.now += len(batch) / self._rate
        return np.zeros(1)

    def close(self) -> None:
        pass

    def perf_counter(self) -> float:
        return self.now


def started(views_a_second: float, monkeypatch: pytest.MonkeyPatch) -> Clockwork:
    clock = Clockwork(views_a_second)
    monkeypatch.setattr(pace, "time", clock)
    return clock


def test_a_fast_network_is_timed_with_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = started(100, monkeypatch)
    rate = Pace(clock, GIVEN).rate((480, 480), 8)
    assert rate.views == 8
    assert rate.seconds == pytest.approx(0.08)


def test_on_a_gpu_the_two_first_calls_of_a_shape_do_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = started(100, monkeypatch)
    clock.facts = RuntimeFacts("none", "none", "cuda", 1, {})
    clock.new_shape, clock.slow_calls = 0.5, 2
    rate = Pace(clock, GIVEN).rate((480, 480), 8)
    assert rate.views == 8
    assert rate.seconds == pytest.approx(0.08)


def test_a_slow_one_with_a_single_view(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = started(0.1, monkeypatch)
    rate = Pace(clock, GIVEN).rate((480, 480), 8)
    assert rate.views == 1
    assert rate.seconds == pytest.approx(10)
    assert len(clock.shapes) == 1


@pytest.mark.parametrize("speed", [0.6, 1, 3, 10, 100])
def test_it_takes_a_few_seconds_at_most(speed: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = started(speed, monkeypatch)
    Pace(clock, GIVEN).rate((480, 480), 8)
    assert clock.now <= 6


def test_a_folder_of_many_sizes_is_measured_for_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = started(100, monkeypatch)
    measured = Pace(clock, GIVEN)
    for side in range(300, 900):
        rate = measured.rate((side, side + 7), 1)
        assert 0.8 <= np.prod(rate.canvas) / (side * (side + 7)) <= 1.25
    assert len({shape[2:] for shape in clock.shapes}) <= 12


@pytest.mark.parametrize("views", [1, 8])
@pytest.mark.parametrize("longer", [0.0, 0.03, 1.5])
def test_what_a_new_size_costs_is_measured_beside_the_rate(
    longer: float, views: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = started(100, monkeypatch)
    clock.new_shape = longer
    rate = Pace(clock, GIVEN).rate((480, 480), views)
    assert rate.new_size == pytest.approx(longer)
    assert rate.seconds == pytest.approx(0.01 * views)


def test_a_graph_that_fixes_the_batch_is_fed_that(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = started(100, monkeypatch)
    fixed = Input("pixels", *(GIVEN.mean, GIVEN.std, GIVEN.padding), shape=(3, 64, 96))
    assert Pace(clock, fixed).rate((64, 96), 3).views == 3
    assert {shape for shape in clock.shapes} == {(3, 64, 96, 3)}
