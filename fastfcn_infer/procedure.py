"""How a picture is looked at: the plan of the views, as data; no pixel is touched here.

Source: reference/fastfcn_semantics.md, section 4, for the sizes.
"""

from dataclasses import dataclass
from typing import TypeAlias

from fastfcn_infer.errors import ImageError
from fastfcn_infer.manifest import Procedure, Resize

Size: TypeAlias = tuple[int, int]  # height, width

SMALLEST = 33  # pixels; the graphs are right for every side from here up
LARGEST = 1 << 26  # pixels of one view, far beyond what memory allows


@dataclass(frozen=True)
class View:
    """One look at a picture.

    Args:
        top: first row of the part that is looked at, pixels of the picture.
        left: first column.
        height: rows of the part.
        width: columns.
        size: the part is resized to this.
        canvas: and padded to this, at the right and at the bottom.
        mirrored: left and right are swapped.
    """

    top: int
    left: int
    height: int
    width: int
    size: Size
    canvas: Size
    mirrored: bool = False


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
        ImageError: the picture is so long and thin that a view would be too large.
    """
    size = picture if procedure.resize is None else resized(procedure.resize, picture)
    height, width = shape
    fixed = (height or size[0], width or size[1])
    if size[0] > fixed[0] or size[1] > fixed[1]:
        size = _scaled(size, min(fixed[0] / size[0], fixed[1] / size[1]))
    canvas = (height or max(size[0], SMALLEST), width or max(size[1], SMALLEST))
    if canvas[0] * canvas[1] > LARGEST:
        raise ImageError(
            f"A picture of {picture[0]} x {picture[1]} pixels would be shown to the network as "
            f"{canvas[0]} x {canvas[1]}; at most {LARGEST} pixels were expected. Cut it first."
        )
    return (View(0, 0, *picture, size, canvas),)


def resized(resize: Resize, picture: Size) -> Size:
    """Return the size (height, width) that a rule brings a picture to; at least 1 x 1."""
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


def _scaled(size: Size, factor: float) -> Size:
    return max(1, int(size[0] * factor + 0.5)), max(1, int(size[1] * factor + 0.5))
