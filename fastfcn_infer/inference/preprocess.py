"""From a picture and its views to what the graph is fed: cut, resize, normalise, pad."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Input, Interpolation, Resize, Triple
from fastfcn_infer.inference.views import Size, View

_MODES: Mapping[Interpolation, int] = {
    "linear": cv2.INTER_LINEAR,
    "nearest": cv2.INTER_NEAREST,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos4": cv2.INTER_LANCZOS4,
}

Batch: TypeAlias = NDArray[np.float32] | NDArray[np.uint8]
Pixels: TypeAlias = NDArray[Any]  # (h, w, 3), uint8 or float32 on the scale 0..255


def prepare(
    looks: Sequence[tuple[NDArray[np.uint8], View]], given: Input, resize: Resize | None
) -> Batch:
    """Make a batch of views.

    Args:
        looks: pictures (H, W, 3) uint8, RGB, each with a view of it; all of one canvas size.
        given: what the graph is fed.
        resize: the conventions of the interpolation; half-pixel, on bytes, where None.

    Returns:
        float32 (N, 3, h, w) for ``image``, uint8 (N, h, w, 3) for ``pixels``; C-contiguous. N is
        the number of views, or the one the graph fixes; then what is left over is padding.
    """
    count = given.shape[0] or len(looks)
    height, width = looks[0][1].canvas
    pixels = [_look(picture, view, given.padding, resize) for picture, view in looks]
    if given.name == "pixels":
        padding = np.array([round(255 * value) for value in given.padding], np.uint8)
        fed = np.empty((count, height, width, 3), np.uint8)
        fed[:] = padding
        for index, part in enumerate(pixels):
            fed[index, : part.shape[0], : part.shape[1]] = np.rint(part)
        return fed
    batch = np.empty((count, 3, height, width), np.float32)
    for channel in range(3):
        mean, std = given.mean[channel], given.std[channel]
        planes = batch[:, channel]
        if count > len(looks) or any(part.shape[:2] != (height, width) for part in pixels):
            planes[:] = (given.padding[channel] - mean) / std
        for index, part in enumerate(pixels):
            target = planes[index, : part.shape[0], : part.shape[1]]
            _normalise(part[:, :, channel], mean, std, target)
    return batch


def _normalise(plane: Pixels, mean: float, std: float, target: NDArray[np.float32]) -> None:
    if plane.dtype == np.uint8:
        # A byte has 256 values: one look-up does all the arithmetic, in one pass over the plane.
        table = ((np.arange(256) / 255 - mean) / std).astype(np.float32)
        target[:] = table[plane]
    else:
        np.multiply(plane, np.float32(1 / (255 * std)), out=target)
        target -= np.float32(mean / std)


def _look(
    picture: NDArray[np.uint8], view: View, padding: Triple, resize: Resize | None
) -> Pixels:
    part: Pixels = picture[view.top : view.top + view.height, view.left : view.left + view.width]
    if view.frame is not None:
        part = _framed(part, view.frame, padding)
    if view.size != part.shape[:2]:
        part = _resized(part, view.size, resize)
    return part[:, ::-1] if view.mirrored else part


def _framed(part: Pixels, frame: Size, padding: Triple) -> Pixels:
    """Pad at the right and at the bottom; float32, as a padding may lie between two bytes."""
    whole = np.empty((*frame, 3), np.float32)
    whole[:] = [255 * value for value in padding]
    whole[: part.shape[0], : part.shape[1]] = part
    return whole


def _resized(part: Pixels, size: Size, resize: Resize | None) -> Pixels:
    if resize is None:
        return cv2.resize(part, size[::-1], interpolation=cv2.INTER_LINEAR)
    if resize.align_corners:
        return resize_align_corners(part, size)
    if resize.arithmetic == "paddleseg":
        part = part.astype(np.float32)
    return cv2.resize(part, size[::-1], interpolation=_MODES[resize.interpolation])


def resize_align_corners(picture: Pixels, size: Size) -> NDArray[np.float32]:
    """Resize bilinearly, the outermost pixels of both pictures lying on each other.

    Args:
        picture: (h, w, 3).
        size: height and width, pixels.

    Returns:
        (H, W, 3) float32.
    """
    # Rows first, cut to the rows that are needed: the picture is never a float as a whole.
    low, high, share = _between(picture.shape[0], size[0])
    rows = _lerp(picture[low], picture[high], share[:, None, None])
    low, high, share = _between(picture.shape[1], size[1])
    return _lerp(rows[:, low], rows[:, high], share[:, None])


def _between(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[Any]]:
    at = np.arange(target) * ((source - 1) / max(target - 1, 1))
    low = np.minimum(at.astype(np.intp), source - 1)
    return low, np.minimum(low + 1, source - 1), (at - low).astype(np.float32)


def _lerp(low: Pixels, high: Pixels, share: NDArray[Any]) -> NDArray[np.float32]:
    low = low.astype(np.float32)
    result: NDArray[np.float32] = low + (high.astype(np.float32) - low) * share
    return result
