"""From pictures and their views to the input of the graph: cut, resize, normalise, pad."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.limits import check_array
from fastfcn_infer.artifact.manifest import RGB, Input, Values
from fastfcn_infer.artifact.procedure import Interpolation, Resize
from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.views import Size, View, Window
from fastfcn_infer.picture.bands import bands
from fastfcn_infer.system.opencv import cv2

_MODES: Mapping[Interpolation, int] = {
    "linear": cv2.INTER_LINEAR,
    "nearest": cv2.INTER_NEAREST,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos4": cv2.INTER_LANCZOS4,
}

# Views that differ in these only are cut from one resized picture.
_ALIKE: Mapping[str, Any] = {
    "window": None,
    "canvas": (0, 0),
    "mirrored": False,
    "flipped": False,
    "scale": 0,
}
_BAND = 1 << 16  # pixels that are interpolated together
_BATCH = "The input of the network"

Batch: TypeAlias = NDArray[np.float32] | NDArray[np.uint8]
Pixels: TypeAlias = NDArray[Any]  # (h, w, channels), uint8 or float32 on the scale 0..255


class Picture(Protocol):
    """A picture (H, W, channels): an array, or a file whose parts are read when they are cut.

    Three channels are uint8 RGB; others are uint8, or float32 on the scale 0..255.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width, channels."""

    def __getitem__(self, part: tuple[slice, slice], /) -> Pixels:
        """Return some rows and columns."""


Look: TypeAlias = tuple[Picture, View]  # a picture, and a view of it


def prepare(looks: Sequence[Look], given: Input, resize: Resize | None) -> Batch:
    """Make a batch of views.

    Args:
        looks: pictures, each with a view of it; at least one, all of one canvas size.
        given: the input of the graph.
        resize: the conventions of the interpolation; None: half-pixel, on bytes.

    Returns:
        float32 (N, channels, h, w) for ``image``, uint8 (N, h, w, 3) for ``pixels``; C-contiguous. N is
        the number of looks, or the batch size that the graph fixes; the rest of it is padding.

    Raises:
        ImageError: the batch would be too large, in general or for this machine.
        ValueError: the canvases differ, or the looks are more than the graph takes.
    """
    canvas, count = looks[0][1].canvas, given.shape[0] or len(looks)
    if any(view.canvas != canvas for _, view in looks):
        raise ValueError(
            f"views of one canvas were expected, found {[v.canvas for _, v in looks]}"
        )
    if len(looks) > count:
        raise ValueError(f"{len(looks)} views; the graph takes {count} at a time")
    try:
        if given.name == "pixels":
            return _bytes(looks, (count, *canvas, 3), given.padding, resize)
        return _normalised(looks, (count, given.channels, *canvas), given, resize)
    except (MemoryError, cv2.error) as error:
        if isinstance(error, cv2.error) and error.code != cv2.Error.StsNoMem:
            raise
        raise ImageError(
            f"There is not enough memory to prepare a batch of {count} x {canvas[0]} x {canvas[1]} "
            "pixels. Use smaller pictures or smaller batches, or free some memory."
        ) from error


def _bytes(
    looks: Sequence[Look], shape: tuple[int, ...], padding: Values, resize: Resize | None
) -> NDArray[np.uint8]:
    check_array(shape, 1, _BATCH)
    batch = np.empty(shape, np.uint8)
    parts = _Parts(padding, resize)
    for (picture, view), target in zip(looks, batch, strict=False):
        part = parts.look(picture, view)
        height, width = part.shape[:2]
        if (height, width) != view.canvas:
            target[:] = _to_bytes(_colour(padding))
        # Rounding bytes would go through float16; copying them is hundreds of times as fast.
        target[:height, :width] = part if part.dtype == np.uint8 else _to_bytes(part)
        _mirror(target, view, rows=0)
    batch[len(looks) :] = _to_bytes(_colour(padding))
    return batch


def _normalised(
    looks: Sequence[Look], shape: tuple[int, ...], given: Input, resize: Resize | None
) -> NDArray[np.float32]:
    check_array(shape, 4, _BATCH)
    batch = np.empty(shape, np.float32)
    padding = np.array(
        [
            (colour - mean) / std
            for colour, mean, std in zip(given.padding, given.mean, given.std, strict=True)
        ]
    ).reshape(-1, 1, 1)
    parts = _Parts(given.padding, resize)
    before: tuple[Look, NDArray[np.float32]] | None = None
    for look, planes in zip(looks, batch, strict=False):
        picture, view = look
        if before is not None and _are_mirrored(before[0], look):
            _flip(before[1], planes, before[0][1], view)
        else:
            height, width = _covered(view)
            if (height, width) != view.canvas:
                planes[:] = padding
            parts.normalise(picture, view, given, planes[:, :height, :width])
            _mirror(planes, view, rows=1)
        before = look, planes
    batch[len(looks) :] = padding
    return batch


def _are_mirrored(one: Look, other: Look) -> bool:
    """Tell whether two views show the same, but for being mirrored."""
    first, second = (replace(v, mirrored=False, flipped=False, scale=0) for _, v in (one, other))
    return one[0] is other[0] and first == second


def _flip(
    source: NDArray[np.float32], target: NDArray[np.float32], one: View, other: View
) -> None:
    """Copy the planes of one view to those of another that shows them mirrored."""
    turned, over = one.mirrored != other.mirrored, one.flipped != other.flipped
    if not turned and not over:
        target[:] = source
        return
    code = -1 if turned and over else int(turned)
    for plane, into in zip(source, target, strict=True):
        cv2.flip(plane, code, into)


def _normalise(part: Pixels, given: Input, planes: NDArray[np.float32]) -> None:
    """Normalise pixels (h, w, channels) into planes (channels, h, w)."""
    for plane, target, mean, std in zip(_split(part), planes, given.mean, given.std, strict=True):
        if plane.dtype == np.uint8:
            # A byte has 256 values: one look-up does all the arithmetic, in one pass over the plane.
            table = ((np.arange(256) / 255 - mean) / std).astype(np.float32)
            for rows in bands(plane.shape):
                cv2.LUT(plane[rows], table, dst=target[rows])
        else:
            np.multiply(plane, np.float32(1 / (255 * std)), out=target)
            target -= np.float32(mean / std)


def _split(part: Pixels) -> Sequence[Pixels]:
    """Return the planes of pixels, each contiguous."""
    if part.shape[2] != RGB:  # OpenCV splits a limited number of channels
        return [np.ascontiguousarray(part[:, :, index]) for index in range(part.shape[2])]
    # Planes first: to take every third byte costs more than all the arithmetic. And into one
    # array: three new ones cost as much as the splitting.
    return cv2.split(part, list(np.empty((RGB, *part.shape[:2]), part.dtype)))


class _Parts:
    """Cuts views; the windows of a batch share the picture that was resized for the first of them."""

    def __init__(self, padding: Values, resize: Resize | None) -> None:
        self._padding, self._resize = padding, resize
        self._last: tuple[Picture, View, Pixels] | None = None
        self._normal: tuple[Pixels, NDArray[np.float32]] | None = None

    def look(self, picture: Picture, view: View) -> Pixels:
        """Return what a view shows, before it is padded and mirrored."""
        window = view.window
        if window is None:
            return self._whole(picture, view)
        rows, columns = _inside(window)
        if _cuts_the_picture(picture, view):
            return picture[rows, columns]  # no more of it is read than the window
        return self._whole(picture, view)[rows, columns]

    def normalise(
        self, picture: Picture, view: View, given: Input, planes: NDArray[np.float32]
    ) -> None:
        """Normalise what a view shows into planes (channels, h, w)."""
        if view.window is None or _cuts_the_picture(picture, view):
            _normalise(self.look(picture, view), given, planes)
            return
        # Windows overlap: the resized picture is normalised once for all of them.
        whole = self._whole(picture, view)
        if self._normal is None or self._normal[0] is not whole:
            self._normal = whole, np.empty((given.channels, *whole.shape[:2]), np.float32)
            _normalise(whole, given, self._normal[1])
        rows, columns = _inside(view.window)
        planes[:] = self._normal[1][:, rows, columns]

    def _whole(self, picture: Picture, view: View) -> Pixels:
        if self._last is not None:
            before, seen, resized = self._last
            if before is picture and replace(seen, **_ALIKE) == replace(view, **_ALIKE):
                return resized
        part: Pixels = picture[
            view.top : view.top + view.height, view.left : view.left + view.width
        ]
        if view.frame is not None:
            part = _framed(part, view.frame, self._padding, self._resize)
        if view.size != part.shape[:2]:
            part = _resized(part, view.size, self._resize)
        self._last = (picture, view, part)
        return part


def _inside(window: Window) -> tuple[slice, slice]:
    """Return the rows and the columns of a window; they may end beyond the picture."""
    return (
        slice(window.top, window.top + window.height),
        slice(window.left, window.left + window.width),
    )


def _cuts_the_picture(picture: Picture, view: View) -> bool:
    """Tell whether the picture is neither padded nor resized before windows are cut."""
    return (view.top, view.left, *view.size, view.frame) == (0, 0, *picture.shape[:2], None)


def _covered(view: View) -> Size:
    """Return the height and the width of the part of a canvas that is not padding."""
    if view.window is None:
        return view.size
    height, width = view.size
    window = view.window
    return min(window.height, height - window.top), min(window.width, width - window.left)


def _mirror(canvas: NDArray[Any], view: View, *, rows: int) -> None:
    """Mirror a padded view in place; `rows` is the axis of its rows, the next that of its columns."""
    axes = [axis for axis, wanted in ((rows, view.flipped), (rows + 1, view.mirrored)) if wanted]
    if axes:
        canvas[:] = np.flip(canvas, tuple(axes)).copy()


def _framed(part: Pixels, frame: Size, padding: Values, resize: Resize | None) -> Pixels:
    """Pad at the right and at the bottom.

    The result is float32, as the colour may lie between two bytes, but for a resize of bytes.
    """
    whole: Pixels
    if _resizes_bytes(resize) and part.dtype == np.uint8:
        whole = np.empty((*frame, part.shape[2]), np.uint8)
        whole[:] = _to_bytes(_colour(padding))
    else:
        whole = np.empty((*frame, part.shape[2]), np.float32)
        whole[:] = _colour(padding)
    whole[: part.shape[0], : part.shape[1]] = part
    return whole


def _colour(padding: Values) -> NDArray[np.float64]:
    return 255 * np.array(padding, np.float64)


def _to_bytes(values: Pixels) -> NDArray[np.uint8]:
    """Round to the nearest byte, halves to the even one; what lies outside 0..255 is clipped.

    Cubic and Lanczos interpolation overshoot at edges.
    """
    rounded: NDArray[np.uint8] = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    return rounded


def _resizes_bytes(resize: Resize | None) -> bool:
    return resize is not None and resize.arithmetic == "authors" and not resize.align_corners


def _resized(part: Pixels, size: Size, resize: Resize | None) -> Pixels:
    """Resize pixels of any number of channels, three at a time: OpenCV's functions take four at most."""
    channels = part.shape[2]
    if channels == RGB:
        return _resized_three(part, size, resize)
    check_array((*size, channels), 4, "The resized picture")
    whole: Pixels | None = None
    for first in range(0, channels, RGB):
        these = [min(index, channels - 1) for index in range(first, first + RGB)]
        found = _resized_three(np.ascontiguousarray(part[:, :, these]), size, resize)
        if whole is None:
            whole = np.empty((*size, channels), found.dtype)
        whole[:, :, first : first + RGB] = found[:, :, : channels - first]
    return part if whole is None else whole


def _resized_three(part: Pixels, size: Size, resize: Resize | None) -> Pixels:
    if resize is None:
        return cv2.resize(part, size[::-1], interpolation=cv2.INTER_LINEAR)
    if resize.align_corners:
        return resize_align_corners(part, size)
    if resize.arithmetic == "paddleseg":
        check_array(part.shape, 4, "The picture in float32")
        part = part.astype(np.float32, copy=False)
    return cv2.resize(part, size[::-1], interpolation=_MODES[resize.interpolation])


def resize_align_corners(picture: Pixels, size: Size) -> NDArray[np.float32]:
    """Resize bilinearly so that the outermost pixels of both pictures lie on each other.

    Args:
        picture: (h, w, 3).
        size: height and width, pixels.

    Returns:
        (H, W, 3) float32.
    """
    top, bottom, down = _between(picture.shape[0], size[0])
    left, right, across = _between(picture.shape[1], size[1])
    if picture.shape[0] <= size[0] and picture.shape[1] > 2 * size[1]:
        # Each row is used several times, and most of its columns never.
        columns, places = np.unique([left, right], return_inverse=True)
        picture, (left, right) = picture[:, columns], places.reshape(2, -1)
    resized = np.empty((*size, 3), np.float32)
    # A few rows at a time: no array in between is large, however odd the two sizes are.
    step = max(1, _BAND // max(picture.shape[1], size[1]))
    for first in range(0, size[0], step):
        band = slice(first, first + step)
        rows = _lerp(picture[top[band]], picture[bottom[band]], down[band, None, None])
        # To gather columns of three numbers takes several times as long as to turn them into rows.
        turned = cv2.transpose(rows)
        cv2.transpose(_lerp(turned[left], turned[right], across[:, None, None]), resized[band])
    return resized


def _between(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[Any]]:
    at = np.arange(target) * ((source - 1) / max(target - 1, 1))
    low = np.minimum(at.astype(np.intp), source - 1)
    return low, np.minimum(low + 1, source - 1), (at - low).astype(np.float32)


def _lerp(low: Pixels, high: Pixels, share: NDArray[Any]) -> NDArray[np.float32]:
    """Interpolate between arrays that are not needed afterwards."""
    low, result = low.astype(np.float32, copy=False), high.astype(np.float32, copy=False)
    result -= low
    result *= share
    result += low
    return result
