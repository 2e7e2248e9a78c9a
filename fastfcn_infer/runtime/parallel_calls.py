"""Many pictures on a processor: several calls of the network at a time, each with a part of the threads.

Threads that share one call wait for each other at every layer, and for whatever else runs on their
processors: pictures that are decoded, results that are written. Calls of a thread each never do, so they
label more pictures a second; but each takes longer, so single pictures keep all threads. Runtimes fix the
number of threads when they open a graph, so it is opened a second time.
"""

import threading
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from fastfcn_infer.runtime.backend import Backend
from fastfcn_infer.system.machine import available_memory

MANY = 64  # pictures, at least; to open the graph again takes as long as several
_LARGE = (
    1 << 20
)  # bytes of weights that ask for another picture: a large graph takes longer to open
_MOST_CALLS = 4
_MOST_VALUES = 8 * 512 * 512 * 3  # of all calls together, as of the batches that they replace
_COPIES = 4  # of the weights, that a second graph takes at most, with what it computes


class ParallelCalls:
    """Opens a graph again for several calls at a time, the first time that many pictures are labelled.

    Backends that can do so have a method ``in_parallel(calls)``, which returns the new one.
    """

    def __init__(self, backend: Backend, weights: int) -> None:
        """Prepare; nothing is opened.

        Args:
            backend: the opened graph.
            weights: their bytes.
        """
        self._backend, self._weights = backend, weights
        on_processor = backend.facts.device == "cpu"
        self._open: Callable[[int], Backend] | None = (
            getattr(backend, "in_parallel", None) if on_processor else None
        )
        self.calls = min(_MOST_CALLS, backend.facts.threads)
        self._many = max(MANY, weights // _LARGE)
        self._lock = threading.Lock()
        self._several: Backend | None = None
        self._closed = False

    def network(self, pictures: int | None) -> "SeveralCalls | None":
        """Return what labels so many pictures with several calls at a time; None where that gains nothing.

        Args:
            pictures: how many there are; None if unknown.

        Raises:
            BackendError: the runtime failed.
        """
        if pictures is None or pictures < self._many or self._open is None or self.calls < 2:
            return None
        with self._lock:
            if self._closed:
                return None  # the other graph is closed as well, and says so
            if self._several is None:
                free = available_memory()
                if free is not None and free < _COPIES * self._weights:
                    return None
                self._several = self._open(self.calls)
            return SeveralCalls(self._backend, self._several, self.calls)

    def close(self) -> None:
        """Release the second graph."""
        with self._lock:
            self._closed = True
            if self._several is not None:
                self._several.close()


class SeveralCalls:
    """A network for several threads at a time; large batches take turns, with all threads for each."""

    def __init__(self, one: Backend, several: Backend, calls: int) -> None:
        self._one, self._several, self.calls = one, several, calls
        self._turn = threading.Lock()

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Compute a batch; see `backend.Backend.run`."""
        if self.calls * batch.size <= _MOST_VALUES:
            return self._several.run(batch)
        with self._turn:
            return self._one.run(batch)
