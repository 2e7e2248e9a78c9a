"""Score a model: compare its labels with those of a data set, picture by picture."""

import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Convention, Input, Network
from fastfcn_infer.data.dataset import Dataset, Sample
from fastfcn_infer.errors import BackendError, DatasetError, ImageError, WriteError
from fastfcn_infer.evaluation.metrics import Confusion, Scores, scores
from fastfcn_infer.evaluation.plan import Plan
from fastfcn_infer.evaluation.state import Tally, write_state
from fastfcn_infer.inference.predictor import Predictor
from fastfcn_infer.system.opencv import short_of_memory
from fastfcn_infer.system.writing import DISK_ERRORS, make_folder

_AHEAD = 2  # pictures that are read while the network works
_WRITE_EVERY = 5.0  # seconds

# For artifacts of earlier exporters, whose manifests do not say it: the original code and its port score
# alike, and what else they knew is scored as PaddleSeg does.
_CONVENTION_OF_DIALECT: Mapping[str, Convention] = {
    "wuhuikai": "fastfcn",
    "ncpaddle": "fastfcn",
    "mmseg": "mmseg",
}

# Errors that need not concern the next picture.
_OF_ONE_PICTURE = (ImageError, DatasetError, MemoryError, BackendError, WriteError)

_Pair: TypeAlias = tuple[NDArray[Any], NDArray[np.uint8]]  # picture, labels


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of an evaluation.

    Args:
        model: its name.
        dataset: name of the data set.
        split: name of its part.
        convention: the convention of `scores`; `confusion` can be scored by others.
        names: names of the classes, in the order of the labels.
        confusion: pixels by true and predicted class.
        pictures: number of pictures that were counted.
        failed: names of the pictures that could not be counted -> why.
        seconds: from reading the first file to the last count, earlier parts of the run included.
        provenance: model, runtime, versions.
        trained: whether the model was trained on some of the pictures; None: unknown.
        warnings: what a reader of the scores has to know, one sentence each.
        notes: what was assumed, one sentence each.
    """

    model: str
    dataset: str
    split: str
    convention: Convention
    names: tuple[str, ...]
    confusion: Confusion
    pictures: int
    failed: Mapping[str, str]
    seconds: float
    provenance: Mapping[str, str] = field(default_factory=dict)
    trained: bool | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def scores(self) -> Scores:
        """The scores by the convention."""
        return scores(self.confusion, self.convention)

    @property
    def images_per_second(self) -> float:
        """Pictures per second, from files to counts; 0 if none was counted."""
        return self.pictures / self.seconds if self.seconds else 0.0


def default_convention(network: Network) -> Convention:
    """Return the convention that a checkpoint's training or authors score by."""
    return network.convention or _CONVENTION_OF_DIALECT.get(network.dialect, "paddleseg")


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    planned: Plan,
    convention: Convention | None = None,
    advance: Callable[[], None] | None = None,
) -> Evaluation:
    """Run a plan; whatever ends it, the state holds every picture counted until then.

    Args:
        predictor: the model.
        dataset: pictures with labels.
        planned: what to do, and what was done already.
        convention: the convention of the scores; None: that of the checkpoint's training or authors.
        advance: called after every picture.

    Raises:
        BackendError: the runtime failed on two pictures in a row; one that fails alone is reported.
        WriteError: the state could not be written, or the disk of the predictions is full.
    """
    convention = convention or default_convention(predictor.model.network)
    scores(planned.tally.confusion, convention)  # refuses an unknown one now, not in an hour
    tally = planned.tally
    dataset = replace(dataset, label_orientation=planned.label_orientation)
    _save(planned, tally)
    began = written = time.monotonic()
    refused, done = False, 0  # the picture before, by the runtime; pictures to report
    try:
        with closing(_read_ahead(dataset, planned.todo, predictor.model.input)) as reading:
            for index, sample, reader in reading:
                counted = tally.has_counted(index, sample.name)  # only its prediction is missing
                try:
                    found = _count(predictor, len(dataset.classes), sample, reader, planned)
                except _OF_ONE_PICTURE as error:
                    of_runtime = isinstance(error, BackendError)
                    if counted or (refused and of_runtime) or _is_of_disk(error):
                        raise
                    refused, now = of_runtime, time.monotonic()
                    tally = tally.failing(index, sample.name, _reason(error), now - began)
                else:
                    refused, now = False, time.monotonic()
                    if not counted:
                        tally = tally.counting(index, sample.name, found, now - began)
                began = now
                if now - written > _WRITE_EVERY:
                    _save(planned, tally)
                    written = now
                done += 1
                if not refused:  # else the next picture tells whether the runtime can go on
                    done = _advance(advance, done)
        _advance(advance, done)
    finally:
        _save(planned, tally)
    return Evaluation(
        predictor.model.name,
        dataset.name,
        dataset.split,
        convention,
        tuple(info.name for info in dataset.classes),
        tally.confusion,
        tally.counted,
        tally.failed,
        tally.seconds,
        predictor.provenance,
        planned.trained,
        planned.warnings,
        planned.notes,
    )


def _count(
    predictor: Predictor, classes: int, sample: Sample, reader: "Future[_Pair]", planned: Plan
) -> Confusion:
    with short_of_memory():
        picture, truth = reader.result()
        result = predictor.predict(picture)
        target = planned.prediction(sample)
        if target is not None:
            make_folder(target.parent)
            result.save(target, kind="labels")
    confusion = Confusion(classes)
    confusion.add(result.labels, truth)
    return confusion


def _advance(advance: Callable[[], None] | None, done: int) -> int:
    """Report pictures as done; returns how many are left to report."""
    if advance is not None:
        for _ in range(done):
            advance()
    return 0


def _is_of_disk(error: Exception) -> bool:
    return isinstance(error, WriteError) and error.errno in DISK_ERRORS


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"it needs more memory than there is: {error}"
    return str(error)


def _read_ahead(
    dataset: Dataset, todo: Sequence[tuple[int, Sample]], given: Input
) -> Generator[tuple[int, Sample, "Future[_Pair]"]]:
    """Read the next pictures and labels while the network works on the current one."""
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[tuple[int, Sample, Future[_Pair]]] = deque()
        for index, sample in todo:
            waiting.append((index, sample, pool.submit(dataset.read, sample, given)))
            if len(waiting) > _AHEAD:
                yield waiting.popleft()
        yield from waiting


def _save(planned: Plan, tally: Tally) -> None:
    if planned.state is not None:
        make_folder(planned.state.parent)
        write_state(planned.state, planned.run, tally)
