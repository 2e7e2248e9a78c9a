"""Scores of predicted labels: the confusion matrix, and the metrics that papers report.

The projects that train FastFCN differ only in classes that are neither in the label maps nor
predicted: PaddleSeg counts such a class as found (its release 2.8.0 still as missed), the original
code as missed, mmsegmentation not at all. So every figure names the convention that it follows.
"""

import math
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Convention
from fastfcn_infer.data.label_options import IGNORE

CONVENTIONS: tuple[Convention, ...] = get_args(Convention)

MOST_COUNTED = 4096  # classes; the counts take 8 bytes times its square

_CHUNK = 1 << 20  # pixels counted at a time: 8 MB of indices
_VALUES = 256  # of a label map of at most 255 classes


class Confusion:
    """Counts of pixels by true and predicted class; those of several processes add up.

    Args:
        classes: number of classes, 1 to 4096. Up to 255 classes, 255 is the value of ignored pixels; with
            more of them it is a class, and no pixel is ignored.

    Raises:
        ValueError: there are more or fewer classes.
    """

    def __init__(self, classes: int) -> None:
        if not 1 <= classes <= MOST_COUNTED:
            raise ValueError(
                f"{classes} classes cannot be counted; 1 to {MOST_COUNTED} were expected"
            )
        self._counts = np.zeros((classes, classes), np.int64)

    @classmethod
    def from_counts(cls, counts: NDArray[Any]) -> "Confusion":
        """Take counts (classes, classes) of an earlier run or the sum over processes.

        Raises:
            ValueError: they are not square, not integers, or some are negative.
        """
        if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.dtype.kind not in "iu":
            raise ValueError(
                f"counts of shape {counts.shape} and type {counts.dtype}; "
                "integers (classes, classes) were expected"
            )
        if counts.size and counts.min() < 0:
            raise ValueError(f"a count is {counts.min()}; counts cannot be negative")
        confusion = cls(counts.shape[0])
        confusion._counts += counts.astype(np.int64)
        return confusion

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self._counts)

    @property
    def counts(self) -> NDArray[np.int64]:
        """A copy of the counts (true class, predicted class)."""
        return self._counts.copy()

    @property
    def pixels(self) -> int:
        """Number of pixels that were counted; ignored ones are not."""
        return int(self._counts.sum())

    def add(self, labels: NDArray[Any], truth: NDArray[Any]) -> None:
        """Count the pixels of one or more pictures.

        Args:
            labels: predicted, of any shape, integers 0 to ``classes - 1``.
            truth: of the same shape, integers 0 to ``classes - 1``, or 255 for ignored pixels, if there are at
                most 255 classes.

        Raises:
            ValueError: the shapes differ, or values belong to no class; nothing was counted.
        """
        if labels.shape != truth.shape:
            raise ValueError(
                f"predicted labels have shape {labels.shape}, true labels {truth.shape}"
            )
        _within(labels, self.classes, "predicted labels")
        values = max(_VALUES, self.classes)
        _within(truth, values, "true labels")
        table = np.zeros((values, self.classes), np.int64)
        flat_labels, flat_truth = labels.reshape(-1), truth.reshape(-1)
        for start in range(0, flat_truth.size, _CHUNK):
            pairs = flat_truth[start : start + _CHUNK].astype(np.intp)
            pairs *= self.classes
            pairs += flat_labels[start : start + _CHUNK].astype(np.intp, copy=False)
            table += np.bincount(pairs, minlength=table.size).reshape(table.shape)
        strange = np.flatnonzero(table[self.classes : IGNORE].any(axis=1)) + self.classes
        if strange.size:
            raise ValueError(
                f"true labels of value {', '.join(map(str, strange))}; 0 to {self.classes - 1}, "
                f"or {IGNORE} to ignore, were expected"
            )
        self._counts += table[: self.classes]

    def __add__(self, other: "Confusion") -> "Confusion":
        """Join the counts of two parts.

        Raises:
            ValueError: they have different numbers of classes.
        """
        if self.classes != other.classes:
            raise ValueError(f"counts of {self.classes} and {other.classes} classes do not add up")
        return Confusion.from_counts(self._counts + other._counts)

    def __eq__(self, other: object) -> bool:
        """Tell whether all counts are the same."""
        return isinstance(other, Confusion) and np.array_equal(self._counts, other._counts)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        """Show the number of classes and of counted pixels."""
        return f"Confusion({self.classes} classes, {self.pixels} pixels)"


@dataclass(frozen=True)
class Scores:
    """Scores of a confusion matrix; shares of 1, or not a number if the convention says so.

    Args:
        convention: how classes that are neither in the truth nor predicted are scored.
        mean_iou: mean over the classes of intersection over union.
        pixel_accuracy: share of the counted pixels that are right.
        mean_accuracy: mean over the classes of `recall`.
        kappa: Cohen's; not a number if chance alone would always be right.
        mean_dice: mean over the classes of `dice`.
        iou: of each class, intersection over union.
        precision: of each class, share of its predicted pixels that are right.
        recall: of each class, share of its true pixels that were found; also called its accuracy.
        dice: of each class, twice the intersection over the sum of both areas.
    """

    convention: Convention
    mean_iou: float
    pixel_accuracy: float
    mean_accuracy: float
    kappa: float
    mean_dice: float
    iou: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    dice: tuple[float, ...]

    @property
    def accuracy(self) -> tuple[float, ...]:
        """The recall of each class, by the name that the original code and mmsegmentation use."""
        return self.recall

    @property
    def final(self) -> float:
        """Mean of pixel accuracy and mean IoU, by which the original code chooses checkpoints."""
        return (self.pixel_accuracy + self.mean_iou) / 2


def scores(confusion: Confusion, convention: Convention) -> Scores:
    """Compute the scores by a convention.

    ========== ============ ================================ ==================
    convention IoU, no area other scores of a class, no area mean
    ========== ============ ================================ ==================
    paddleseg  1            0                                of all classes
    fastfcn    0            0                                of all classes
    mmseg      none         none                             of those that have
    ========== ============ ================================ ==================

    If no pixel was counted, every score is not a number.

    Raises:
        ValueError: there is no such convention.

    Source: reference/fastfcn_semantics.md, 5.1.
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"unknown convention {convention!r}; expected {', '.join(CONVENTIONS)}")
    # In float64 from the start: products of areas of a large data set overflow int64.
    counts = confusion.counts.astype(np.float64)
    total = float(counts.sum())
    none = math.nan if convention == "mmseg" or not total else 0.0
    no_union = 1.0 if convention == "paddleseg" and total else none
    both, true, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    iou = _shares(both, true + predicted - both, no_union)
    recall = _shares(both, true, none)
    dice = _shares(2 * both, true + predicted, none)
    right = float(both.sum()) / total if total else math.nan
    return Scores(
        convention,
        mean_iou=_mean(iou),
        pixel_accuracy=right,
        mean_accuracy=_mean(recall),
        kappa=_kappa(true, predicted, right),
        mean_dice=_mean(dice),
        iou=tuple(iou.tolist()),
        precision=tuple(_shares(both, predicted, none).tolist()),
        recall=tuple(recall.tolist()),
        dice=tuple(dice.tolist()),
    )


def mean_iou_of_true_classes(confusion: Confusion) -> float:
    """Compute the mean IoU over the classes that occur in the truth; not a number if none does.

    Two models that are scored on the same pictures are so compared on the same classes: a class that only
    one of them predicts, on few pictures by a few wrong pixels, would lower its mean alone.
    """
    occurs = confusion.counts.any(axis=1)
    return _mean(np.array(scores(confusion, "mmseg").iou)[occurs])


def _kappa(true: NDArray[np.float64], predicted: NDArray[np.float64], right: float) -> float:
    total = float(true.sum())
    by_chance = float((true * predicted).sum()) / total**2 if total else 1.0
    return (right - by_chance) / (1 - by_chance) if by_chance < 1 else math.nan


def _shares(
    part: NDArray[np.float64], whole: NDArray[np.float64], none: float
) -> NDArray[np.float64]:
    shares = np.full(part.shape, none)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def _mean(shares: NDArray[np.float64]) -> float:
    known = shares[~np.isnan(shares)]
    return float(known.mean()) if known.size else math.nan


def _within(values: NDArray[Any], limit: int, what: str) -> None:
    if values.dtype.kind not in "iu":
        raise ValueError(f"{what} of type {values.dtype}; integers were expected")
    if values.size and not (values.min() >= 0 and values.max() < limit):
        raise ValueError(
            f"{what} from {values.min()} to {values.max()}; 0 to {limit - 1} were expected"
        )
