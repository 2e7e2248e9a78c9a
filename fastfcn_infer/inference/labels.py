"""Labels at the size of the picture, straight from the network's low-resolution logits.

A bilinear pixel is a convex combination of the four positions around it. A class that is the best
at all four is the best everywhere between them; there is something to compute only where the four
disagree, and only for classes whose best position is not below another's worst. So the labels are
those of "upsample, then arg max" and the C x H x W array is never made.

Words: a *position* is a place of the small map; a *run* is a series of pixels along one axis that
lie between the same two positions; a *tile* is a run of rows times a run of columns, its *corners*
are four positions. A tile is *mixed* if its corners have different best classes; the classes that
may win a pixel of it are its *contenders*, the best of a corner are its *rivals*.
"""

from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.errors import BackendError
from fastfcn_infer.system.opencv import cv2

Floats: TypeAlias = NDArray[np.float32]
Indices: TypeAlias = NDArray[np.intp]
Labels: TypeAlias = NDArray[np.uint8 | np.uint16]
Size: TypeAlias = tuple[int, int]

_LONGEST_RUN = 32  # pixels; bounds a tile, however large the zoom
_BAND = 1 << 20  # logits processed together: 4 MB
_CHUNK = 1 << 18  # pixels, or logits, of mixed tiles computed together: 1 MB


def labels_from_logits(
    logits: NDArray[Any], size: Size, *, align_corners: bool, region: Size | None = None
) -> Labels:
    """Resize bilinearly and take the arg max, without the resized logits.

    The labels are those of ONNX ``Resize`` (linear; ``half_pixel`` or ``align_corners``) and
    NumPy's ``argmax``, but where the two best classes are nearer to each other than float32 can
    tell. A tie goes to the lowest class, as in ``argmax``.

    Args:
        logits: (C, h, w), floating point of any width; computed in float32.
        size: height and width, pixels, that the whole map is resized to.
        align_corners: the outermost positions lie on the centres of the outermost pixels;
            otherwise map and picture cover the same area (half-pixel centres).
        region: height and width, pixels, of the top left part that is wanted, where the picture
            was padded on the right and at the bottom; None: all of `size`.

    Returns:
        (H, W), the size of the region, values 0..C-1; uint8 for up to 256 classes, else uint16.

    Raises:
        ValueError: the shape or the sizes are invalid.
        BackendError: some logits are infinite or not a number.
    """
    region = size if region is None else region
    _check(logits.shape, size, region)
    classes, height, width = logits.shape
    rows = _cut(height, size[0], region[0], align_corners=align_corners)
    columns = _cut(width, size[1], region[1], align_corners=align_corners)
    labels: Labels = np.empty(region, np.uint8 if classes <= 256 else np.uint16)
    step = max(1, _BAND // (classes * width))
    for top in range(0, height, step):
        first, last = np.searchsorted(rows.low, (top, top + step))
        if first < last:
            bottom = int(rows.high[last - 1]) + 1
            scores = _class_last(logits[:, top:bottom])
            _label_band(scores, width, rows.part(int(first), int(last), top), columns, labels)
    return labels


class _Runs(NamedTuple):
    """The pixels of one axis, cut into R runs of up to n pixels each."""

    low: Indices  # (R,) position before the run, ascending
    high: Indices  # (R,) position after it; `low` at the border of the map
    pixels: Indices  # (n, R) a run shorter than n repeats its last pixel
    weights: Floats  # (n, R) how far each pixel has come from `low` to `high`, 0..1
    run: Indices  # (pixels,) the run of each pixel

    def part(self, first: int, last: int, origin: int) -> "_Runs":
        """Take the runs `first` to `last - 1`, for a map that begins at position `origin`."""
        pixels = self.pixels[:, first:last]
        return _Runs(
            self.low[first:last] - origin,
            self.high[first:last] - origin,
            pixels,
            self.weights[:, first:last],
            self.run[pixels[0, 0] : pixels[-1, -1] + 1] - first,
        )


class _Contenders(NamedTuple):
    """The P pairs of a tile and a contender, by tile, then by class."""

    tile: Indices  # (P,) 0..T-1; each has at least one contender
    label: Indices  # (P,)
    values: Floats  # (4, P) the logits at the tile's corners


def _check(shape: tuple[int, ...], size: Size, region: Size) -> None:
    """Refuse invalid shapes and sizes."""
    if len(shape) != 3 or min(shape) < 1 or shape[0] > 1 << 16:
        raise ValueError(f"logits must be (C, h, w) with 1 to 65536 classes; found shape {shape}")
    if not all(1 <= part <= whole for part, whole in zip(region, size, strict=True)):
        raise ValueError(f"region {region} must be at least (1, 1) and at most the size {size}")


@lru_cache(maxsize=16)  # pictures come in few sizes, and often in one
def _cut(positions: int, length: int, wanted: int, *, align_corners: bool) -> _Runs:
    """Cut the first `wanted` of `length` pixels into runs, over a map of so many positions."""
    pixel = np.arange(wanted)
    # In whole numbers, since a rounded quotient can put a pixel on the wrong side of a position.
    if align_corners:
        numerator, denominator = pixel * (positions - 1), max(length - 1, 1)
    else:
        numerator, denominator = (2 * pixel + 1) * positions - length, 2 * length
    low, rest = np.divmod(numerator, denominator)
    begins = np.diff(low, prepend=low[0] - 1) != 0
    begin = np.maximum.accumulate(np.where(begins, pixel, 0))
    begins |= (pixel - begin) % _LONGEST_RUN == 0
    start = np.flatnonzero(begins)
    stop = np.append(start[1:], wanted)
    longest = np.arange((stop - start).max())[:, None]
    pixels = np.minimum(start + longest, stop - 1)
    weights = (rest[pixels] / denominator).astype(np.float32)
    # A run that lies on its position needs no second one: at the same size no tile is mixed.
    low, high = np.clip((low[start], low[start] + weights.any(axis=0)), 0, positions - 1)
    return _Runs(low, high, pixels, weights, np.cumsum(begins) - 1)


def _class_last(logits: NDArray[Any]) -> Floats:
    """Turn (C, h, w) logits into (h * w, C) float32: the classes of a position are adjacent.

    Raises:
        BackendError: some logits are infinite or not a number.
    """
    with np.errstate(over="ignore"):  # what overflows is reported below
        table = logits.reshape(logits.shape[0], -1).astype(np.float32, order="C", copy=False)
    # OpenCV transposes in blocks, three times as fast as NumPy.
    scores: Floats = cv2.transpose(table).reshape(table.shape[::-1])  # type: ignore[assignment]
    if not (np.isfinite(scores.min()) and np.isfinite(scores.max())):
        raise BackendError(
            f"the network computed non-finite logits: {np.isnan(scores).sum()} not a number and "
            f"{np.isinf(scores).sum()} infinite among {scores.size}; expected finite values only. "
            "Check the input for such values, or run in float32 if this was a lower precision"
        )
    return scores


def _label_band(scores: Floats, width: int, rows: _Runs, columns: _Runs, labels: Labels) -> None:
    """Label the pixels of `rows`, from the (h * width, C) scores of their positions."""
    winners = scores.argmax(axis=1)
    corners = np.stack(
        [
            row[:, None] * width + column
            for row in (rows.low, rows.high)
            for column in (columns.low, columns.high)
        ]
    )  # (4, tiles down, tiles across)
    best = winners.astype(labels.dtype)[corners]
    top, bottom = rows.pixels[0, 0], rows.pixels[-1, -1] + 1
    labels[top:bottom] = best[0].take(columns.run, axis=1).take(rows.run, axis=0)

    down, across = np.nonzero((best[1:] != best[0]).any(axis=0))
    corners = corners[:, down, across]
    largest = max(len(rows.pixels) * len(columns.pixels), scores.shape[1])
    step = max(1, _CHUNK // largest)
    for start in range(0, len(down), step):
        chunk = slice(start, start + step)
        contenders = _contenders(scores, winners, corners[:, chunk])
        _label_tiles(contenders, rows, down[chunk], columns, across[chunk], labels)


def _contenders(scores: Floats, winners: Indices, corners: Indices) -> _Contenders:
    """Find the classes whose best corner is not below the worst corner of any rival.

    Comparing corner by corner would leave a fifth fewer and costs as much as it saves.

    Args:
        scores: (positions, C).
        winners: (positions,) the best class of each.
        corners: (4, T) the positions around each of T tiles.
    """
    classes = scores.shape[1]
    # `take` with flat places: several times as fast as indexing with several arrays.
    places = corners * classes
    rivals = scores.take(places + winners.take(corners)[:, None])  # (4 rivals, 4 corners, T)
    bar = rivals.min(axis=1).max(axis=0)
    highest = scores.take(corners[0], axis=0)
    for corner in corners[1:]:
        np.maximum(highest, scores.take(corner, axis=0), out=highest)
    pair = np.flatnonzero(highest >= bar[:, None])
    tile = pair // classes
    label = pair - tile * classes
    return _Contenders(tile, label, scores.take(places.take(tile, axis=1) + label))


def _label_tiles(
    contenders: _Contenders,
    rows: _Runs,
    down: Indices,
    columns: _Runs,
    across: Indices,
    labels: Labels,
) -> None:
    """Compute the contenders at every pixel of T mixed tiles and write the label of the best.

    The tiles lie along the last axis, so that every operation runs over all of them at once.

    Args:
        contenders: of the T tiles.
        rows: the runs of rows.
        down: (T,) the run of rows of each tile.
        columns: the runs of columns.
        across: (T,) the run of columns of each tile.
        labels: (H, W), written to.
    """
    count = np.bincount(contenders.tile)
    # Many contenders first: the tiles that still have an nth one are then the first few.
    order = np.argsort(-count, kind="stable")
    first = (np.cumsum(count) - count)[order]
    count, down, across = count[order], down[order], across[order]
    row_weights = rows.weights.take(down, axis=1)
    column_weights = columns.weights.take(across, axis=1)
    label = contenders.label.astype(labels.dtype)
    best = _lerp(contenders.values.take(first, axis=1), row_weights, column_weights)
    winner = np.empty(best.shape, labels.dtype)
    winner[:] = label.take(first)
    for nth in range(1, count[0]):
        tiles = slice(np.count_nonzero(count > nth))
        pair = first[tiles] + nth
        corners = contenders.values.take(pair, axis=1)
        value = _lerp(corners, row_weights[:, tiles], column_weights[:, tiles])
        # Contenders come in ascending order: a tie stays with the lower class, and the label of
        # one that wins is the largest so far.
        won = (value > best[..., tiles]) * label.take(pair)
        np.maximum(winner[..., tiles], won, out=winner[..., tiles])
        np.maximum(best[..., tiles], value, out=best[..., tiles])
    row_starts = rows.pixels.take(down, axis=1) * labels.shape[1]
    labels.reshape(-1)[row_starts[:, None] + columns.pixels.take(across, axis=1)] = winner


def _lerp(corners: Floats, down: Floats, across: Floats) -> Floats:
    """Interpolate between the (4, T) corners of tiles at (n, T) and (m, T) weights: (n, m, T)."""
    left, right = corners[::2, None], corners[1::2, None]
    upper, lower = left + (right - left) * across
    value: Floats = (lower - upper) * down[:, None]
    value += upper
    return value
