"""Times that can be trusted: taken in turn, summarised by what their number supports."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# Source: MLPerf's inference rules, early stopping of a single stream (reference/reliability.md,
# 4.2): with fewer runs the percentile may lie anywhere above the slowest of them.
ENOUGH_FOR_P90 = 64
ENOUGH_FOR_P99 = 662

FEWEST_RUNS = 5
PAUSE = 0.05  # seconds; runtimes' idle threads go on spinning and would slow the next contestant


@dataclass(frozen=True)
class Timing:
    """Seconds of one run; quartiles, since a shared machine has outliers.

    `p90` and `p99` are None where there were too few runs to tell.
    """

    median: float
    lower_quartile: float
    upper_quartile: float
    p90: float | None
    p99: float | None
    runs: int


def timing(taken: Sequence[float]) -> Timing:
    """Summarise the seconds of several runs, one at least."""
    count = len(taken)
    return Timing(
        quantile(taken, 0.5),
        quantile(taken, 0.25),
        quantile(taken, 0.75),
        quantile(taken, 0.9) if count >= ENOUGH_FOR_P90 else None,
        quantile(taken, 0.99) if count >= ENOUGH_FOR_P99 else None,
        count,
    )


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of the values lie below, interpolated linearly.

    Args:
        values: in any order, one at least.
        share: 0..1.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no run was timed: there is no quantile")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def take_turns(
    calls: Sequence[Callable[[], T]],
    *,
    seconds: float,
    fewest: int = FEWEST_RUNS,
    advance: Callable[[float], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> list[list[T]]:
    """Call several functions until each has had its time, so that a slow machine is so for all.

    Whoever has had the least time is next: functions of the same speed alternate, and a slow one
    is surrounded by many calls of a fast one.

    Args:
        calls: the contestants, warmed up.
        seconds: for each.
        fewest: calls of each, however long they take.
        advance: told of every second of the work that is done, at most `seconds` for each.
        clock: of seconds; another one in tests.
        sleep: pauses when the turn changes.

    Returns:
        For each contestant what its calls returned.
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


class Neighbours:
    """Counts what others do on this machine from now on; a comparison wants them quiet."""

    def __init__(self) -> None:
        self._began = self._now()

    def share(self) -> float | None:
        """Return the share of all processors' time that others took; None where nobody tells.

        Others are other processes, but not this one's finished children, and other machines on
        the same processor ("steal").
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
