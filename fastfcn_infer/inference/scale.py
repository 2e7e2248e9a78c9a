"""The windows of one scale, ready to be upsampled and averaged: their places, weights and joined logits."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.procedure import Merge, Procedure, Windows
from fastfcn_infer.inference.bounds import Spanned
from fastfcn_infer.inference.interpolation import Floats, Span, taps
from fastfcn_infer.inference.views import Size, View, Window

Scale: TypeAlias = tuple[Spanned, ...]  # the windows of a picture at one scale


def prepare_scale(
    found: Sequence[tuple[View, Floats]],
    picture: Size,
    procedure: Procedure,
    align_corners: bool,
    made: dict[tuple[Any, ...], Span],
) -> Scale:
    """Prepare the windows of one scale, each with its joined logits.

    Args:
        found: a view of each window, and its logits (C, h, w).
        picture: height and width, pixels.
        procedure: how they are merged.
        align_corners: convention of the upsampling from logits to a view.
        made: spans that are shared between scales.
    """
    size = found[0][0].size
    windows = [view.window or Window(0, 0, *size) for view, _ in found]
    spans: list[list[Span]] = [[], []]
    for axis in (0, 1):
        places = [(w.top, w.height) if axis == 0 else (w.left, w.width) for w in windows]
        alike = tuple(sorted(set(places)))
        count = np.zeros(size[axis], np.float32)
        for start, length in alike:
            count[start : start + length] += 1
        for (start, length), (view, logits) in zip(places, found, strict=True):
            canvas, positions = view.canvas[axis], logits.shape[1 + axis]
            key = (axis, size[axis], alike, start, length, canvas, positions)
            if key not in made:
                bell = _bell(procedure.windows, length, axis)
                inside = count[start : start + length]
                made[key] = Span(
                    start,
                    np.float32(1) / inside if bell is None else np.ones_like(inside),
                    bell,
                    canvas,
                    positions,
                    taps(positions, canvas, align_corners=align_corners),
                    taps(size[axis], picture[axis], align_corners=procedure.align_corners),
                )
            spans[axis].append(made[key])
    return tuple(zip(*spans, (logits for _, logits in found), strict=True))


def joined(found: Sequence[tuple[View, NDArray[Any]]], merge: Merge) -> Floats:
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


def _bell(windows: Windows | None, length: int, axis: int) -> Floats | None:
    """Return the weights of a window's pixels along one axis; None if all weigh the same.

    Source: MONAI's importance map for the mode "gaussian", deviation 0.125 of the window. A picture
    smaller than the window lies in its middle there, and at its top left where it is padded.
    """
    if windows is None or windows.weight == "coverage":
        return None
    crop = windows.crop[axis]
    first = 0 if windows.border == "pad" else (crop - length) // 2
    offsets = np.arange(first, first + length) - (crop - 1) / 2
    return np.asarray(np.exp(-0.5 * (offsets / (0.125 * crop)) ** 2), np.float32)
