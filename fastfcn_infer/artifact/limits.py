"""Limits on arrays whose size depends on a picture and a manifest.

A picture of 1 x 100000 pixels is a small file, and a manifest of a hundred bytes may ask for it to be
padded to a square. So every such size is compared with these limits while it is still a number; the
arrays are made afterwards. The limits do not depend on the machine: they keep a mistake or an attack
from asking for memory that no reasonable picture needs.
"""

from math import prod

from fastfcn_infer.errors import ImageError

LONGEST_SIDE = 1 << 20  # pixels; OpenCV refuses files beyond it, too
LARGEST_VIEW = 1 << 26  # pixels of a padded, resized or normalised picture, 0.8 GB in float32
LARGEST_ARRAY = (
    1 << 33
)  # bytes of a batch or of an output: ADE20K's scores for each of 14 M pixels


def check_picture(size: tuple[int, int], picture: tuple[int, int], step: str) -> None:
    """Refuse a picture that a step of preprocessing would make too large.

    Args:
        size: height and width after the step, pixels; larger than zero.
        picture: height and width of the picture, for the message.
        step: what would happen to it, such as "resized to".

    Raises:
        ImageError: a side or the area is too large.
    """
    height, width = size
    if height * width <= LARGEST_VIEW and max(size) <= LONGEST_SIDE:
        return
    raise ImageError(
        f"A picture of {picture[0]} x {picture[1]} pixels would be {step} {height} x {width}; "
        f"at most {LARGEST_VIEW} pixels and {LONGEST_SIDE} a side were expected. Crop it first, or "
        "check the sizes in the model's manifest (height x width)."
    )


def check_array(shape: tuple[int, ...], itemsize: int, what: str) -> None:
    """Refuse an array before it is made.

    Args:
        shape: of the array.
        itemsize: bytes of an element.
        what: names the array in the message, such as "The input of the network".

    Raises:
        ImageError: it would take more than `LARGEST_ARRAY` bytes.
    """
    size = prod(shape) * itemsize
    if size > LARGEST_ARRAY:
        raise ImageError(
            f"{what} would be {' x '.join(map(str, shape))}, {size / 2**30:.1f} GiB; at most "
            f"{LARGEST_ARRAY >> 30} GiB were expected. Use smaller pictures or smaller batches, or "
            "check the sizes in the model's manifest."
        )
