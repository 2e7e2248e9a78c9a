"""The time that each stage of some work takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def timed(taken: dict[str, float], stage: str) -> Iterator[None]:
    """Add the seconds that the body of a ``with`` takes to those of a stage, unless it fails."""
    began = time.perf_counter()
    yield
    taken[stage] = taken.get(stage, 0.0) + time.perf_counter() - began
