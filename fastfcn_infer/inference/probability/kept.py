"""The scores that a result keeps: what the network computed for the views of a picture, at its own stride."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Output
from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.inference.interpolation import Floats
from fastfcn_infer.inference.labels import Labels
from fastfcn_infer.inference.merge import merge
from fastfcn_infer.inference.probability.shares import Found, Meaning, ScoresOfPicture, Shares
from fastfcn_infer.inference.probability.upsampled import Upsampled
from fastfcn_infer.inference.scores import TILE, Indices, Scores
from fastfcn_infer.inference.views import Size, View


@dataclass(frozen=True, eq=False)
class KeptScores:
    """What a picture was labelled from; can be copied and pickled.

    Args:
        views: of the picture.
        outputs: (C, h, w) for each view.
        labels: (H, W) the class with the largest score of every pixel.
        procedure: how the views are merged.
        align_corners: convention of the upsampling.
        output: of the graph.
        groups: the class that each class is added to; None: each is on its own.
    """

    views: tuple[View, ...]
    outputs: tuple[NDArray[Any], ...]
    labels: Labels
    procedure: Procedure
    align_corners: bool
    output: Output
    groups: tuple[int, ...] | None = None

    @property
    def size(self) -> Size:
        """Height and width of the picture, pixels."""
        return self.labels.shape[0], self.labels.shape[1]

    @property
    def nbytes(self) -> int:
        """Memory of the scores, bytes."""
        return sum(output.nbytes for output in self.outputs)

    @property
    def is_balanced(self) -> bool:
        """Tell whether the label is the class with the largest probability, and not one by a threshold."""
        return self.output.is_balanced

    def grouped(self, groups: Sequence[int], labels: Labels) -> "KeptScores":
        """Add the probabilities of classes up.

        Args:
            groups: the new class of each class.
            labels: (H, W) the new class of every pixel.
        """
        before = range(len(groups)) if self.groups is None else self.groups
        return replace(self, labels=labels, groups=tuple(groups[index] for index in before))

    def shares(self) -> Shares:
        """Return what computes the probabilities of a tile."""
        return shares_of(self._scores(), self.procedure, self.output, self.groups)

    def tiles(self) -> Iterator[tuple[slice, slice]]:
        """Yield the rows and the columns of tiles that cover the picture."""
        return tiles(slice(0, self.size[0]), slice(0, self.size[1]))

    def computed(
        self, of_tile: Callable[[Found, Labels], Floats], wanted: Indices | None = None
    ) -> Floats:
        """Compute something of every pixel, tile by tile.

        Args:
            of_tile: computes it, (..., rows, columns), from the probabilities and the labels of a tile.
            wanted: classes whose probabilities are needed everywhere.

        Returns:
            (..., H, W) float32.
        """
        shares, found = self.shares(), None
        for rows, columns in self.tiles():
            tile = shares.tile(rows, columns, wanted=wanted)
            values = of_tile(tile, self.labels[rows, columns])
            if found is None:
                found = np.empty((*values.shape[:-2], *self.size), np.float32)
            found[..., rows, columns] = values
        if found is None:
            raise ValueError("a picture without pixels has no scores")
        return found

    def _scores(self) -> ScoresOfPicture:
        if self.procedure.is_whole:
            merged = merge(self.views, self.outputs, self.size)
            return Upsampled(merged, align_corners=self.align_corners)
        return Scores(
            self.views,
            self.outputs,
            self.size,
            self.procedure,
            align_corners=self.align_corners,
            probabilities=self.output.name == "probabilities",
        )


def tiles(rows: slice, columns: slice) -> Iterator[tuple[slice, slice]]:
    """Yield the rows and the columns of tiles that cover some of a picture."""
    for top in range(rows.start, rows.stop, TILE[0]):
        for left in range(columns.start, columns.stop, TILE[1]):
            bottom, right = min(top + TILE[0], rows.stop), min(left + TILE[1], columns.stop)
            yield slice(top, bottom), slice(left, right)


def meaning_of(procedure: Procedure, output: Output) -> Meaning:
    """Say what the scores of a picture are, by how its views are merged and what the graph gives."""
    if output.name == "probabilities" or procedure.merge == "probabilities":
        return "probabilities"
    return "sums" if procedure.merge == "exp" else "logits"


def shares_of(
    scores: ScoresOfPicture,
    procedure: Procedure,
    output: Output,
    groups: Sequence[int] | None = None,
) -> Shares:
    """Return what turns scores into probabilities.

    Args:
        scores: of a picture.
        procedure: how its views are merged.
        output: of the graph.
        groups: the class that each class is added to; None: each is on its own.
    """
    alone = groups is None or list(groups) == list(range(len(groups)))
    return Shares(
        scores,
        meaning_of(procedure, output),
        log_odds(output.threshold),
        None if alone else np.array(groups),
    )


def log_odds(threshold: float | None) -> float:
    """Return what was taken from the only logit of a network with a threshold; 0 for other networks."""
    return 0.0 if threshold is None else log(threshold / (1 - threshold))


def on_its_own(output: NDArray[Any]) -> NDArray[Any]:
    """Return an output, copied if it would keep the outputs of other views in memory."""
    whole = output if output.base is None else output.base
    size = getattr(whole, "nbytes", None)
    return output.copy() if size is None or size > output.nbytes else output
