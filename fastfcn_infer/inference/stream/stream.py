"""Label many pictures: read the next ones, run the network, and use the results at the same time."""

import os
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.errors import BackendError
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.inference.stream.source import Item, Source
from fastfcn_infer.inference.views import Size
from fastfcn_infer.picture.read import PictureSource
from fastfcn_infer.system.opencv import short_of_memory

OnError: TypeAlias = Literal["raise", "skip", "return"]
ON_ERROR = ("raise", "skip", "return")

_READERS = 4  # threads that decode pictures
_MOST = 24  # pictures between the source and the caller: being read, labelled, and not taken yet
_LEAST = 3  # so that reading, labelling and the caller's work overlap
_MOST_PIXELS = 64 << 20  # of these pictures together, unless `_LEAST` are more
_LIVE = 2  # of a live source: one is labelled, the next one waits
_TICK = 0.1  # seconds between looks at whether the stream was closed
_GLANCE = 0.005  # seconds between looks for pictures that were read, while a call could be begun


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


Outcome: TypeAlias = Segmentation | Failed


class Steps:
    """What a stream does with each picture.

    Args:
        read: decodes a picture, as `multiband.read_pixels`.
        label: labels some pictures with shared calls of the network, in their order.
        together: how many pictures of a size to label at a time.
        at_once: how many calls of `label` at the same time; several where a GPU computes, so that it does
            not wait for what processors do before and after.
        ready: how many more are prepared, so that none of these calls waits for an earlier one that is late.
    """

    def __init__(
        self,
        read: Callable[[PictureSource], NDArray[Any]],
        label: Callable[[Sequence[Decoded]], list[Segmentation]],
        together: Callable[[Size], int],
        at_once: int = 1,
        ready: int = 0,
    ) -> None:
        self.read, self.label, self.together = read, label, together
        self.at_once, self.ready = at_once, ready

    def decode(self, item: Item, *, lent: bool = False) -> Decoded | Failed:
        """Read a picture; an error is a value.

        Args:
            item: of the source.
            lent: its array is the caller's, who may use it for the next picture.
        """
        if item.error is not None:
            return Failed(item.error, item.source, item.frame)
        began = time.perf_counter()
        try:
            with short_of_memory():
                pixels = self.read(item.picture)
                pixels = pixels.copy() if lent else pixels
            seconds = time.perf_counter() - began
            together = self.together((pixels.shape[0], pixels.shape[1]))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this picture's
            return Failed(error, item.source, item.frame)
        return Decoded(replace(item, picture=b""), pixels, seconds, together)

    def label_all(self, pictures: Sequence[Decoded | Failed]) -> list[Outcome]:
        """Label those pictures that were read; if that fails, one by one, so that a bad one fails alone."""
        found = iter(self._labelled([one for one in pictures if isinstance(one, Decoded)]))
        return [next(found) if isinstance(one, Decoded) else one for one in pictures]

    def _labelled(self, pictures: Sequence[Decoded]) -> list[Outcome]:
        if not pictures:
            return []
        try:
            with short_of_memory():
                return [*self.label(pictures)]
        except Exception as error:  # noqa: BLE001 - as above
            if len(pictures) == 1:
                return [Failed(error, pictures[0].item.source, pictures[0].item.frame)]
        return [found for one in pictures for found in self._labelled([one])]


class Stream:
    """The labels of many pictures, in the order of the source. Iterate over it, once.

    One thread runs through the source, some decode files, and another labels, while the caller uses the
    results. At most 24 pictures are held, fewer if they are large, so that memory does not grow with the
    length of the source. Use it in a ``with``, or call `close`, to stop before the end.
    """

    def __init__(
        self, source: Source, steps: Steps, *, on_error: OnError = "raise", compare: bool = False
    ) -> None:
        """Begin to read; usually called by `Segmenter.stream`.

        Args:
            source: of the pictures.
            steps: what is done with each.
            on_error: one of `ON_ERROR`.
            compare: all pictures are frames of a video, for `flicker`, also where the source is no video.
        """
        check_on_error(on_error)
        self._source, self._on_error, self._are_frames = source, on_error, compare
        # Shares of labels that differ from the frame before.
        self._changes, self._compared = 0.0, 0
        self._before: Segmentation | None = None
        self.done = 0
        self.failed = 0
        self._work = _Work(source, steps)
        # The threads do not know the stream, so one that is forgotten stops.
        self._stop = weakref.finalize(self, self._work.stop)
        self._work.start()

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
        """Mean share of pixels whose label differs from the frame before.

        None before two frames of one size, and of pictures that are no frames: neither of a video nor smoothed.
        """
        return self._changes / self._compared if self._compared else None

    def __iter__(self) -> "Stream":
        """Return itself."""
        return self

    def __next__(self) -> Outcome:
        """Wait for the next picture.

        Raises:
            FastFCNError, OSError, MemoryError: the picture cannot be read or labelled, and errors
                are raised. The stream is closed then.
            BackendError: this process was forked from the one whose threads do the work.
            BaseException: whatever the iterable of the caller raised, after its pictures.
        """
        while (found := self._work.take()) is not None:
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
        """Stop reading and labelling; waits for what is being labelled. Calling it again is harmless.

        A source that waits for something itself is not waited for.
        """
        self._stop()
        self._work.join()

    def __enter__(self) -> "Stream":
        """Use the stream in a ``with``."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _compare(self, found: Segmentation) -> None:
        if found.frame is None and not self._are_frames:
            return
        before, self._before = self._before, found
        if before is not None and before.size == found.size:
            self._changes += float(np.mean(before.labels != found.labels))
            self._compared += 1


def check_on_error(on_error: str) -> None:
    """Refuse a word that is none of `ON_ERROR`.

    Raises:
        ValueError: it is none.
    """
    if on_error not in ON_ERROR:
        raise ValueError(f"on_error is {on_error!r}; one of {', '.join(ON_ERROR)} was expected")


class _Work:
    """Reads and labels in the background; its outcomes are in the order of the source.

    The feeder runs through the source, as long as there is room; the labeller takes what was read, as
    much as is there up to a batch, so that a slow source never makes results wait.
    """

    def __init__(self, source: Source, steps: Steps) -> None:
        self._source, self._steps = source, steps
        self._process = os.getpid()
        live = source.camera is not None
        self._most = _LIVE if live else _MOST
        self._at_once = 1 if live else steps.at_once  # of a live source the newest comes first
        self._read: queue.SimpleQueue[Future[Decoded | Failed] | BaseException | None] = (
            queue.SimpleQueue()
        )
        self._outcomes: queue.SimpleQueue[Outcome | BaseException | None] = queue.SimpleQueue()
        self._held = 0  # pictures that were taken from the source and not by the caller
        self._largest = 1  # pixels
        self._changed = threading.Condition()
        self._stopped = self._ended = False
        self._ending: BaseException | None = None  # what the source raised in the end
        self._next: Future[Decoded | Failed] | None = None
        self._labeller = threading.Thread(target=self._label, name="fastfcn-stream", daemon=True)
        self._feeder = threading.Thread(target=self._feed, name="fastfcn-feed", daemon=True)

    def start(self) -> None:
        """Start the threads."""
        self._labeller.start()
        self._feeder.start()

    def stop(self) -> None:
        """Let the threads end; what is being labelled is finished."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._source.camera is not None:
            self._source.camera.close()

    def join(self) -> None:
        """Wait until nothing is labelled any more."""
        if threading.current_thread() is not self._labeller:
            self._labeller.join()

    def take(self) -> Outcome | BaseException | None:
        """Wait for the next outcome; None: there is none, or the work was stopped."""
        while not self._stopped:
            if os.getpid() != self._process:
                raise BackendError(
                    "This stream was opened before a fork, and its threads stayed in the other process; open the "
                    "model and the stream in this one."
                )
            try:
                found = self._outcomes.get(timeout=_TICK)
            except queue.Empty:
                continue  # look whether another thread closed the stream
            with self._changed:
                self._held -= 1
                self._changed.notify_all()
            return found
        return None

    def _feed(self) -> None:
        """Run through the source; what it raises comes after its pictures."""
        ending: BaseException | None = None
        readers = ThreadPoolExecutor(_READERS, "fastfcn-read")
        items = iter(self._source.items)
        try:
            while self._has_room():
                item = next(items)
                with self._changed:
                    self._held += 1
                self._read.put(self._begin(item, readers))
        except StopIteration:
            pass
        except BaseException as error:  # noqa: BLE001 - of the caller's iterable; raised where he iterates
            ending = error
        finally:
            self._read.put(ending)
            readers.shutdown(wait=False, cancel_futures=self._stopped)
            if self._source.close is not None:
                self._source.close()

    def _begin(self, item: Item, readers: ThreadPoolExecutor) -> Future[Decoded | Failed]:
        """Decode a file in another thread; anything else at once, before the caller's iterable goes on.

        It may lend a buffer, or close a file, when it is asked for the next picture.
        """
        if isinstance(item.picture, str | os.PathLike | bytes):
            return readers.submit(self._steps.decode, item)
        found: Future[Decoded | Failed] = Future()
        found.set_result(self._steps.decode(item, lent=item.lent))
        return found

    def _has_room(self) -> bool:
        """Wait for room for another picture; False: the work was stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._held < self._room())
        return not self._stopped

    def _room(self) -> int:
        return min(self._most, max(_LEAST, _MOST_PIXELS // self._largest))

    def _label(self) -> None:
        """Label what was read, and pass on the outcomes."""
        labelling: deque[Future[list[Outcome]]] = deque()
        most = self._at_once + self._steps.ready
        with ThreadPoolExecutor(self._at_once, "fastfcn-label") as labellers:
            while not self._stopped and (labelling or not self._ended):
                if len(labelling) < most and (batch := self._gather(wait=not labelling)):
                    labelling.append(labellers.submit(self._steps.label_all, batch))
                    if len(labelling) < most:
                        continue  # perhaps more was read
                if labelling and len(labelling) < most and not self._ended:
                    futures.wait([labelling[0]], timeout=_GLANCE)
                    if not labelling[0].done():
                        continue  # perhaps more was read meanwhile
                if labelling:
                    for found in labelling.popleft().result():
                        self._outcomes.put(found)
            for waiting in labelling:  # of a stream that was closed
                waiting.cancel()
        self._outcomes.put(self._ending)

    def _gather(self, *, wait: bool) -> list[Decoded | Failed]:
        """Take pictures that were read, up to a batch.

        Args:
            wait: for the first one; otherwise what is there is taken, perhaps nothing.
        """
        batch: list[Decoded | Failed] = []
        while not self._stopped and not self._ended:
            if len(batch) >= min(
                (one.together for one in batch if isinstance(one, Decoded)), default=_MOST
            ):
                break
            may_wait = wait and not batch
            if self._next is None and not self._take_next(may_wait):
                if may_wait:
                    continue  # look whether the stream was closed
                break
            if self._next is None or not (may_wait or self._next.done()):
                break
            try:
                found = self._next.result()
            except CancelledError:  # before it was decoded, as the stream was closed
                break
            self._next = None
            if isinstance(found, Decoded):
                self._largest = max(self._largest, found.size[0] * found.size[1])
            batch.append(found)
        return batch

    def _take_next(self, wait: bool) -> bool:
        """Take what is read next, which may not be decoded yet; False: there is nothing."""
        try:
            found = self._read.get(timeout=_TICK) if wait else self._read.get_nowait()
        except queue.Empty:
            return False
        if isinstance(found, Future):
            self._next = found
        else:
            self._ended, self._ending = True, found
        return True
