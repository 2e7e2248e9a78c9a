"""Plan the views of a picture, as data: no pixel is touched here, and no array is made.

Source: reference/fastfcn_semantics.md, section 4, for the sizes.
"""

import math
import operator
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from fastfcn_infer.artifact.limits import LONGEST_SIDE, check_picture
from fastfcn_infer.artifact.procedure import SMALLEST, Frame, Procedure, Resize, Windows
from fastfcn_infer.errors import ImageError
from fastfcn_infer.system.excerpt import excerpt

Size: TypeAlias = tuple[int, int]  # height, width

MOST_WINDOWS = 100_000  # of one picture

_MIRRORS = {  # left and right swapped, top and bottom swapped
    "none": ((False, False),),
    "horizontal": ((False, False), (True, False)),
    "vertical": ((False, False), (False, True)),
    "both": ((False, False), (True, False), (False, True), (True, True)),
}
_BEYOND = 1e12  # pixels; a longer side is as good as this one, which is refused


@dataclass(frozen=True)
class Window:
    """A part of a resized picture, pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class View:
    """A part of a picture, and how it is brought to the input of the network.

    Args:
        top: first row of the part, pixels of the picture.
        left: first column.
        height: rows of the part.
        width: columns.
        size: the part is resized to this.
        canvas: and padded to this, at the right and at the bottom.
        mirrored: left and right of the canvas are swapped.
        frame: the part is padded to this before it is resized; None: it is not.
        window: what is cut from the resized part; None: all of it. It may reach beyond it, at the
            right and at the bottom, where padding follows.
        flipped: top and bottom of the canvas are swapped.
        scale: index of the scale of the procedure.
    """

    top: int
    left: int
    height: int
    width: int
    size: Size
    canvas: Size
    mirrored: bool = False
    frame: Size | None = None
    window: Window | None = None
    flipped: bool = False
    scale: int = 0


def check_size(size: object) -> Size:
    """Return the size of a picture, height and width, as a user gives it.

    Raises:
        ValueError: it is not two positive whole numbers.
    """
    try:
        height, width = (operator.index(side) for side in size)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        height = width = 0
    if isinstance(size, str | bytes) or height < 1 or width < 1:
        raise ValueError(
            f"{excerpt(size)} is not the size of a picture; height and width, two whole numbers of "
            "pixels from 1 up, were expected, such as (720, 1280)"
        )
    return height, width


def plan(
    procedure: Procedure, shape: tuple[int | None, int | None], picture: Size
) -> tuple[View, ...]:
    """Plan the views of a picture.

    Args:
        procedure: of the checkpoint's authors.
        shape: height and width of the graph's input where it fixes them.
        picture: height and width, pixels.

    Returns:
        The views: one of the whole picture, or for each scale each window, in row-major order, each
        followed by its mirror images, or by the windows at that place of the mirrored pictures
        (`Procedure.mirrors_windows`). Windows of a scale are ordered from top to bottom even then.

    Raises:
        ImageError: the picture is too long, or so thin that it would be too large when padded or
            resized (`artifact.limits`), or larger than what it is to be padded to.
    """
    if max(picture) > LONGEST_SIDE:
        raise ImageError(
            f"A picture of {picture[0]} x {picture[1]} pixels is too long; at most {LONGEST_SIDE} "
            "pixels a side were expected. Crop it first."
        )
    if not procedure.is_one_view:
        return tuple(sorted(_views(procedure, shape, picture), key=_from_top_to_bottom))
    frame = None
    if procedure.frame is not None:
        frame = framed(procedure.frame, picture)
        check_picture(frame, picture, "padded to")
    whole = frame or picture
    size = whole if procedure.resize is None else resized(procedure.resize, whole)
    padded = size if procedure.canvas is None else framed(procedure.canvas, size)
    height, width = shape
    fixed = (height or padded[0], width or padded[1])
    if padded[0] > fixed[0] or padded[1] > fixed[1]:
        factor = min(fixed[0] / padded[0], fixed[1] / padded[1])
        size, padded = _scaled(size, factor), _scaled(padded, factor)
    canvas = (height or max(padded[0], SMALLEST), width or max(padded[1], SMALLEST))
    check_picture(canvas, picture, "fed to the network as")
    return (View(0, 0, *picture, size, canvas, frame=frame),)


@dataclass(frozen=True)
class Reduction:
    """How much smaller than the picture its largest view is.

    Args:
        factor: of the sides; less than 1 if the view is larger.
        size: height and width of the picture as it is fed, before it is cut and padded.
    """

    factor: float
    size: Size


def reduction(
    procedure: Procedure, shape: tuple[int | None, int | None], picture: Size
) -> Reduction | None:
    """Say how much a picture is shrunk; None if not at all, or if it does not fit the model.

    Arguments are those of `plan`.
    """
    if procedure.resize is None and shape == (None, None) and max(procedure.scales) >= 1:
        return None
    try:
        views = plan(procedure, shape, picture)
    except ImageError:
        return None
    largest = max(views, key=lambda view: view.size[0] * view.size[1] / (view.height * view.width))
    before = math.prod(largest.frame or (largest.height, largest.width))
    factor = math.sqrt(before / math.prod(largest.size))
    return Reduction(factor, largest.size) if factor > 1 else None


def _views(
    procedure: Procedure, shape: tuple[int | None, int | None], picture: Size
) -> Iterator[View]:
    for index, scale in enumerate(procedure.scales):
        size = scaled(procedure.resize, scale, picture)
        if size != picture:
            check_picture(size, picture, "resized to")
        for window in _windows(procedure.windows, size):
            canvas = _canvas(procedure.windows, window)
            if any(
                side is not None and side < need for side, need in zip(shape, canvas, strict=True)
            ):
                raise ImageError(
                    f"The procedure feeds the network {canvas[0]} x {canvas[1]} pixels at a time, and "
                    f"the graph was exported for {shape[0] or 'any'} x {shape[1] or 'any'}. Choose "
                    "smaller windows or scales, or export without --shape (height x width)."
                )
            canvas = (shape[0] or canvas[0], shape[1] or canvas[1])
            check_picture(canvas, picture, "fed to the network as")
            for mirrored, flipped in _MIRRORS[procedure.mirror]:
                shown = window
                if not procedure.mirrors_windows:
                    shown = _mirrored(window, size, mirrored=mirrored, flipped=flipped)
                yield View(0, 0, *picture, size, canvas, mirrored, None, shown, flipped, index)


def _from_top_to_bottom(view: View) -> tuple[int, int]:
    return view.scale, 0 if view.window is None else view.window.top


def _mirrored(window: Window, size: Size, *, mirrored: bool, flipped: bool) -> Window:
    """Say where a window of the mirrored picture lies in the picture."""
    top = size[0] - window.top - window.height if flipped else window.top
    left = size[1] - window.left - window.width if mirrored else window.left
    return replace(window, top=top, left=left)


def scaled(resize: Resize | None, scale: float, picture: Size) -> Size:
    """Return the size (height, width) of a picture at one scale of a procedure.

    Source: the original code rounds the long side up; PaddleSeg and mmcv round the sides of the
    picture times the scale, halves up.
    """
    if scale == 1:
        return picture if resize is None else resized(resize, picture)
    if resize is None or resize.rule == "scale":
        return _scaled(picture, scale)
    limit = None if resize.limit is None else math.ceil(resize.limit * scale)
    return resized(replace(resize, size=math.ceil(resize.size * scale), limit=limit), picture)


def _windows(windows: Windows | None, size: Size) -> Iterator[Window]:
    if windows is None:
        yield Window(0, 0, *size)
        return
    rows, columns = (
        tuple(_spans(length, crop, stride, windows.border))
        for length, crop, stride in zip(size, windows.crop, windows.stride, strict=True)
    )
    if len(rows) * len(columns) > MOST_WINDOWS:
        raise ImageError(
            f"{len(rows) * len(columns)} windows would cover a picture of {size[0]} x {size[1]} "
            f"pixels; at most {MOST_WINDOWS} were expected. Choose a larger stride."
        )
    for top, height in rows:
        for left, width in columns:
            yield Window(top, left, height, width)


def _spans(length: int, crop: int, stride: int, border: str) -> Iterator[tuple[int, int]]:
    """Cover one axis: the start and the length of each window."""
    whole = max(length, crop) if border == "pad" else length
    count = 1 if whole <= crop else -(-(whole - crop) // stride) + 1
    for index in range(count):
        start = index * stride
        if border == "shift":
            start = max(0, min(start, whole - crop))
        yield start, min(crop, whole - start)


def _canvas(windows: Windows | None, window: Window) -> Size:
    """Say what a window is padded to."""
    if windows is not None and windows.border == "pad":
        return windows.crop
    return max(window.height, SMALLEST), max(window.width, SMALLEST)


def framed(frame: Frame, picture: Size) -> Size:
    """Return the size (height, width) that a picture is padded to.

    Raises:
        ImageError: the picture is larger than that.

    Source: PaddleSeg's Padding and PaddingByAspectRatio.
    """
    height, width = picture
    if frame.aspect_ratio is not None:
        if width / height > frame.aspect_ratio:
            return max(height, int(min(width / frame.aspect_ratio, _BEYOND))), width
        return height, max(width, int(min(height * frame.aspect_ratio, _BEYOND)))
    size = (frame.height or height, frame.width or width)
    if height > size[0] or width > size[1]:
        raise ImageError(
            f"This model pads pictures to {size[0]} x {size[1]} pixels, and this one would be "
            f"{height} x {width} before it is padded: too large. Crop or reduce it."
        )
    return size


def resized(resize: Resize, picture: Size) -> Size:
    """Return the size (height, width) that a rule brings a picture to; at least 1 x 1."""
    if resize.rule == "scale":
        return picture
    if resize.arithmetic == "paddleseg":
        return _resized_by_paddleseg(resize, picture)
    height, width = picture
    if resize.limit is not None:
        factor = min(resize.size / max(picture), resize.limit / min(picture))
        return _scaled(picture, factor)
    first = height if (resize.rule == "long_side") == (height > width) else width
    # The authors round here; of the short side they cut the fraction off. They multiply before they
    # divide, which a factor would not: 464 x 319 becomes 520 x 358 and not 357.
    half = 0.5 if resize.rule == "long_side" else 0.0
    return (
        max(1, int(height * resize.size / first + half)),
        max(1, int(width * resize.size / first + half)),
    )


def _resized_by_paddleseg(resize: Resize, picture: Size) -> Size:
    """Do what PaddleSeg's Resize, ResizeByLong, ResizeByShort and LimitLong do."""
    if resize.width is not None:
        sides = (resize.size, resize.width)
    else:
        factor = _factor(resize, picture)
        sides = (max(1, round(picture[0] * factor)), max(1, round(picture[1] * factor)))
    step = resize.divisor
    return -(-sides[0] // step) * step, -(-sides[1] // step) * step


def _factor(resize: Resize, picture: Size) -> float:
    long, short = max(picture), min(picture)
    if resize.limit is not None and resize.rule == "fit":
        return min(resize.size / long, resize.limit / short)
    if resize.rule == "long_within":
        upper = long if resize.limit is None else min(long, resize.limit)
        return max(upper, resize.size) / long
    if resize.rule == "long_side":
        return resize.size / long
    size = resize.size
    if resize.limit is not None and size / short * long > resize.limit:
        size = int(resize.limit / long * short)
    return size / short


def _scaled(size: Size, factor: float) -> Size:
    return max(1, int(size[0] * factor + 0.5)), max(1, int(size[1] * factor + 0.5))
