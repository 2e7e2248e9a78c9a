"""Timing and the facts that belong to a measurement: machine, versions, number of calls.

The other benchmarks build on this: `environment` for the stamp of a results file, `median_seconds`
for one function, `race` for several that are compared, `laps` and `ratio` if the ratio of
two is wanted. What `fastfcn benchmark` needs as well is in `fastfcn_infer.benchmark.timing`:
`OtherLoad` for whether the machine was quiet.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastfcn_infer.benchmark.environment
from fastfcn_infer.system import record
from fastfcn_infer.system.atomic import write_file


class Timing(NamedTuple):
    """Seconds of one call, over `repeats` calls; quartiles, since a shared machine has outliers."""

    median: float
    lower_quartile: float
    upper_quartile: float
    repeats: int


class Ratio(NamedTuple):
    """Quotient of two things timed in turn: median and quartiles of the quotient of each turn."""

    median: float
    lower_quartile: float
    upper_quartile: float
    turns: int


def median_seconds(
    function: Callable[[], object], *, seconds: float = 2.0, repeats: int | None = None
) -> Timing:
    """Time a function after one call that is not counted.

    Args:
        function: called without arguments; what it returns is dropped.
        seconds: how long to continue, at least three calls; ignored if `repeats` is given.
        repeats: how many calls to time.
    """
    if repeats is not None:
        return race({"": function}, repeats=repeats)[""]
    function()
    taken = [_seconds(function) for _ in range(3)]
    while sum(taken) < seconds:
        taken.append(_seconds(function))
    return timing(taken)


def race(candidates: Mapping[str, Callable[[], object]], *, repeats: int) -> dict[str, Timing]:
    """Time several functions in turn, so that other load of the machine hits them alike.

    Args:
        candidates: functions by name; each is called once more than counted.
        repeats: how many calls of each to time.
    """
    return {name: timing(taken) for name, taken in laps(candidates, repeats=repeats).items()}


def laps(
    candidates: Mapping[str, Callable[[], object]],
    *,
    repeats: int,
    pause: float = 0.0,
    warm: bool = True,
) -> dict[str, list[float]]:
    """Time several functions in turn and return the seconds of every call.

    Args:
        candidates: functions by name; each is called once more than counted.
        repeats: how many calls of each to time.
        warm: False: all were called before, and every call is counted.
        pause: seconds to wait before each call; runtimes' idle threads keep spinning for a
            while and would slow the next candidate.
    """
    if warm:
        for function in candidates.values():
            function()
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(repeats):
        for name, function in candidates.items():
            time.sleep(pause)
            taken[name].append(_seconds(function))
    return taken


def timing(taken: Sequence[float]) -> Timing:
    """Summarise the seconds of several calls."""
    return Timing(*_quartiles(taken), len(taken))


def ratio(over: Sequence[float], under: Sequence[float]) -> Ratio:
    """Divide what was timed in the same turns, turn by turn.

    What slows the machine for longer than a turn then cancels out.
    """
    quotients = [a / b for a, b in zip(over, under, strict=True)]
    return Ratio(*_quartiles(quotients), len(quotients))


def environment() -> dict[str, Any]:
    """Describe machine and software: the stamp of a results file, ready for JSON."""
    return dict(record.to_data(fastfcn_infer.benchmark.environment.environment()))


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return median, lower and upper quartile."""
    median, lower, upper = np.quantile(values, [0.5, 0.25, 0.75]).tolist()
    return median, lower, upper


def write_results(results: Mapping[str, Any], path: Path | None) -> None:
    """Write the JSON of a run in one step: an earlier file is replaced, or stays what it was.

    Args:
        results: all of it.
        path: as ``--output`` names it; None: nothing is written.
    """
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, (json.dumps(results, indent=2) + "\n").encode())
