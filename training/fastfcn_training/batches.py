"""A stream of batches that depends on nothing but its seed and the number of the batch.

The order of epoch e is a permutation drawn from (seed, e); what happens to sample i in it is drawn
from (seed, e, i). So batch t is the same with any number of workers, several processes see together
what one with the same global batch sees, and going on at batch t needs no state but t.

As in both originals an epoch ends where no full global batch is left: its last samples are left
out, other ones in every epoch.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count

import cv2
import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.dataset import Dataset, Sample
from fastfcn_infer.errors import DatasetError
from fastfcn_training.augment import augment
from fastfcn_training.recipe import Augmentation

Example = tuple[NDArray[np.uint8], NDArray[np.uint8]]

_PREFETCH = 2  # batches that workers make ahead of the one that is learned


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


@dataclass(frozen=True)
class Draw:
    """One sample of one epoch.

    Args:
        epoch: counted from 0.
        index: of the sample in its data set.
    """

    epoch: int
    index: int


@dataclass(frozen=True)
class Order:
    """Which samples are in which batch.

    Args:
        samples: number of samples of the data set.
        batch: samples of a batch of one process.
        seed: of the order and of the augmentation; 0 or more.
        rank: number of this process, from 0.
        world: number of processes.

    Raises:
        DatasetError: the data set is smaller than one global batch.
    """

    samples: int
    batch: int
    seed: int
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        """Refuse a data set without a single full batch."""
        if self.batches_per_epoch == 0:
            raise DatasetError(
                f"the data set has {self.samples} samples, fewer than one batch of "
                f"{self.batch} in each of {self.world} processes; use a smaller batch"
            )

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches that each process sees in an epoch."""
        return self.samples // (self.batch * self.world)

    def draws(self, number: int) -> tuple[Draw, ...]:
        """List the samples of this process's batch `number`, counted from 0."""
        epoch, position = divmod(number, self.batches_per_epoch)
        start = (position * self.world + self.rank) * self.batch
        chosen = self._generator(epoch).permutation(self.samples)[start : start + self.batch]
        return tuple(Draw(epoch, index) for index in chosen.tolist())

    def generator(self, draw: Draw) -> np.random.Generator:
        """Make the source of everything random about one sample of one epoch."""
        return self._generator(draw.epoch, draw.index)

    def _generator(self, *key: int) -> np.random.Generator:
        # The key apart from the seed: as one list (s, e) and (s, e, 0) would give the same numbers.
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


@contextmanager
def batches(
    dataset: Dataset, plan: Augmentation, order: Order, *, start: int = 0, workers: int = 0
) -> Iterator[Iterator[Batch]]:
    """Read, augment and stack the samples of `dataset`, endlessly.

    On the way out, whatever it is, every worker has ended; workers whose parent was killed end by
    themselves.

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
        # Samples travel one by one: a data set has up to hundreds of thousands.
        initargs=(replace(dataset, samples=()), plan, order),
    )
    try:
        yield _read_ahead(pool, dataset.samples, order, start)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def network_input(
    pixels: NDArray[np.uint8], mean: Sequence[float], std: Sequence[float]
) -> NDArray[np.float32]:
    """Normalise pixels (N, h, w, 3) for the network: (N, 3, h, w).

    Args:
        pixels: 0..255.
        mean: of each channel, on the scale 0..1.
        std: of each channel, on the scale 0..1.
    """
    scale = 1 / (255 * np.asarray(std, np.float64))
    shift = -np.asarray(mean, np.float64) / np.asarray(std, np.float64)
    result = np.empty((pixels.shape[0], 3, *pixels.shape[1:3]), np.float32)
    for channel in range(3):
        plane = result[:, channel]
        np.multiply(pixels[..., channel], np.float32(scale[channel]), out=plane)
        plane += np.float32(shift[channel])
    return result


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


def _read_when_asked(
    dataset: Dataset, plan: Augmentation, order: Order, start: int
) -> Iterator[Batch]:
    for number in count(start):
        draws = order.draws(number)
        samples = [dataset.samples[draw.index] for draw in draws]
        pairs = zip(samples, draws, strict=True)
        yield _stack(samples, [_example(dataset, plan, order, *pair) for pair in pairs])


def _read_ahead(
    pool: ProcessPoolExecutor, samples: Sequence[Sample], order: Order, start: int
) -> Iterator[Batch]:
    waiting: deque[tuple[list[Sample], list[Future[Example]]]] = deque()
    try:
        for number in count(start):
            draws = order.draws(number)
            chosen = [samples[draw.index] for draw in draws]
            futures = [pool.submit(_work, *pair) for pair in zip(chosen, draws, strict=True)]
            waiting.append((chosen, futures))
            if len(waiting) > _PREFETCH:
                chosen, futures = waiting.popleft()
                yield _stack(chosen, [future.result() for future in futures])
    except BrokenProcessPool as error:
        raise DatasetError(_died(waiting, chosen, futures)) from error


def _died(
    waiting: Sequence[tuple[list[Sample], list[Future[Example]]]],
    chosen: list[Sample],
    futures: list[Future[Example]],
) -> str:
    suspects = [
        str(sample.picture)
        for samples, results in ((chosen, futures), *waiting)
        for sample, result in zip(samples, results, strict=False)
        if not result.done() or result.exception() is not None
    ]
    return (
        "a worker process died while it was reading one of these pictures: "
        f"{', '.join(suspects)}; is there enough memory? Use fewer workers, or 0 to see the cause"
    )


_work_on: Callable[[Sample, Draw], Example]


def _begin_work(dataset: Dataset, plan: Augmentation, order: Order) -> None:
    """Make this process a worker; runs once in it."""
    global _work_on
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(0)  # the processes are the parallelism
    _work_on = lambda sample, draw: _example(dataset, plan, order, sample, draw)  # noqa: E731


def _end_with_parent() -> None:
    # A worker that waits for work holds both ends of the pipe and would wait for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(sample: Sample, draw: Draw) -> Example:
    return _work_on(sample, draw)
