"""The labels of a picture that was looked at in several views, without a score for every pixel.

Each view has logits at a small size. They are upsampled to the view, turned into what is merged
(logits, probabilities, exp of logits), averaged where windows overlap, resized to the picture, and
added up over the scales. All of this but the middle step is linear, so the scores of any tile of the picture are computed
on their own.

In a tile only a few classes can win. A score is a mean of interpolated values, each between the
smallest and the largest logit around the tile (exp keeps the order), so a class whose upper bound
lies below another's lower bound is left out. What remains is computed as the authors compute it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.procedure import Merge, Procedure, Windows
from fastfcn_infer.errors import BackendError
from fastfcn_infer.inference.labels import Labels
from fastfcn_infer.inference.views import Size, View, Window

Floats: TypeAlias = NDArray[np.float32]

TILE = (64, 128)  # pixels of the picture, height and width, that are labelled together

_LEAST_WEIGHT = np.float32(1e-3)  # of a pixel, as in MONAI
_LARGEST_EXPONENT = 80.0  # exp of it, summed over scales, is far from the largest float32


@dataclass(frozen=True)
class Taps:
    """Bilinear interpolation along one axis: the two positions around each pixel, and its share."""

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    share: Floats  # of `high`, 0..1


@dataclass(frozen=True)
class _Map:
    """The logits of one window, its mirror images joined where the merge allows.

    Args:
        window: where it lies in the resized picture.
        logits: (C, h, w).
        rows: where the rows of pixels lie among those of the logits.
        columns: likewise.
        weights: of the window's rows and columns, where windows overlap.
    """

    window: Window
    logits: Floats
    rows: Taps | None
    columns: Taps | None
    weights: tuple[Floats, Floats]


@dataclass(frozen=True)
class _Scale:
    """All windows of a picture at one scale."""

    size: Size
    maps: tuple[_Map, ...]
    rows: Taps | None  # where the rows of the picture lie among those of the scale
    columns: Taps | None


class Scores:
    """The merged scores of a picture, computed where they are asked for.

    Args:
        views: as `views.plan` plans them.
        outputs: (C, h, w) for each view: logits, or probabilities for every pixel of the canvas.
        picture: height and width, pixels.
        procedure: how they are merged.
        align_corners: convention of the upsampling from logits to a view.
        probabilities: the outputs are probabilities already.
        planned: all views of the picture, where `views` are only those that some rows depend on.

    Raises:
        BackendError: some outputs are infinite or not a number.
    """

    def __init__(
        self,
        views: Sequence[View],
        outputs: Sequence[NDArray[Any]],
        picture: Size,
        procedure: Procedure,
        *,
        align_corners: bool,
        probabilities: bool = False,
        planned: Sequence[View] | None = None,
    ) -> None:
        self.picture, self.classes = picture, outputs[0].shape[0]
        self._merge: Merge = "logits" if probabilities else procedure.merge
        for output in outputs:
            if not np.isfinite(output).all():
                raise BackendError(
                    "The network computed values that are infinite or not a number; there are no "
                    "labels for them. In half precision, use --precision fp32."
                )
        # Views of a scale are averaged before they are merged with others. Mirror images are merged like
        # scales where the softmax is taken of each, or where their windows lie elsewhere.
        apart = self._merge == "probabilities" or not _share_windows(planned or views)
        groups: dict[tuple[int, bool, bool], dict[Window, list[int]]] = {}
        for index, view in enumerate(views):
            key = (view.scale, apart and view.mirrored, apart and view.flipped)
            window = view.window or Window(0, 0, *view.size)
            groups.setdefault(key, {}).setdefault(window, []).append(index)
        self._scales = tuple(
            _scale(
                [
                    (
                        views[indices[0]],
                        _joined([(views[i], outputs[i]) for i in indices], self._merge),
                    )
                    for indices in windows.values()
                ],
                picture,
                procedure,
                align_corners,
            )
            for windows in groups.values()
        )
        largest = max(float(one.logits.max()) for scale in self._scales for one in scale.maps)
        self._overflows = self._merge == "exp" and largest > _LARGEST_EXPONENT

    def labels(self, band: slice | None = None) -> Labels:
        """Return the class with the largest score of every pixel, (H, W); ties go to the lowest.

        Args:
            band: rows of the picture, with a start that is a multiple of `TILE`'s height; None: all.
        """
        band = slice(0, self.picture[0]) if band is None else band
        shape = (band.stop - band.start, self.picture[1])
        found: Labels = np.empty(shape, np.uint8 if self.classes <= 256 else np.uint16)
        for into in _pieces(shape[0], TILE[0]):
            rows = slice(band.start + into.start, band.start + into.stop)
            for columns in _pieces(self.picture[1], TILE[1]):
                able = self._able(rows, columns)
                if len(able) == 1:
                    found[into, columns] = able[0]
                else:
                    best = self.tile(rows, columns, able).argmax(0)
                    found[into, columns] = able[best]
        return found

    def tile(self, rows: slice, columns: slice, classes: NDArray[np.intp] | None = None) -> Floats:
        """Return the scores of a tile of the picture.

        Args:
            rows: of the picture, with start and stop.
            columns: likewise.
            classes: whose scores; None: all.

        Returns:
            (classes, rows, columns): for ``logits`` and ``probabilities`` their mean, for ``exp`` the
            sum over the scales, which is divided by a power of e where it would be too large.
        """
        offset = self._offset(rows, columns)
        total: Floats | None = None
        for scale in self._scales:
            if self._merge == "probabilities":
                part = _softmax(self._of_scale(scale, rows, columns, None, offset))
                part = part if classes is None else part[classes]
            else:
                part = self._of_scale(scale, rows, columns, classes, offset)
            total = part if total is None else np.add(total, part, out=total)
        if total is None:
            raise ValueError("a picture without views has no scores")
        return total if self._merge == "exp" else total / np.float32(len(self._scales))

    def _offset(self, rows: slice, columns: slice) -> float:
        """Return what is taken from the logits of a tile before exp, lest it overflow; mostly 0."""
        if not self._overflows:
            return 0.0
        near = (float(logits.max()) for s in self._scales for logits in _near(s, rows, columns))
        return max(0.0, max(near) - _LARGEST_EXPONENT)

    def _of_scale(
        self,
        scale: _Scale,
        rows: slice,
        columns: slice,
        classes: NDArray[np.intp] | None,
        offset: float,
    ) -> Floats:
        down, across = _support(scale.rows, rows), _support(scale.columns, columns)
        count = self.classes if classes is None else len(classes)
        size = (down.stop - down.start, across.stop - across.start)
        scores, total = np.zeros((count, *size), np.float32), np.zeros(size, np.float32)
        parts = []
        for one in scale.maps:
            mine = _overlap(one.window.top, one.window.height, down)
            beside = _overlap(one.window.left, one.window.width, across)
            if mine is None or beside is None:
                continue
            place = (
                slice(mine[1].start - down.start, mine[1].stop - down.start),
                slice(beside[1].start - across.start, beside[1].stop - across.start),
            )
            weight = np.outer(one.weights[0][mine[0]], one.weights[1][beside[0]])
            np.maximum(weight, _LEAST_WEIGHT, out=weight)
            total[place] += weight
            parts.append((one, mine[0], beside[0], place, weight))
        for one, inner_rows, inner_columns, place, weight in parts:
            values = self._values(one, inner_rows, inner_columns, classes, offset)
            scores[:, place[0], place[1]] += values * (weight / total[place])
        scores = _interpolated(scores, scale.rows, rows, 1)
        return _interpolated(scores, scale.columns, columns, 2)

    def _values(
        self,
        one: _Map,
        rows: slice,
        columns: slice,
        classes: NDArray[np.intp] | None,
        offset: float,
    ) -> Floats:
        """Upsample the logits of a window to some of its pixels; exp of them where that is merged."""
        near = one.logits[:, _support(one.rows, rows), _support(one.columns, columns)]
        values = near if classes is None else near[classes]
        values = _interpolated(values, one.rows, rows, 1)
        values = _interpolated(values, one.columns, columns, 2)
        return np.exp(values - np.float32(offset)) if self._merge == "exp" else values

    def _able(self, rows: slice, columns: slice) -> NDArray[np.intp]:
        """List the classes that may win a pixel of a tile, in ascending order."""
        if self._merge == "probabilities":
            return np.arange(self.classes)  # the sum under the fraction needs all of them anyway
        offset = self._offset(rows, columns)
        low, high = np.zeros((2, self.classes))
        for scale in self._scales:
            least, most = np.full(self.classes, np.inf), np.full(self.classes, -np.inf)
            for logits in _near(scale, rows, columns):
                flat = logits.reshape(self.classes, -1)
                np.minimum(least, flat.min(1), out=least)
                np.maximum(most, flat.max(1), out=most)
            if self._merge == "exp":
                least, most = np.exp(least - offset), np.exp(most - offset)
            low += least
            high += most
        # Rounding may lift a score above its bound by a few units in the last place.
        slack = 1e-5 * np.abs(high).max()
        return np.flatnonzero(high >= low.max() - slack)


def _share_windows(views: Sequence[View]) -> bool:
    """Tell whether every window has all mirror images."""
    images = {(view.mirrored, view.flipped) for view in views}
    return set(Counter((view.scale, view.window) for view in views).values()) == {len(images)}


def _near(scale: _Scale, rows: slice, columns: slice) -> Iterator[Floats]:
    """Yield, of each window, the logits that a tile of the picture depends on."""
    down, across = _support(scale.rows, rows), _support(scale.columns, columns)
    for one in scale.maps:
        mine = _overlap(one.window.top, one.window.height, down)
        beside = _overlap(one.window.left, one.window.width, across)
        if mine is not None and beside is not None:
            yield one.logits[:, _support(one.rows, mine[0]), _support(one.columns, beside[0])]


@lru_cache(64)
def taps(source: int, target: int, *, align_corners: bool) -> Taps:
    """Return where each of `target` pixels lies among `source` positions of one axis.

    Source: ONNX Resize, linear, ``half_pixel`` or ``align_corners``.
    """
    at = np.arange(target, dtype=np.float64)
    if align_corners:
        at *= (source - 1) / max(target - 1, 1)
    else:
        at = np.clip((at + 0.5) * source / target - 0.5, 0, source - 1)
    low = np.minimum(at.astype(np.intp), source - 1)
    return Taps(low, np.minimum(low + 1, source - 1), (at - low).astype(np.float32))


def _scale(
    found: Sequence[tuple[View, Floats]],
    picture: Size,
    procedure: Procedure,
    align_corners: bool,
) -> _Scale:
    """Prepare the windows of one scale, each with its joined logits."""
    size, maps = found[0][0].size, []
    for view, logits in found:
        window = view.window or Window(0, 0, *size)
        rows = _between(logits.shape[1], view.canvas[0], align_corners=align_corners)
        columns = _between(logits.shape[2], view.canvas[1], align_corners=align_corners)
        weights = (
            _weights(procedure.windows, window.height, 0),
            _weights(procedure.windows, window.width, 1),
        )
        maps.append(_Map(window, logits, rows, columns, weights))
    back = [
        _between(a, b, align_corners=procedure.align_corners)
        for a, b in zip(size, picture, strict=True)
    ]
    return _Scale(size, tuple(maps), back[0], back[1])


def _between(source: int, target: int, *, align_corners: bool) -> Taps | None:
    return None if source == target else taps(source, target, align_corners=align_corners)


def _joined(found: Sequence[tuple[View, NDArray[Any]]], merge: Merge) -> Floats:
    """Undo the mirroring of a window's views and join them: their mean, or for exp their sum.

    Both conventions of interpolation are symmetric, so a mirrored canvas has its logits at the same
    places, and they can be joined before they are upsampled.
    """
    maps = []
    for view, output in found:
        axes = tuple(axis for axis, on in ((1, view.flipped), (2, view.mirrored)) if on)
        maps.append(np.flip(output, axes) if axes else output)
    if len(maps) == 1:
        return np.asarray(maps[0], np.float32)
    total = np.sum(np.stack(maps), 0, dtype=np.float32)
    return np.asarray(total if merge == "exp" else total / np.float32(len(maps)), np.float32)


def _softmax(logits: Floats) -> Floats:
    shares = np.exp(logits - logits.max(0))
    return np.asarray(shares / shares.sum(0), np.float32)


def _weights(windows: Windows | None, length: int, axis: int) -> Floats:
    """Return the weights of a window's pixels along one axis; a pixel's is the product of two.

    Source: MONAI's importance map for the mode "gaussian", deviation 0.125 of the window. A picture
    smaller than the window lies in its middle there, and at its top left where it is padded.
    """
    if windows is None or windows.weight == "coverage":
        return np.ones(length, np.float32)
    crop = windows.crop[axis]
    first = 0 if windows.border == "pad" else (crop - length) // 2
    offsets = np.arange(first, first + length) - (crop - 1) / 2
    return np.asarray(np.exp(-0.5 * (offsets / (0.125 * crop)) ** 2), np.float32)


def _pieces(length: int, step: int) -> Iterator[slice]:
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def _support(along: Taps | None, wanted: slice) -> slice:
    """Return the positions that some pixels lie between; None: pixels and positions are the same."""
    if along is None:
        return wanted
    return slice(int(along.low[wanted.start]), int(along.high[wanted.stop - 1]) + 1)


def _interpolated(values: Floats, along: Taps | None, wanted: slice, axis: int) -> Floats:
    """Interpolate along one axis; `values` begin at the first position of the support."""
    if along is None:
        return values
    first = int(along.low[wanted.start])
    low = np.take(values, along.low[wanted] - first, axis)
    high = np.take(values, along.high[wanted] - first, axis)
    high -= low
    share = along.share[wanted]
    high *= share[:, None] if axis == 1 else share
    high += low
    return high


def _overlap(start: int, length: int, wanted: slice) -> tuple[slice, slice] | None:
    """Intersect a window with a span: within the window, and within the picture."""
    first, last = max(start, wanted.start), min(start + length, wanted.stop)
    if first >= last:
        return None
    return slice(first - start, last - start), slice(first, last)
