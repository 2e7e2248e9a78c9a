"""Where the logits of windows lie on one grid, so that they can be averaged before they are upsampled.

The positions of a window are ``step`` pixels apart. Where all windows over a pixel begin at the same
place modulo the step, the mean of their upsampled logits is the upsampled mean of their logits, and
`labels.labels_from_logits` labels it. Pixels within half a step of the border of one of several windows
lie beyond its outermost position and are left to the caller.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fastfcn_infer.inference.bounds import Spanned
from fastfcn_infer.inference.interpolation import Span
from fastfcn_infer.inference.labels import Labels, labels_from_logits


@dataclass(frozen=True)
class Part:
    """Some pixels of an axis; `regular` where all windows over them have one grid."""

    pixels: slice
    regular: bool


def parts(
    windows: Collection[tuple[int, int]], spans: Sequence[Span], length: int, stepped: bool
) -> tuple[Part, ...]:
    """Divide an axis of a picture.

    Args:
        windows: the start and the length of all windows along the axis, each once.
        spans: of the windows that there are logits of.
        length: of the axis, pixels.
        stepped: half-pixel upsampling, and all pixels of a window weigh the same.
    """
    if len(windows) == 1:
        return (Part(slice(0, length), regular=True),)
    step = _step(spans)
    if step is None or not stepped:
        return (Part(slice(0, length), regular=False),)
    ends = {min(start + size, length) for start, size in windows}
    borders = sorted({0, length} | {start for start, _ in windows} | ends)
    found, done = [], 0
    for first, last in pairwise(borders):
        over = [start for start, size in windows if start <= first and last <= start + size]
        margin = 0 if len(over) == 1 else step // 2
        begin, end = first + margin, last - margin
        if len({start % step for start in over}) != 1 or begin >= end:
            continue
        if done < begin:
            found.append(Part(slice(done, begin), regular=False))
        found.append(Part(slice(begin, end), regular=True))
        done = end
    if done < length:
        found.append(Part(slice(done, length), regular=False))
    return tuple(found)


def _step(spans: Sequence[Span]) -> int | None:
    """Return the pixels from position to position, if that is one whole number."""
    if any(span.canvas % span.positions for span in spans):
        return None
    steps = {span.canvas // span.positions for span in spans}
    return steps.pop() if len(steps) == 1 else None


def labels(maps: Sequence[Spanned], rows: slice, columns: slice, *, align_corners: bool) -> Labels:
    """Label regular rows and columns.

    Args:
        maps: the windows of all scales.
        rows: of the picture, within a regular part.
        columns: likewise.
        align_corners: convention of the upsampling.

    Returns:
        (rows, columns).
    """
    over = [one for one in maps if _covers(one[0], rows) and _covers(one[1], columns)]
    shares = [_share(down, rows) * _share(across, columns) for down, across, _ in over]
    parts = [
        logits[
            :,
            _positions(down, rows, align_corners=align_corners),
            _positions(across, columns, align_corners=align_corners),
        ]
        for down, across, logits in over
    ]
    merged = parts[0]
    if len(parts) > 1:
        merged = np.zeros_like(merged)
        for part, share in zip(parts, shares, strict=True):
            merged += part * np.float32(share / sum(shares))
    size, first, last = [], [], []
    down, across, _ = over[0]
    for span, pixels, positions in zip(
        (down, across), (rows, columns), merged.shape[1:], strict=True
    ):
        begin = _positions(span, pixels, align_corners=align_corners).start
        size.append(_pixels(span, positions))
        first.append(pixels.start - span.start - _pixels(span, begin))
        last.append(first[-1] + pixels.stop - pixels.start)
    found = labels_from_logits(
        merged, (size[0], size[1]), align_corners=align_corners, region=(last[0], last[1])
    )
    return found[first[0] :, first[1] :]


def _covers(span: Span, pixels: slice) -> bool:
    return bool(span.start <= pixels.start and pixels.stop <= span.start + len(span.shares))


def _share(span: Span, pixels: slice) -> float:
    return float(span.shares[pixels.start - span.start])


def _positions(span: Span, pixels: slice, *, align_corners: bool) -> slice:
    if align_corners or span.canvas % span.positions:
        return slice(0, span.positions)  # no part of this grid is one of its own
    return span.up.support(slice(pixels.start - span.start, pixels.stop - span.start))


def _pixels(span: Span, positions: int) -> int:
    return positions * span.canvas // span.positions
