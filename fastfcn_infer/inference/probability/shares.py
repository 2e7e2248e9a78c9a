"""Probabilities of the classes in a tile of a picture, of as few classes as matter there.

What is left out of a tile has together less than exp(-20) = 2e-9 of the probability.
"""

from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.inference.interpolation import Floats
from fastfcn_infer.inference.labels import Labels
from fastfcn_infer.inference.scores import Indices, Tile

Meaning: TypeAlias = Literal["logits", "probabilities", "sums"]

_NEGLIGIBLE = 20.0  # as in `bounds`
_SLACK = np.float32(1e-5)  # of the largest score, as in `bounds`


class ScoresOfPicture(Protocol):
    """Merged scores that are computed where they are asked for."""

    @property
    def classes(self) -> int:
        """How many there are."""

    def at(self, rows: slice, columns: slice) -> Tile:
        """Return what is known of the scores of a tile."""


class Found(NamedTuple):
    """Some classes of a tile.

    Args:
        classes: (K,) ascending.
        shares: (K, rows, columns) their probabilities.
        rank: (K, rows, columns) larger for a class with a larger probability, also where the
            probabilities are 0 in float32.
    """

    classes: Indices
    shares: Floats
    rank: Floats

    def places(self, labels: Labels) -> Indices:
        """Return the place of each pixel's label among the classes, (1, rows, columns)."""
        return np.searchsorted(self.classes, labels)[None]

    def of(self, labels: Labels) -> Floats:
        """Return the probability of each pixel's label, (rows, columns)."""
        return np.asarray(np.take_along_axis(self.shares, self.places(labels), 0)[0])


class Shares:
    """Turns the scores of a picture into probabilities.

    Args:
        scores: of the picture.
        meaning: of the scores. ``logits``: the probabilities are their softmax; ``probabilities``; or
            ``sums``, which become probabilities when they are divided by their total.
        shift: is added to the logits of class 1; other than 0 for networks of one logit only.
        groups: (C,) the class that each class is added to; None: each is on its own.
    """

    def __init__(
        self,
        scores: ScoresOfPicture,
        meaning: Meaning,
        shift: float = 0.0,
        groups: Indices | None = None,
    ) -> None:
        self._scores, self._meaning, self._shift = scores, meaning, shift
        self._groups = groups

    def tile(
        self, rows: slice, columns: slice, *, wanted: Indices | None = None, most: int = 1
    ) -> Found:
        """Compute the probabilities of the classes that matter in a tile.

        Args:
            rows: of the picture, with start and stop.
            columns: likewise.
            wanted: classes that are to be among them.
            most: the classes with this many of the largest probabilities are among them everywhere.
        """
        tile = self._scores.at(rows, columns)
        groups = np.arange(self._scores.classes) if self._groups is None else self._groups
        chosen = self._counted(tile)
        if most > 1:
            chosen |= self._may_lead(tile, most)
        if wanted is not None:
            chosen |= np.isin(groups, wanted)
        classes = np.flatnonzero(chosen)
        scores = tile.compute(classes)
        shares = self._normalised(scores, classes)
        if self._groups is None:
            return Found(classes, shares, scores)
        return _added_up(groups[classes], shares)

    def _counted(self, tile: Tile) -> NDArray[np.bool_]:
        """Tell which classes matter for the sum of all."""
        count = len(tile.low)
        if self._shift:
            return np.ones(count, np.bool_)
        best = tile.low.max()
        if self._meaning == "logits":
            return np.asarray(tile.high >= best - np.float32(_NEGLIGIBLE + np.log(count)))
        return np.asarray(tile.high >= best * np.float32(np.exp(-_NEGLIGIBLE) / count))

    def _may_lead(self, tile: Tile, most: int) -> NDArray[np.bool_]:
        """Tell which classes may have one of the largest scores of a pixel."""
        count = len(tile.low)
        if self._groups is not None or most >= count:
            return np.ones(count, np.bool_)
        least = np.partition(tile.low, count - most)[count - most]
        return np.asarray(tile.high >= least - _SLACK * np.abs(tile.high).max())

    def _normalised(self, scores: Floats, classes: Indices) -> Floats:
        if self._meaning == "probabilities":
            return scores
        if self._meaning == "sums":
            total = np.maximum(scores.sum(0), np.finfo(np.float32).tiny)
            return np.asarray(scores / total)
        shares = scores.copy()
        if self._shift:
            shares[classes == 1] += np.float32(self._shift)
        shares -= shares.max(0)
        np.exp(shares, out=shares)
        shares /= shares.sum(0)
        return shares


def _added_up(groups: Indices, shares: Floats) -> Found:
    """Add up the probabilities of the classes of each group."""
    classes, places = np.unique(groups, return_inverse=True)
    found = np.zeros((len(classes), *shares.shape[1:]), np.float32)
    for place, share in zip(places.tolist(), shares, strict=True):
        found[place] += share
    return Found(classes, found, found)
