"""What a measurement needs beside its numbers: on which machine, with which versions, how often.

The other benchmarks build on this: `environment` for the stamp of a results file, `median_seconds`
for one function, `race` for several that shall be compared, `laps` and `ratio` where the ratio of
two is the answer, `Neighbours` for whether the machine was quiet.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_PACKAGES = (
    "fastfcn-infer",
    "numpy",
    "opencv-python-headless",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "paddlepaddle",
    "torch",
)


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


def median_seconds(
    function: Callable[[], object], *, seconds: float = 2.0, repeats: int | None = None
) -> Timing:
    """Time a function after one call that is not counted.

    Args:
        function: called without arguments; what it returns is dropped.
        seconds: how long to go on, at least three calls; ignored if `repeats` is given.
        repeats: how many calls to time.
    """
    if repeats is not None:
        return race({"": function}, repeats=repeats)[""]
    function()
    taken = [_seconds(function) for _ in range(3)]
    while sum(taken) < seconds:
        taken.append(_seconds(function))
    return timing(taken)


def race(contestants: Mapping[str, Callable[[], object]], *, repeats: int) -> dict[str, Timing]:
    """Time several functions in turn, so that what else the machine does hits them alike.

    Args:
        contestants: functions by name; each is called once more than counted.
        repeats: how many calls of each to time.
    """
    return {name: timing(taken) for name, taken in laps(contestants, repeats=repeats).items()}


def laps(
    contestants: Mapping[str, Callable[[], object]], *, repeats: int, pause: float = 0.0
) -> dict[str, list[float]]:
    """Time several functions in turn and return the seconds of every call.

    Args:
        contestants: functions by name; each is called once more than counted.
        repeats: how many calls of each to time.
        pause: seconds to wait before each call; runtimes' idle threads go on spinning for a
            while and would slow the next contestant.
    """
    for function in contestants.values():
        function()
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, function in contestants.items():
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
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "load_average_1_min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "matrix_product_gflops": round(matrix_product_gflops(), 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions(),
    }


def cpu_model() -> str:
    """Name the processor, as far as the system tells."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """List the versions of those packages that are installed and matter to a measurement."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def matrix_product_gflops(sizes: tuple[int, ...] = (1536, 1792, 2048), repeats: int = 4) -> float:
    """Measure the machine's single-precision matrix product, NumPy's BLAS, all its threads.

    The best of several sizes and repeats, in 10^9 floating-point operations per second: a bound
    for what a network of convolutions can reach here, and a check that two runs of a benchmark
    were made on equally fast machines.
    """
    rng = np.random.default_rng(0)
    best = 0.0
    for size in sizes:
        left, right = rng.random((2, size, size), dtype=np.float32)
        out = np.empty_like(left)
        for _ in range(repeats):
            start = time.perf_counter()
            np.matmul(left, right, out=out)
            best = max(best, 2e-9 * size**3 / (time.perf_counter() - start))
    return best


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return median, lower and upper quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
    return median, lower, upper
