"""Callers in many threads share calls of the network: batches of equal shape are joined to one.

The first caller of a shape waits a moment for others, and then computes what has come together; the
others wait for it. Nothing runs in the background.
"""

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.inference.pipeline import Network

LONGEST = 1.0  # seconds that a caller may be kept waiting


@dataclass
class _Group:
    """Batches that are computed together.

    Args:
        most: views in all of them.
        views: so far.
    """

    most: int
    views: int = 0
    batches: list[NDArray[Any]] = field(default_factory=list)
    outputs: list[NDArray[Any]] = field(
        default_factory=list
    )  # none if they could not be computed together
    full: threading.Event = field(default_factory=threading.Event)  # wait for nobody else
    done: threading.Event = field(default_factory=threading.Event)

    def add(self, batch: NDArray[Any]) -> int:
        """Add a batch; return its place."""
        self.batches.append(batch)
        self.views += len(batch)
        if self.views >= self.most:
            self.full.set()
        return len(self.batches) - 1


def check_wait(seconds: float) -> None:
    """Refuse a time that callers cannot be kept waiting.

    Raises:
        ValueError: it is not from 0, nobody waits, to `LONGEST`.
    """
    if not 0 <= seconds <= LONGEST:
        raise ValueError(
            f"join_calls is {seconds}; seconds from 0, no call waits for others, to {LONGEST:g} were expected"
        )


class JoinedCalls:
    """A network whose callers, each in a thread of its own, share calls."""

    def __init__(self, network: Network, wait: float) -> None:
        """Join the calls of a network.

        Args:
            network: computes batches of any number of views.
            wait: seconds that a caller waits for others at most, up to `LONGEST`.

        Raises:
            ValueError: `wait` is out of range.
        """
        check_wait(wait)
        self._network, self._wait = network, wait
        self._lock = threading.Lock()
        self._open: dict[tuple[Any, ...], _Group] = {}
        self._closed = False

    def run(self, batch: NDArray[Any], most: int) -> NDArray[Any]:
        """Compute a batch, together with those of other threads.

        Args:
            batch: see `pipeline.Network.run`.
            most: views in a call.

        Raises:
            Exception: what the network raises for this batch by itself. Others are not affected.
        """
        if len(batch) >= most or self._closed:
            return self._network.run(batch)
        key = (batch.dtype, *batch.shape[1:])
        with self._lock:
            group = self._open.get(key)
            if group is not None and group.views + len(batch) > group.most:
                group.full.set()
                group = None
            if leads := group is None:
                group = self._open[key] = _Group(most)
            place = group.add(batch)
            if group.full.is_set() and self._open.get(key) is group:
                del self._open[key]
        if leads:
            self._compute(key, group)
        else:
            group.done.wait()
        return group.outputs[place] if group.outputs else self._network.run(batch)

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._lock:
            self._closed = True
            for group in self._open.values():
                group.full.set()

    def _compute(self, key: tuple[Any, ...], group: _Group) -> None:
        """Wait for others and compute what came together; if that fails, each caller computes its own."""
        try:
            group.full.wait(self._wait)
            with self._lock:
                if self._open.get(key) is group:
                    del self._open[key]
            if len(group.batches) > 1:
                group.outputs = self._together(group.batches)
        except Exception:  # noqa: BLE001 - of whichever batch; its caller gets it from a call of its own
            group.outputs = []
        finally:
            with self._lock:  # also after Ctrl-C, so that nobody joins a group without a leader
                if self._open.get(key) is group:
                    del self._open[key]
            group.done.set()

    def _together(self, batches: list[NDArray[Any]]) -> list[NDArray[Any]]:
        output = self._network.run(np.concatenate(batches))
        ends = np.cumsum([len(batch) for batch in batches])
        if len(output) < ends[-1]:
            return []
        # Copies: who keeps the scores of a picture does not keep those of the others.
        return [
            output[end - len(batch) : end].copy() for end, batch in zip(ends, batches, strict=True)
        ]


class Caller:
    """The network of one caller."""

    def __init__(self, calls: JoinedCalls, most: int) -> None:
        self._calls, self._most = calls, most

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Compute a batch; see `JoinedCalls.run`."""
        return self._calls.run(batch, self._most)
