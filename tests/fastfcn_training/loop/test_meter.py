import numpy as np
import pytest

from fastfcn_training.loop.meter import Meter


def test_losses_are_means_over_the_iterations() -> None:
    meter = Meter()
    meter.add(np.asarray([1.0, 2.0, 3.0, 4.0]), 8, 0.0)
    meter.add(np.asarray([3.0, 2.0, 1.0, 0.0]), 8, 0.0)
    assert meter.losses == [2, 2, 2, 2]
    assert meter.iterations == 2


def test_speed_and_waiting_are_of_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    meter = Meter()
    for _ in range(4):
        meter.add(np.zeros(4), 6, 0.5)
    now[0] = 108.0
    assert meter.images_per_second == 24 / 8
    assert meter.data_share == 2 / 8
    assert meter.seconds_per_iteration == 2.0


def test_a_meter_that_counted_nothing_divides_by_nothing() -> None:
    meter = Meter()
    assert meter.losses == [0, 0, 0, 0]
    assert meter.images_per_second == 0
