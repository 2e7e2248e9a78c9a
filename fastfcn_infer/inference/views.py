"""Plan the views of a picture, as data: no pixel is touched here, and no array is made.

Source: reference/fastfcn_semantics.md, section 4, for the sizes.
"""

from dataclasses import dataclass
from typing import TypeAlias

from fastfcn_infer.artifact.limits import LONGEST_SIDE, check_picture
from fastfcn_infer.artifact.manifest import Frame, Procedure, Resize
from fastfcn_infer.errors import ImageError

Size: TypeAlias = tuple[int, int]  # height, width

SMALLEST = 33  # pixels; the graphs are right for every side from here up

_BEYOND = 1e12  # pixels; a longer side is as good as this one, which is refused


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
        mirrored: left and right are swapped.
        frame: the part is padded to this before it is resized; None: it is not.
    """

    top: int
    left: int
    height: int
    width: int
    size: Size
    canvas: Size
    mirrored: bool = False
    frame: Size | None = None


def plan(
    procedure: Procedure, shape: tuple[int | None, int | None], picture: Size
) -> tuple[View, ...]:
    """Plan the views of a picture.

    Args:
        procedure: of the checkpoint's authors.
        shape: height and width of the graph's input where it fixes them.
        picture: height and width, pixels.

    Returns:
        The views; in the procedure "whole" there is one.

    Raises:
        ImageError: the picture is too long, or so thin that it would be too large when padded or
            resized (`artifact.limits`), or larger than what it is to be padded to.
    """
    if max(picture) > LONGEST_SIDE:
        raise ImageError(
            f"A picture of {picture[0]} x {picture[1]} pixels is too long; at most {LONGEST_SIDE} "
            "pixels a side were expected. Crop it first."
        )
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
