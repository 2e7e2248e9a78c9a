"""Which classes can win a pixel of a tile, for all tiles of a band at once.

A score is a mean of interpolated values, each between the smallest and the largest logit around the
tile. Exp keeps the order, so the same holds for a mean of exp. The share of a class in a softmax is
smallest where its own logit is smallest and all others are largest. A class whose upper bound lies
below the lower bound of another cannot win.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.inference.interpolation import Floats, Span

Spanned: TypeAlias = tuple[Span, Span, Floats]  # rows, columns, logits (C, h, w)
Classes: TypeAlias = NDArray[np.bool_]  # (C, D, A)

_SLACK = 1e-5  # of the largest score: rounding may lift a score above its bound
_NEGLIGIBLE = 20.0  # exp(-20) = 2e-9, far below the 6e-8 of a unit in the last place of float32


@dataclass(frozen=True)
class Bounds:
    """The smallest and the largest logit around each tile: (C, D, A) for D x A tiles."""

    low: Floats
    high: Floats

    @property
    def top(self) -> Floats:
        """The largest logit of all classes around each tile, (D, A)."""
        found: Floats = self.high.max(0)
        return found

    def counted(self) -> Classes:
        """Tell which classes matter for the sum under a softmax.

        Somewhere in a tile's pixel the largest logit is at least `low` of the best class; what is left
        out has together at most C * exp(-20 - log(C)) = exp(-20) of the sum.
        """
        least = self.low.max(0) - np.float32(_NEGLIGIBLE + np.log(len(self.low)))
        found: Classes = self.high >= least
        return found

    def shares(self) -> "Bounds":
        """Return bounds of the softmax.

        Logits may be so far apart that exp of all but the largest is 0, so shares are computed from
        differences: that of a class is the sigmoid of its logit less the log-sum-exp of the others.
        """
        low, high = self.low.astype(np.float64), self.high.astype(np.float64)
        least, most = _sigmoid(low - _of_others(high)), _sigmoid(high - _of_others(low))
        return Bounds(least.astype(np.float32), most.astype(np.float32))


def bounds(
    maps: Sequence[Spanned], rows: Sequence[slice], columns: Sequence[slice], classes: int
) -> Bounds:
    """Bound the logits around each tile.

    Args:
        maps: the windows of one scale.
        rows: of the picture, D of them.
        columns: likewise, A.
        classes: their number, C.
    """
    shape = (classes, len(rows), len(columns))
    low, high = np.full(shape, np.inf, np.float32), np.full(shape, -np.inf, np.float32)
    for down, across, logits in maps:
        first, spans = _touched(down, rows)
        beside, steps = _touched(across, columns)
        if not spans or not steps:
            continue
        place = (
            slice(None),
            slice(first, first + len(spans)),
            slice(beside, beside + len(steps)),
        )
        for bound, extreme in ((low, np.minimum), (high, np.maximum)):
            # (C, w, D): the axis that is reduced is never the last, which would be slow.
            reduced = np.stack([extreme.reduce(logits[:, span], 1) for span in spans], 2)
            found = np.stack([extreme.reduce(reduced[:, step], 1) for step in steps], 2)
            bound[place] = extreme(bound[place], found)
    return Bounds(low, high)


def _touched(span: Span, tiles: Sequence[slice]) -> tuple[int, list[slice]]:
    """Return the first tile that a window touches, and its positions for this one and the next."""
    found = [(index, span.positions_of(tile)) for index, tile in enumerate(tiles)]
    touched = [(index, positions) for index, positions in found if positions is not None]
    return (touched[0][0] if touched else 0), [positions for _, positions in touched]


def _of_others(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each class the log-sum-exp of all other classes, -inf if there is none."""
    best = values.argmax(0)[None]
    top = np.take_along_axis(values, best, 0)
    powers = np.exp(values - top)
    # Of all but the best: what is left holds exp(0) of the best, so the difference does not cancel.
    with np.errstate(divide="ignore"):
        found = top + np.log(powers.sum(0) - powers)
    if len(values) > 1:
        without = values.copy()
        np.put_along_axis(without, best, -np.inf, 0)
        second = without.max(0)
        of_best = second + np.log(np.exp(without - second).sum(0))
        np.put_along_axis(found, best, of_best[None], 0)
    return np.asarray(found)


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(np.minimum(-values, 700))))  # exp(710) is infinite


def able(scales: Sequence[Bounds]) -> Classes:
    """Tell which classes may have the largest sum of scores in each tile, (C, D, A)."""
    low, high = scales[0].low, scales[0].high
    for scale in scales[1:]:
        low, high = low + scale.low, high + scale.high
    slack = np.float32(_SLACK) * np.maximum(np.abs(high).max(0), np.abs(low).max(0))
    found: Classes = high >= low.max(0) - slack
    return found
