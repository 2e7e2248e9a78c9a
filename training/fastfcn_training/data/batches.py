"""Training batches: read, augmented and stacked, in this process or ahead of time in workers.

The content of a batch does not depend on the number of workers (see `sampler`).
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

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.data.dataset import Dataset, Sample
from fastfcn_infer.errors import DatasetError, ImageError
from fastfcn_infer.system.opencv import cv2
from fastfcn_training.data.augment import augment
from fastfcn_training.data.sampler import Draw, Sampler
from fastfcn_training.recipe.recipe import Augmentation

Example = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True)
class Batch:
    """A batch of one process.

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
    dataset: Dataset, plan: Augmentation, sampler: Sampler, *, start: int = 0, workers: int = 0
) -> Iterator[Iterator[Batch]]:
    """Read, augment and stack the samples of `dataset`, endlessly.

    All workers have ended when the context is left, for whatever reason; workers whose parent was
    killed end by themselves. Workers import the program's main module, so that must not import a
    framework at its top, and a script must do its work below ``__name__ == "__main__"``.

    Args:
        dataset: with labels.
        plan: augmentation of each picture.
        sampler: selects the samples of each batch.
        start: number of the first batch.
        workers: processes that read ahead; 0: read in the caller's thread on demand.

    Yields:
        An endless iterator of batches.

    Raises:
        ImageError: from the iterator: a picture cannot be read or would become too large; names the file.
        DatasetError: from the iterator: labels cannot be read or have another size than their
            picture, or a worker died; names the files.
    """
    if workers == 0:
        yield _read_on_demand(dataset, plan, sampler, start)
        return
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        # Samples are sent one by one: a data set may have a hundred thousand.
        initargs=(replace(dataset, samples=()), plan, sampler),
    )
    try:
        yield _read_ahead(pool, workers, dataset.samples, sampler, start)
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
        # As in the SDK: a byte has 256 values, so one table look-up does all the arithmetic.
        table = ((np.arange(256) / 255 - mean[channel]) / std[channel]).astype(np.float32)
        np.take(table, pixels[..., channel], out=result[:, channel], mode="clip")
    return result


def _read_on_demand(
    dataset: Dataset, plan: Augmentation, sampler: Sampler, start: int
) -> Iterator[Batch]:
    for number in count(start):
        draws = sampler.draws(number)
        samples = [dataset.samples[draw.index] for draw in draws]
        pairs = zip(samples, draws, strict=True)
        yield _stack(samples, [_example(dataset, plan, sampler, *pair) for pair in pairs])


def _read_ahead(
    pool: ProcessPoolExecutor,
    workers: int,
    samples: Sequence[Sample],
    sampler: Sampler,
    start: int,
) -> Iterator[Batch]:
    # Two batches, or enough for every worker to have one sample in progress and one waiting.
    ahead = max(2, -(-2 * workers // sampler.batch))
    waiting: deque[list[tuple[Sample, Future[Example]]]] = deque()
    try:
        for number in count(start):
            waiting.append([])
            with _no_interrupt():
                for draw in sampler.draws(number):
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
    """Delay Ctrl-C, also in workers started here until they ignore it."""
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
    # Work is begun in sampler, so the picture it died of is one of the first.
    return (
        f"a worker process died while reading one of {', '.join(lost[: 2 * workers])}. Usually memory "
        "ran out: use fewer workers; with --workers 0 the cause becomes visible"
    )


def _stack(samples: Sequence[Sample], examples: Sequence[Example]) -> Batch:
    return Batch(
        np.stack([pixels for pixels, _ in examples]),
        np.stack([labels for _, labels in examples]),
        tuple(sample.name for sample in samples),
    )


def _example(
    dataset: Dataset, plan: Augmentation, sampler: Sampler, sample: Sample, draw: Draw
) -> Example:
    picture, labels = dataset.read(sample)
    try:
        return augment(picture, labels, plan, sampler.generator(draw))
    except ImageError as error:
        raise ImageError(f"{sample.picture}: {error}") from error


_make_example: Callable[[Sample, Draw], Example]  # set once in each worker


def _start_worker(dataset: Dataset, plan: Augmentation, sampler: Sampler) -> None:
    """Make this process a worker."""
    global _make_example
    _make_example = partial(_example, dataset, plan, sampler)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets Ctrl-C too, and ends workers
    if hasattr(os, "setpgid"):
        # Paddle's launcher ends whole process groups; the parent needs its workers until it has saved.
        os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(0)  # the processes are the parallelism


def _end_with_parent() -> None:
    # A worker waiting for work holds both ends of its pipe, so it would wait forever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(sample: Sample, draw: Draw) -> Example:
    return _make_example(sample, draw)
