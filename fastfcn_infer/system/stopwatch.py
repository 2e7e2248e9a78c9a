"""Seconds of a stage of the work."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def timed(taken: dict[str, float], stage: str) -> Iterator[None]:
    """Write down the seconds that the body of a ``with`` takes, unless it fails."""
    began = time.perf_counter()
    yield
    taken[stage] = time.perf_counter() - began
