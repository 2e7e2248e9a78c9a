"""Reliable timings: functions take turns, and percentiles are given only for enough runs."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

T = TypeVar("T")

# With as many runs, at least two of them are slower than the percentile in 99 of 100 measurements; with fewer
# the percentile may lie anywhere above the slowest of them. Source: MLPerf's inference rules, early stopping
# of a single stream (reference/reliability.md, 4.2).
ENOUGH_FOR_P50 = 5  # between the fastest and the slowest of five lies the median in 94 of 100
ENOUGH_FOR_P90 = 64
ENOUGH_FOR_P99 = 662

FEWEST_RUNS = 5
PAUSE = 0.05  # seconds; idle threads of a runtime keep spinning and would slow the next candidate


@dataclass(frozen=True)
class Timing:
    """Seconds of one run; quartiles, since a shared machine has outliers.

    `median` is that of the runs, however few. `p50`, `p90` and `p99` speak of runs to come, and are None if
    there were too few for them.
    """

    median: float
    lower_quartile: float
    upper_quartile: float
    p90: float | None
    p99: float | None
    runs: int
    p50: float | None = None  # the last, as older reports lack it


def timing(taken: Sequence[float]) -> Timing:
    """Summarise the seconds of several runs.

    Raises:
        ValueError: there are no runs.
    """
    count = len(taken)
    if not count:
        raise ValueError("no runs were timed, so there is nothing to summarise")
    lower, median, upper, p90, p99 = np.quantile(taken, [0.25, 0.5, 0.75, 0.9, 0.99]).tolist()
    return Timing(
        median,
        lower,
        upper,
        p90 if count >= ENOUGH_FOR_P90 else None,
        p99 if count >= ENOUGH_FOR_P99 else None,
        count,
        median if count >= ENOUGH_FOR_P50 else None,
    )


def distribution(taken: Sequence[float]) -> tuple[float, ...]:
    """Return the quantiles of some runs' seconds in steps of 5 %, the fastest and the slowest included."""
    return tuple(np.quantile(taken, np.linspace(0, 1, 21)).tolist())


def take_turns(
    calls: Sequence[Callable[[], T]],
    *,
    seconds: float,
    fewest: int = FEWEST_RUNS,
    advance: Callable[[float], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> list[list[T]]:
    """Call several functions in turn, so that a slow spell of the machine slows them all.

    The function with the least time so far is called next: functions of equal speed alternate,
    and each call of a slow one is followed by many of a fast one.

    Args:
        calls: the functions, already warmed up.
        seconds: of calls for each function.
        fewest: calls of each function, however long they take.
        advance: called with the seconds of work just done, at most `seconds` per function in all.
        clock: returns seconds; tests pass their own.
        sleep: called when the turn changes.

    Returns:
        For each function, what its calls returned.
    """
    used = [0.0] * len(calls)
    results: list[list[T]] = [[] for _ in calls]
    last = None
    while True:
        waiting = [
            index
            for index, found in enumerate(results)
            if used[index] < seconds or len(found) < fewest
        ]
        if not waiting:
            return results
        index = min(waiting, key=used.__getitem__)
        if last not in (None, index):
            sleep(PAUSE)
        last = index
        began = clock()
        results[index].append(calls[index]())
        before, used[index] = used[index], used[index] + clock() - began
        if advance is not None:
            advance(min(used[index], seconds) - min(before, seconds))


class OtherLoad:
    """The load that other processes put on this machine from now on; timings need it to be low."""

    def __init__(self) -> None:
        self._began = self._now()

    def share(self) -> float | None:
        """Return the share of all processors' time that others used; None if unknown.

        Others are other processes, except for this one's finished children, and other virtual
        machines on the same processor ("steal").
        """
        began, now = self._began, self._now()
        if began is None or now is None:
            return None
        busy, own, total = (after - before for before, after in zip(began, now, strict=True))
        return round(max(0.0, busy - own) / max(total, 1e-9), 3)

    def _now(self) -> tuple[float, float, float] | None:
        listing = Path("/proc/stat")
        if not listing.is_file():
            return None
        tick = os.sysconf("SC_CLK_TCK")
        fields = [
            int(field) / tick for field in listing.read_text().split("\n", 1)[0].split()[1:9]
        ]
        idle = fields[3] + fields[4]  # idle, waiting for the disk
        return sum(fields) - idle, sum(os.times()[:4]), sum(fields)
