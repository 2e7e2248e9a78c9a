"""Label many pictures: read the next ones, run the network, and use the results at the same time."""

import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.errors import FastFCNError
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.inference.stream.source import Item, Source
from fastfcn_infer.inference.views import Size
from fastfcn_infer.picture.read import PictureSource
from fastfcn_infer.system.opencv import cv2, short_of_memory

OnError: TypeAlias = Literal["raise", "skip", "return"]
ON_ERROR = ("raise", "skip", "return")

_ERRORS = (FastFCNError, OSError, MemoryError, cv2.error)  # of one picture
_READERS = 4  # threads that decode pictures
_WAITING = 8  # results that the caller has not taken yet
_TICK = 0.1  # seconds between looks at whether the stream was closed


@dataclass(frozen=True)
class Failed:
    """A picture of a stream that has no labels.

    Args:
        error: why.
        source: its path; None for an object without one.
        frame: number of the frame in a video.
    """

    error: Exception
    source: str | None = None
    frame: int | None = None


@dataclass(frozen=True)
class Decoded:
    """A picture of a stream, read.

    Args:
        item: where it comes from.
        pixels: (H, W, channels), as `multiband.read_pixels` returns them.
        seconds: that reading took.
        together: how many pictures of its size to label at a time.
    """

    item: Item
    pixels: NDArray[Any]
    seconds: float
    together: int = 1

    @property
    def size(self) -> Size:
        """Height and width, pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


class Steps:
    """What a stream does with each picture.

    Args:
        read: decodes a picture, as `multiband.read_pixels`.
        label: labels some pictures with shared calls of the network, in their order.
        together: how many pictures of a size to label at a time.
        at_once: how many calls of `label` at the same time; several where a GPU computes, so that it does
            not wait for what processors do before and after.
    """

    def __init__(
        self,
        read: Callable[[PictureSource], NDArray[Any]],
        label: Callable[[Sequence[Decoded]], list[Segmentation]],
        together: Callable[[Size], int],
        at_once: int = 1,
    ) -> None:
        self.read, self.label, self.together, self.at_once = read, label, together, at_once

    def decode(self, item: Item) -> Decoded | Failed:
        """Read a picture; an error is a value."""
        began = time.perf_counter()
        try:
            with short_of_memory():
                pixels = self.read(item.picture)
            seconds = time.perf_counter() - began
            together = self.together((pixels.shape[0], pixels.shape[1]))
        except _ERRORS as error:
            return Failed(error, item.source, item.frame)
        return Decoded(item, pixels, seconds, together)

    def label_all(self, pictures: Sequence[Decoded]) -> list[Segmentation | Failed]:
        """Label some pictures; if that fails, one by one, so that a bad one fails alone."""
        try:
            with short_of_memory():
                return [*self.label(pictures)]
        except _ERRORS as error:
            if len(pictures) == 1:
                return [Failed(error, pictures[0].item.source, pictures[0].item.frame)]
        return [found for one in pictures for found in self.label_all([one])]


class Stream:
    """The labels of many pictures, in the order of the source. Iterate over it, once.

    Pictures are read by some threads and labelled by another one while the caller uses the results.
    At most a few batches are held at a time, so that memory does not grow with the length of the
    source. Use it in a ``with``, or call `close`, to stop before the end.
    """

    def __init__(self, source: Source, steps: Steps, *, on_error: OnError = "raise") -> None:
        """Begin to read; usually called by `Segmenter.stream`."""
        if on_error not in ON_ERROR:
            raise ValueError(
                f"on_error is {on_error!r}; one of {', '.join(ON_ERROR)} was expected"
            )
        self._source, self._on_error = source, on_error
        self._changes: list[float] = []  # shares of labels that differ from the frame before
        self._before: Segmentation | None = None
        self.done = 0
        self.failed = 0
        worker = _Worker(source, steps)
        self._outcomes, self._stop = worker.outcomes, worker.stop
        self._thread = threading.Thread(target=worker.run, name="fastfcn-stream", daemon=True)
        # The worker does not know the stream, so one that is forgotten stops.
        self._finalize = weakref.finalize(self, _stop, worker, source)
        self._thread.start()

    @property
    def count(self) -> int | None:
        """Number of pictures in the source; None if unknown."""
        return self._source.count

    @property
    def dropped(self) -> int:
        """Frames of a live source that came while the network was busy, and were not labelled."""
        return 0 if self._source.camera is None else self._source.camera.dropped

    @property
    def flicker(self) -> float | None:
        """Mean share of pixels whose label differs from the frame before; None before two frames."""
        return sum(self._changes) / len(self._changes) if self._changes else None

    def __iter__(self) -> Iterator[Segmentation | Failed]:
        """Return itself."""
        return self

    def __next__(self) -> Segmentation | Failed:
        """Wait for the next picture.

        Raises:
            FastFCNError, OSError, MemoryError: the picture cannot be read or labelled, and errors
                are raised. The stream is closed then.
            Exception: whatever the iterable of the caller raised.
        """
        while not self._stop.is_set():
            try:
                found = self._outcomes.get(timeout=_TICK)
            except queue.Empty:
                continue  # look whether another thread closed the stream
            if found is None:
                break
            if isinstance(found, Segmentation):
                self.done += 1
                self._compare(found)
                return found
            if isinstance(found, Failed):
                self.failed += 1
                if self._on_error == "skip":
                    continue
                if self._on_error == "return":
                    return found
                found = found.error
            self.close()
            raise found
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Stop reading and labelling; waits for what is in progress. Calling it again is harmless."""
        self._finalize()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> "Stream":
        """Use the stream in a ``with``."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def _compare(self, found: Segmentation) -> None:
        if found.frame is None:
            return
        before, self._before = self._before, found
        if before is not None and before.size == found.size:
            self._changes.append(float(np.mean(before.labels != found.labels)))


def _stop(worker: "_Worker", source: Source) -> None:
    worker.stop.set()
    if source.camera is not None:
        source.camera.close()


class _Worker:
    """Reads and labels in the background; its outcomes are in the order of the source, then None."""

    def __init__(self, source: Source, steps: Steps) -> None:
        self._source, self._steps = source, steps
        self._live = source.camera is not None
        self._at_once = (
            1 if self._live else steps.at_once
        )  # of a live source the newest comes first
        self._labelling: deque[Future[list[Segmentation | Failed]]] = deque()
        self.stop = threading.Event()
        self.outcomes: queue.Queue[Segmentation | Failed | Exception | None] = queue.Queue(
            _WAITING
        )

    def run(self) -> None:
        """Work until the source ends, fails, or the stream is closed."""
        try:
            with (
                ThreadPoolExecutor(_READERS, "fastfcn-read") as readers,
                ThreadPoolExecutor(self._at_once, "fastfcn-label") as labellers,
            ):
                self._labellers = labellers
                self._work(readers)
        except Exception as error:  # noqa: BLE001 - of the caller's iterable; raised where he iterates
            self._put(error)
        else:
            self._put(None)

    def _work(self, readers: ThreadPoolExecutor) -> None:
        ahead: deque[Future[Decoded | Failed]] = deque()
        items = iter(self._source.items)
        batch: list[Decoded] = []
        ended, failure = False, None
        while not self.stop.is_set() and not (ended and not ahead):
            while not ended and len(ahead) < (1 if self._live else 2 * _READERS):
                try:
                    item = next(items)
                except StopIteration:
                    ended = True
                except Exception as error:  # noqa: BLE001 - after the pictures before it
                    ended, failure = True, error
                else:
                    ahead.append(readers.submit(self._steps.decode, item))
            if not ahead:
                continue
            found = ahead.popleft().result()
            if isinstance(found, Failed):
                self._label(batch)
                self._put_labelled(0)
                self._put(found)
                continue
            batch.append(found)
            if self._live or len(batch) >= min(one.together for one in batch):
                self._label(batch)
        self._label(batch)
        self._put_labelled(0)
        if failure is not None:
            raise failure

    def _label(self, batch: list[Decoded]) -> None:
        if batch and not self.stop.is_set():
            # With one at a time this waits for it.
            self._labelling.append(self._labellers.submit(self._steps.label_all, tuple(batch)))
            self._put_labelled(self._at_once - 1)
        batch.clear()

    def _put_labelled(self, most: int) -> None:
        """Wait until at most so many batches are in work, and pass on the results of the others."""
        while len(self._labelling) > most:
            for found in self._labelling.popleft().result():
                self._put(found)

    def _put(self, found: Segmentation | Failed | Exception | None) -> None:
        while not self.stop.is_set():
            try:
                self.outcomes.put(found, timeout=_TICK)
            except queue.Full:
                continue
            return
