"""Batches to learn from: read, augmented and stacked, here or ahead of time in worker processes.

What is in a batch does not depend on the number of workers (see `order`).
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, count

import cv2
import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.data.dataset import Dataset, Sample
from fastfcn_infer.errors import DatasetError
from fastfcn_training.data.augment import augment
from fastfcn_training.data.sampler import Draw, Order
from fastfcn_training.recipe.recipe import Augmentation

Example = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True)
class Batch:
    """What one process learns from at once.

    Args:
        pixels: (N, h, w, 3) uint8 RGB.
        labels: (N, h, w) uint8; 255 is ignored.
        names: of the N samples.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    names: tuple[str, ...]


@contextmanager
def batches(
    dataset: Dataset, plan: Augmentation, order: Order, *, start: int = 0, workers: int = 0
) -> Iterator[Iterator[Batch]]:
    """Read, augment and stack the samples of `dataset`, endlessly.

    On the way out, whatever it is, every worker has ended; workers whose parent was killed end by
    themselves. Workers import the module that the program started with, so that one imports no
    framework at its top and, if it is a script, does its work below ``__name__ == "__main__"``.

    Args:
        dataset: with labels.
        plan: what happens to each picture.
        order: which samples are in which batch.
        start: number of the first batch.
        workers: processes that read ahead; 0: read in the caller's thread when asked.

    Yields:
        An endless iterator of batches.

    Raises:
        ImageError: from the iterator: a picture cannot be read; names the file.
        DatasetError: from the iterator: labels cannot be read or have another size than their
            picture, or a worker died; names the files.
    """
    if workers == 0:
        yield _read_when_asked(dataset, plan, order, start)
        return
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin_work,
        # Samples travel one by one: a data set may have a hundred thousand.
        initargs=(replace(dataset, samples=()), plan, order),
    )
    try:
        yield _read_ahead(pool, workers, dataset.samples, order, start)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def network_input(
    pixels: NDArray[np.uint8], mean: Sequence[float], std: Sequence[float]
) -> NDArray[np.float32]:
    """Normalise pixels (N, h, w, 3), 0..255, for the network: (N, 3, h, w).

    Args:
        pixels: of pictures.
        mean: of each channel, on the scale 0..1.
        std: of each channel, on the same scale.
    """
    result = np.empty((pixels.shape[0], 3, *pixels.shape[1:3]), np.float32)
    for channel in range(3):
        # As the SDK does: a byte has 256 values, one look-up does all the arithmetic.
        table = ((np.arange(256) / 255 - mean[channel]) / std[channel]).astype(np.float32)
        np.take(table, pixels[..., channel], out=result[:, channel], mode="clip")
    return result


def _read_when_asked(
    dataset: Dataset, plan: Augmentation, order: Order, start: int
) -> Iterator[Batch]:
    for number in count(start):
        draws = order.draws(number)
        samples = [dataset.samples[draw.index] for draw in draws]
        pairs = zip(samples, draws, strict=True)
        yield _stack(samples, [_example(dataset, plan, order, *pair) for pair in pairs])


def _read_ahead(
    pool: ProcessPoolExecutor, workers: int, samples: Sequence[Sample], order: Order, start: int
) -> Iterator[Batch]:
    # Two batches, or enough for every worker to have a sample in hand and one to go on with.
    ahead = max(2, -(-2 * workers // order.batch))
    waiting: deque[list[tuple[Sample, Future[Example]]]] = deque()
    try:
        for number in count(start):
            waiting.append([])
            with _no_interrupt():
                for draw in order.draws(number):
                    sample = samples[draw.index]
                    waiting[-1].append((sample, pool.submit(_work, sample, draw)))
            if len(waiting) > ahead:
                chosen = [sample for sample, _ in waiting[0]]
                batch = _stack(chosen, [future.result() for _, future in waiting[0]])
                waiting.popleft()
                yield batch
    except BrokenProcessPool as error:
        raise DatasetError(_death(chain.from_iterable(waiting), workers)) from error


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Put off Ctrl-C; in processes that start here until they have learned to ignore it."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _death(waiting: Iterable[tuple[Sample, Future[Example]]], workers: int) -> str:
    lost = [
        str(sample.picture)
        for sample, future in waiting
        if not future.done() or isinstance(future.exception(), BrokenProcessPool)
    ]
    # Work is begun in order, so the picture it died of is one of the first.
    return (
        f"a worker process died while it read one of {', '.join(lost[: 2 * workers])}. Most often "
        "memory ran out: use fewer workers; with none (0) the cause shows itself"
    )


def _stack(samples: Sequence[Sample], examples: Sequence[Example]) -> Batch:
    return Batch(
        np.stack([pixels for pixels, _ in examples]),
        np.stack([labels for _, labels in examples]),
        tuple(sample.name for sample in samples),
    )


def _example(
    dataset: Dataset, plan: Augmentation, order: Order, sample: Sample, draw: Draw
) -> Example:
    picture, labels = dataset.read(sample)
    return augment(picture, labels, plan, order.generator(draw))


_make_example: Callable[[Sample, Draw], Example]  # set once in each worker


def _begin_work(dataset: Dataset, plan: Augmentation, order: Order) -> None:
    """Make this process a worker."""
    global _make_example
    _make_example = partial(_example, dataset, plan, order)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too; it ends workers
    if hasattr(os, "setpgid"):
        # Paddle's launcher ends whole groups; the parent needs its workers until it has saved.
        os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(0)  # the processes are the parallelism


def _end_with_parent() -> None:
    # A worker that waits for work holds both ends of its pipe, so it would wait for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(sample: Sample, draw: Draw) -> Example:
    return _make_example(sample, draw)
