import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfcn_infer.benchmark.timing import (
    ENOUGH_FOR_P50,
    ENOUGH_FOR_P90,
    ENOUGH_FOR_P99,
    FEWEST_RUNS,
    PAUSE,
    OtherLoad,
    take_turns,
    timing,
)
from fastfcn_infer.system.machine import peak_memory
from fastfcn_infer.system.stopwatch import timed

SECONDS = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40)


class Clock:
    """Time that passes only when a task says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def task(self, name: str, seconds: float, log: list[str]) -> Callable[[], str]:
        def call() -> str:
            self.now += seconds
            log.append(name)
            return name

        return call


def turns(clock: Clock, calls: Sequence[Callable[[], str]], seconds: float) -> list[list[str]]:
    return take_turns(calls, seconds=seconds, fewest=3, clock=clock, sleep=clock.slept.append)


@given(SECONDS)
def test_a_timing_is_median_and_quartiles_whatever_the_order(values: list[float]) -> None:
    found = timing(values)
    # "inclusive": a median and quartiles of the values themselves, interpolated linearly.
    several = values if len(values) > 1 else 2 * values
    expected = statistics.quantiles(several, n=4, method="inclusive")
    assert [found.lower_quartile, found.median, found.upper_quartile] == pytest.approx(expected)
    assert found.runs == len(values)
    assert timing(sorted(values)) == found


def test_no_runs_cannot_be_summarised() -> None:
    with pytest.raises(ValueError, match="no runs"):
        timing([])


@pytest.mark.parametrize(
    ("runs", "known"), [(1, 0), (4, 0), (5, 1), (63, 1), (64, 2), (661, 2), (662, 3), (1000, 3)]
)
def test_a_percentile_needs_runs_enough(runs: int, known: int) -> None:
    values = np.random.default_rng(runs).gamma(2.0, size=runs)
    found = timing(values.tolist())
    expected = [*np.percentile(values, [50, 90, 99])[:known], *[None] * (3 - known)]
    assert [found.p50, found.p90, found.p99] == pytest.approx(expected)
    assert found.median == pytest.approx(np.median(values))


@pytest.mark.parametrize(("share", "enough"), [(0.9, ENOUGH_FOR_P90), (0.99, ENOUGH_FOR_P99)])
def test_with_runs_enough_two_lie_beyond_the_percentile_almost_surely(
    share: float, enough: int
) -> None:
    def fewer_than_two(runs: int) -> float:  # the binomial distribution
        return share**runs + runs * (1 - share) * share ** (runs - 1)

    assert fewer_than_two(enough) <= 0.01 < fewer_than_two(enough - 1)
    # A median lies outside of its sample with twice the chance of as many heads in a row.
    assert 2 * 0.5**ENOUGH_FOR_P50 < 0.07


def test_equally_fast_functions_alternate() -> None:
    clock, log = Clock(), list[str]()
    found = turns(clock, [clock.task(name, 1.0, log) for name in "ab"], 4.0)
    assert "".join(log) == "abababab"
    assert [len(each) for each in found] == [4, 4]
    assert set(clock.slept) == {PAUSE}


def test_each_gets_the_same_time_and_a_slow_one_is_surrounded_by_a_fast_one() -> None:
    clock, log = Clock(), list[str]()
    found = turns(clock, [clock.task("fast", 1.0, log), clock.task("slow", 4.0, log)], 12.0)
    assert [len(each) for each in found] == [12, 3]
    first, second = (index for index, name in enumerate(log) if name == "slow" and index < 8)
    assert second - first > 3


def test_however_slow_a_function_is_it_runs_often_enough() -> None:
    clock, log = Clock(), list[str]()
    found = turns(clock, [clock.task("slow", 100.0, log)], 1.0)
    assert found == [["slow"] * 3]
    assert clock.slept == []


def test_progress_adds_up_to_the_seconds_asked_for() -> None:
    clock, told = Clock(), list[float]()
    calls = [clock.task("a", 0.7, []), clock.task("b", 5.0, [])]
    take_turns(
        calls, seconds=3.0, fewest=1, advance=told.append, clock=clock, sleep=clock.slept.append
    )
    assert sum(told) == pytest.approx(6.0)


def test_by_default_there_are_five_runs_at_least() -> None:
    assert FEWEST_RUNS == 5
    found = take_turns([lambda: 1], seconds=0.0)
    assert found == [[1] * 5]


def test_a_stage_that_fails_is_not_timed() -> None:
    taken: dict[str, float] = {}
    with pytest.raises(KeyError), timed(taken, "bad"):
        raise KeyError
    with timed(taken, "good"):
        pass
    assert list(taken) == ["good"]
    assert taken["good"] >= 0


def test_the_load_of_other_processes_is_a_share() -> None:
    share = OtherLoad().share()
    assert share is None or 0 <= share <= 1


@pytest.mark.skipif(sys.platform == "win32", reason="unknown there")
def test_peak_memory_is_of_the_process_and_not_of_its_parent() -> None:
    big = np.ones(40_000_000)  # 320 MB
    program = (
        "from fastfcn_infer.system.machine import peak_memory\n"
        "before = peak_memory()\n"
        "held = bytearray(100_000_000)\n"
        "print(before, peak_memory())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    before, after = map(int, ended.stdout.split())
    assert before < 100_000_000 <= after - before + 5_000_000
    own = peak_memory()
    assert own is not None
    assert own > big.nbytes
