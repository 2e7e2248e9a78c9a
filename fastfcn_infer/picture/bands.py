"""Let OpenCV work on a picture in the calling thread, a few rows at a time.

It divides a larger picture among threads of its own. They save a tenth of a millisecond, and then wait for more work
without sleeping, for several times as long. Where the processors are busy with other pictures, all of that is taken from
them.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.system.opencv import cv2

_PIXELS = 1 << 16  # that every function of OpenCV leaves to one thread


def bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Divide the rows of a picture.

    Args:
        shape: its height and width, pixels, and perhaps its channels.

    Yields:
        Rows, from top to bottom.
    """
    height, width = shape[:2]
    step = max(1, _PIXELS // max(1, width))
    for first in range(0, height, step):
        yield slice(first, first + step)


def converted(picture: NDArray[Any], code: int) -> NDArray[np.uint8]:
    """Convert the channels of a picture, as `cv2.cvtColor` does.

    Args:
        picture: (H, W) or (H, W, channels) uint8.
        code: such as ``cv2.COLOR_BGR2RGB``; its results have three channels.

    Returns:
        (H, W, 3), a new array.
    """
    found = np.empty((*picture.shape[:2], 3), np.uint8)
    for rows in bands(picture.shape):
        cv2.cvtColor(picture[rows], code, found[rows])
    return found
