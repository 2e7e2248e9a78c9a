"""Bilinear interpolation along one axis, as small matrices.

Rows and columns are interpolated on their own: a map M (h, w) becomes ``D @ M @ A.T`` where a row of D
or A has at most two shares other than 0. Several steps, and the weights of windows, are products of
such matrices. Of a few pixels they are small and dense, and a product of them is faster than to
gather and to weigh neighbours.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Taps:
    """The two positions around each pixel of an axis, and its share of the second, 0..1."""

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    share: Floats

    def support(self, pixels: slice) -> slice:
        """Return the positions that some pixels lie between."""
        return slice(int(self.low[pixels.start]), int(self.high[pixels.stop - 1]) + 1)

    def matrix(self, pixels: slice) -> Floats:
        """Return the share (pixels, positions of their support) of each position in each pixel."""
        support = self.support(pixels)
        found = np.zeros((pixels.stop - pixels.start, support.stop - support.start), np.float32)
        index, share = np.arange(len(found)), self.share[pixels]
        found[index, self.low[pixels] - support.start] = 1 - share
        found[index, self.high[pixels] - support.start] += share
        return found


@lru_cache(64)
def taps(source: int, target: int, *, align_corners: bool) -> Taps:
    """Return where each of `target` pixels lies among `source` positions of one axis.

    Source: ONNX Resize, linear, ``half_pixel`` or ``align_corners``.
    """
    at = np.arange(target, dtype=np.float64)
    if align_corners:
        at *= (source - 1) / max(target - 1, 1)
    elif source != target:
        at = np.clip((at + 0.5) * source / target - 0.5, 0, source - 1)
    low = np.minimum(at.astype(np.intp), source - 1)
    share = (at - low).astype(np.float32)
    return Taps(low, np.minimum(low + (share > 0), source - 1), share)


@dataclass(frozen=True)
class Block:
    """How some pixels of the picture follow from the positions of a window, along one axis.

    Args:
        positions: of the window's map, k of them.
        up: (p, k), from there to the p pixels of the resized picture that matter.
        back: (n, p), from these to the n pixels of the picture, times the window's share of each.
        both: (n, k), the product of the two.
        pixels: of the resized picture, the p that matter.
        bell: (p,), their weights, where those of all windows are different.
    """

    positions: slice
    up: Floats
    back: Floats
    both: Floats
    pixels: slice
    bell: Floats | None


@dataclass
class Span:
    """One axis of a window of a resized picture.

    Args:
        start: first pixel, of the resized picture.
        shares: of the window in the mean of its pixels; those beyond the resized picture are left out.
            1 where there is a bell.
        bell: weights of the window's pixels, where windows are not weighed alike.
        canvas: pixels that the network was fed; from `start`, some may be padding.
        positions: of the logits of the canvas.
        up: where the pixels of the canvas lie among the positions.
        back: where the pixels of the picture lie among those of the resized picture.
    """

    start: int
    shares: Floats
    bell: Floats | None
    canvas: int
    positions: int
    up: Taps
    back: Taps
    _blocks: dict[tuple[int, int], Block | None] = field(default_factory=dict)

    def block(self, pixels: slice) -> Block | None:
        """Return what pixels of the picture depend on; None if they depend on other windows only."""
        key = (pixels.start, pixels.stop)
        if key not in self._blocks:
            self._blocks[key] = self._block(pixels)
        return self._blocks[key]

    def positions_of(self, pixels: slice) -> slice | None:
        """Return the positions that pixels of the picture depend on; None if there are none."""
        mine = self._mine(self.back.support(pixels))
        return None if mine is None else self.up.support(mine)

    def _mine(self, wanted: slice) -> slice | None:
        """Return the pixels of the window, counted from its start, that are wanted of a scale."""
        first = max(0, wanted.start - self.start)
        last = min(len(self.shares), wanted.stop - self.start)
        return slice(first, last) if first < last else None

    def _block(self, pixels: slice) -> Block | None:
        wanted = self.back.support(pixels)
        mine = self._mine(wanted)
        if mine is None:
            return None
        offset = self.start - wanted.start
        up = self.up.matrix(mine)
        back = self.back.matrix(pixels)[:, mine.start + offset : mine.stop + offset]
        back = back * self.shares[mine]
        return Block(
            self.up.support(mine),
            up,
            back,
            back @ up,
            slice(self.start + mine.start, self.start + mine.stop),
            None if self.bell is None else self.bell[mine],
        )
