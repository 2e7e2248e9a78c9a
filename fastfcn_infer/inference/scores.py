"""The labels of a picture that was looked at in several views, without a score for every pixel.

Each view has logits at a small size. They are upsampled to the view, turned into what is merged
(logits, probabilities, exp of logits), averaged where windows overlap, resized to the picture, and
added up over the scales. All of this but the middle step is linear, so the scores of any tile of the
picture are computed on their own, by products of small matrices (`interpolation`).

In a tile only a few classes can win; `bounds` finds them, and the others are left out. Where all
windows lie on one grid, their logits are averaged at their own size (`coinciding`).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.procedure import Merge, Procedure
from fastfcn_infer.errors import BackendError
from fastfcn_infer.inference import coinciding
from fastfcn_infer.inference.bounds import Bounds, Classes, able, bounds
from fastfcn_infer.inference.coinciding import Part
from fastfcn_infer.inference.interpolation import Block, Floats, Span
from fastfcn_infer.inference.labels import Labels
from fastfcn_infer.inference.scale import Scale, joined, prepare_scale
from fastfcn_infer.inference.views import Size, View, Window

Indices: TypeAlias = NDArray[np.intp]

TILE = (32, 64)  # pixels of the picture, height and width, that are labelled together

_LEAST_WEIGHT = np.float32(1e-3)  # of a pixel, as in MONAI
_LARGEST_EXPONENT = 80.0  # exp of it, summed over scales, is far from the largest float32
_LEAST_SUM = 1e-18  # of exp; the smallest float32 with all its digits is 1e-38
_WIDEST = 60.0  # logits further than this below the largest may have an exp of 0


@dataclass(frozen=True)
class _Tiles:
    """What is known of D x A tiles before they are computed.

    Args:
        able: the classes that may win a pixel of each.
        offset: (D, A) what is taken from the logits before exp, lest it overflow; mostly 0.
        added: of each scale, bounds of what is added up.
        counted: of each scale, the classes that matter for the sum under a softmax.
        around: of each scale, bounds of the logits; these two for probabilities only.
    """

    able: Classes
    offset: Floats
    added: Sequence[Bounds]
    counted: tuple[Classes, ...]
    around: tuple[Bounds, ...]


@dataclass(frozen=True)
class Tile:
    """The scores of a tile of a picture.

    Args:
        low: (C,) no score of a class is lower, but for rounding.
        high: (C,) or higher.
        compute: returns the scores (classes, rows, columns) of the classes that it is given.
    """

    low: Floats
    high: Floats
    compute: Callable[[Indices], Floats]


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
        made: dict[tuple[Any, ...], Span] = {}
        self._scales = tuple(
            prepare_scale(
                [
                    (
                        views[indices[0]],
                        joined([(views[i], outputs[i]) for i in indices], self._merge),
                    )
                    for indices in windows.values()
                ],
                picture,
                procedure,
                align_corners,
                made,
            )
            for windows in groups.values()
        )
        largest = max(float(logits.max()) for scale in self._scales for *_, logits in scale)
        self._overflows = self._merge == "exp" and largest > _LARGEST_EXPONENT
        self._align_corners = align_corners
        self._rows, self._columns = self._parts(planned or views, procedure)

    def _parts(
        self, views: Sequence[View], procedure: Procedure
    ) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
        """Find the rows and the columns of the picture where the logits of all windows are on one grid."""
        height, width = self.picture
        even = procedure.windows is None or procedure.windows.weight == "coverage"
        if self._merge != "logits" or any(view.size != self.picture for view in views):
            return (Part(slice(0, height), False),), (Part(slice(0, width), False),)
        windows = [view.window or Window(0, 0, *view.size) for view in views]
        maps = [one for scale in self._scales for one in scale]
        stepped = even and not self._align_corners
        return (
            coinciding.parts(
                {(w.top, w.height) for w in windows}, [one[0] for one in maps], height, stepped
            ),
            coinciding.parts(
                {(w.left, w.width) for w in windows}, [one[1] for one in maps], width, stepped
            ),
        )

    def labels(self, band: slice | None = None, strip: slice | None = None) -> Labels:
        """Return the class with the largest score of every pixel, (H, W); ties go to the lowest.

        Args:
            band: rows of the picture, with a start that is a multiple of `TILE`'s height; None: all.
            strip: columns of the picture, with a start that is a multiple of `TILE`'s width; None: all.
        """
        band = slice(0, self.picture[0]) if band is None else band
        strip = slice(0, self.picture[1]) if strip is None else strip
        shape = (band.stop - band.start, strip.stop - strip.start)
        found: Labels = np.empty(shape, np.uint8 if self.classes <= 256 else np.uint16)
        regular, others = _apart(self._rows, band)
        across, beside = _apart(self._columns, strip)
        origin = (band, strip)
        maps = [one for scale in self._scales for one in scale]
        for rows in regular:
            for columns in across:
                found[_from(band, rows), _from(strip, columns)] = coinciding.labels(
                    maps, rows, columns, align_corners=self._align_corners
                )
        self._label(found, origin, others, sorted([*across, *beside], key=_start))
        self._label(found, origin, regular, beside)
        return found

    def _label(
        self,
        found: Labels,
        origin: tuple[slice, slice],
        rows: Sequence[slice],
        columns: Sequence[slice],
    ) -> None:
        """Label some rows and columns tile by tile; `found` begins at the origin."""
        down = [piece for part in rows for piece in _pieces(part, TILE[0])]
        across = [piece for part in columns for piece in _pieces(part, TILE[1])]
        if not down or not across:
            return
        tiles = self._tiles(down, across)
        count, first = tiles.able.sum(0), tiles.able.argmax(0)
        for d, a in np.ndindex(count.shape):
            place = (_from(origin[0], down[d]), _from(origin[1], across[a]))
            if count[d, a] == 1:
                found[place] = first[d, a]
            else:
                classes = np.flatnonzero(tiles.able[:, d, a])
                scores = self._scores(down[d], across[a], classes, tiles, (d, a))
                found[place] = classes[first_largest(scores)]

    def tile(self, rows: slice, columns: slice, classes: Indices | None = None) -> Floats:
        """Return the scores of a tile of the picture.

        Args:
            rows: of the picture, with start and stop.
            columns: likewise.
            classes: whose scores; None: all.

        Returns:
            (classes, rows, columns): for ``logits`` and ``probabilities`` their mean, for ``exp`` the
            sum over the scales, which is divided by a power of e, the same for all classes of a pixel, where it
            would be too large.
        """
        classes = np.arange(self.classes) if classes is None else classes
        return self.at(rows, columns).compute(classes)

    def at(self, rows: slice, columns: slice) -> Tile:
        """Return what is known of the scores of a tile of the picture before they are computed.

        Args:
            rows: of the picture, with start and stop.
            columns: likewise.
        """
        tiles = self._tiles([rows], [columns])

        def compute(classes: Indices) -> Floats:
            found = np.empty(
                (len(classes), rows.stop - rows.start, columns.stop - columns.start), np.float32
            )
            for down in _pieces(rows, TILE[0]):
                for across in _pieces(columns, TILE[1]):
                    place = (slice(None), _from(rows, down), _from(columns, across))
                    found[place] = self._scores(down, across, classes, tiles, (0, 0))
            return found

        parts = 1 if self._merge == "exp" else len(self._scales)
        low, high = (
            np.sum([getattr(one, bound)[:, 0, 0] for one in tiles.added], 0) / np.float32(parts)
            for bound in ("low", "high")
        )
        return Tile(low, high, compute)

    def _tiles(self, rows: Sequence[slice], columns: Sequence[slice]) -> _Tiles:
        """Find the classes that can win, for all tiles at once."""
        around = [bounds(scale, rows, columns, self.classes) for scale in self._scales]
        offset = np.zeros((len(rows), len(columns)), np.float32)
        if self._merge == "exp" and self._overflows:
            top = np.max([one.top for one in around], 0)
            offset = np.maximum(top - np.float32(_LARGEST_EXPONENT), 0)
        scores = self._merged(around, offset)
        found = able(scores)
        if self._merge != "probabilities":
            return _Tiles(found, offset, scores, (), ())
        counted = tuple(one.counted() for one in around)
        return _Tiles(found, offset, scores, counted, tuple(around))

    def _merged(self, around: Sequence[Bounds], offset: Floats) -> list[Bounds]:
        """Turn the bounds of each scale's logits into those of what is added up."""
        if self._merge == "probabilities":
            return [one.shares() for one in around]
        if self._merge == "exp":
            return [Bounds(np.exp(b.low - offset), np.exp(b.high - offset)) for b in around]
        return list(around)

    def _scores(
        self,
        rows: slice,
        columns: slice,
        classes: Indices,
        tiles: _Tiles,
        tile: tuple[int, int],
    ) -> Floats:
        """Compute some scores of a tile, or of a part of it: (classes, rows, columns)."""
        if self._merge == "exp":
            return self._sums(rows, columns, classes, tiles.offset[tile])
        if self._merge == "logits":
            found = _interpolated(self._scales, rows, columns, classes, 0)
            found /= len(self._scales)
            return found
        total = np.zeros(
            (len(classes), rows.stop - rows.start, columns.stop - columns.start), np.float32
        )
        down, across = tile
        wanted = np.zeros(self.classes, bool)
        wanted[classes] = True
        for scale, counted, around in zip(self._scales, tiles.counted, tiles.around, strict=True):
            needed = np.flatnonzero(counted[:, down, across] | wanted)
            top, least = around.top[down, across], around.low[:, down, across].max()
            shares = _interpolated([scale], rows, columns, needed, top)
            if top - least > _WIDEST:
                shares -= shares.max(0)
            np.exp(shares, out=shares)
            shares *= 1 / (len(self._scales) * shares.sum(0))
            total += shares if len(needed) == len(classes) else shares[wanted[needed]]
        return total

    def _sums(self, rows: slice, columns: slice, classes: Indices, offset: np.float32) -> Floats:
        """Add up exp of the logits of a tile: (classes, rows, columns).

        Where they are next to nothing beside the largest of the tile, smaller tiles are computed, each with
        an offset of its own: classes of a pixel are compared with each other, and not with other pixels.
        """
        found = _interpolated(self._scales, rows, columns, classes, offset, exp=True)
        lost = found.max(0) < _LEAST_SUM
        if not offset or lost.size == 1 or not lost.any():
            return found
        for down in _pieces(rows, max(1, lost.shape[0] // 2)):
            for across in _pieces(columns, max(1, lost.shape[1] // 2)):
                place = (_from(rows, down), _from(columns, across))
                if lost[place].any():
                    own = _largest(self._scales, down, across)
                    found[:, place[0], place[1]] = self._sums(down, across, classes, own)
        return found


def _share_windows(views: Sequence[View]) -> bool:
    """Tell whether every window has all mirror images."""
    images = {(view.mirrored, view.flipped) for view in views}
    return set(Counter((view.scale, view.window) for view in views).values()) == {len(images)}


def _covering(scale: Scale, rows: slice, columns: slice) -> list[tuple[Block, Block, Floats]]:
    """Return the windows of a scale that cover some of a tile."""
    return [
        (high, wide, logits)
        for down, across, logits in scale
        if (high := down.block(rows)) is not None and (wide := across.block(columns)) is not None
    ]


def _largest(scales: Sequence[Scale], rows: slice, columns: slice) -> np.float32:
    """Return the largest logit of a tile, at the size of its scale."""
    return max(
        (high.up @ logits[:, high.positions, wide.positions] @ wide.up.T).max()
        for scale in scales
        for high, wide, logits in _covering(scale, rows, columns)
    )


def _interpolated(
    scales: Sequence[Scale],
    rows: slice,
    columns: slice,
    classes: Indices,
    offset: float | np.float32,
    *,
    exp: bool = False,
) -> Floats:
    """Average the windows of each scale, resize them to a tile of the picture, add up the scales.

    Args:
        scales: their windows.
        rows: of the tile.
        columns: likewise.
        classes: whose logits.
        offset: is taken from the logits.
        exp: of the logits at the size of the scale.
    """
    found: Floats | None = None
    for scale in scales:
        windows = _covering(scale, rows, columns)
        for (high, wide, logits), weight in zip(windows, _bells(windows), strict=True):
            values = logits[:, high.positions, wide.positions][classes]
            if offset:
                values -= offset
            # Class by class: products as small as these are not worth several threads, which BLAS
            # would start for all classes at once.
            if not exp and weight is None:
                part = np.matmul(high.both, np.matmul(values, wide.both.T))
            else:
                values = np.matmul(high.up, np.matmul(values, wide.up.T))
                if exp:
                    np.exp(values, out=values)
                if weight is not None:
                    values *= weight
                part = np.matmul(high.back, np.matmul(values, wide.back.T))
            found = part if found is None else np.add(found, part, out=found)
    if found is None:
        raise ValueError("no window covers these pixels")
    return found


def _bells(windows: Sequence[tuple[Block, Block, Floats]]) -> list[Floats | None]:
    """Return the share of each window in each pixel where they are not the same for all."""
    weights: list[Floats] = []
    for high, wide, _ in windows:
        if high.bell is None or wide.bell is None:
            return [None] * len(windows)
        weights.append(np.maximum(high.bell[:, None] * wide.bell, _LEAST_WEIGHT))
    top = min(high.pixels.start for high, _, _ in windows)
    left = min(wide.pixels.start for _, wide, _ in windows)
    places = [
        (_from(slice(top, 0), high.pixels), _from(slice(left, 0), wide.pixels))
        for high, wide, _ in windows
    ]
    total = np.zeros([max(p[axis].stop for p in places) for axis in (0, 1)], np.float32)
    for place, weight in zip(places, weights, strict=True):
        total[place] += weight
    return [
        np.asarray(weight / total[place], np.float32)
        for place, weight in zip(places, weights, strict=True)
    ]


def first_largest(scores: Floats) -> Indices:
    """Return ``scores.argmax(0)``; NumPy's own takes six times as long over the first axis."""
    rank = np.arange(len(scores), 0, -1, dtype=np.uint8 if len(scores) < 256 else np.uint32)
    largest = (scores == scores.max(0)) * rank[:, None, None]
    return np.asarray(len(scores) - largest.max(0).astype(np.intp))


def _pieces(pixels: slice, step: int) -> Iterator[slice]:
    """Cut pixels at the multiples of a step."""
    start = pixels.start
    while start < pixels.stop:
        stop = min(start // step * step + step, pixels.stop)
        yield slice(start, stop)
        start = stop


def _apart(parts: Sequence[Part], wanted: slice) -> tuple[list[slice], list[slice]]:
    """Return what is wanted of the regular parts of an axis, and of the others."""
    found: tuple[list[slice], list[slice]] = ([], [])
    for part in parts:
        first = max(part.pixels.start, wanted.start)
        last = min(part.pixels.stop, wanted.stop)
        if first < last:
            found[0 if part.regular else 1].append(slice(first, last))
    return found


def _start(pixels: slice) -> int:
    return int(pixels.start)


def _from(origin: slice, pixels: slice) -> slice:
    """Return some pixels as counted from the start of others."""
    return slice(pixels.start - origin.start, pixels.stop - origin.start)
