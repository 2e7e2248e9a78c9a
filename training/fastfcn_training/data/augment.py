"""Augmentation of training pictures and their labels: random size, crop and colours.

Geometric changes apply to picture and labels alike, with labels taken from the nearest pixel. The
order is that of both originals: resize, rotate, pad, crop, blur, colours, with mirroring first (the
original) or after the crop (PaddleSeg). Only the padding, on the right, makes these two differ:
everything else treats left and right alike.

Source: reference/fastfcn_semantics.md, 5.3.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.data.dataset import IGNORE
from fastfcn_infer.errors import ImageError
from fastfcn_infer.picture.read import DEFAULT_MAX_PIXELS
from fastfcn_infer.system.opencv import cv2
from fastfcn_training.recipe.recipe import Augmentation

Pixels = NDArray[np.uint8]
Size = tuple[int, int]


def augment(
    picture: Pixels, labels: Pixels, plan: Augmentation, random: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """Make one training example.

    Args:
        picture: (H, W, 3) RGB.
        labels: (H, W).
        plan: the augmentation.
        random: source of all random numbers; the result depends on nothing else.

    Returns:
        Picture (h, w, 3) and labels (h, w) of the size `plan.crop`.

    Raises:
        ImageError: the picture would be resized or padded to too many pixels.
    """
    mirror = random.random() < plan.mirror
    if mirror and not plan.mirror_last:
        picture, labels = mirrored(picture, labels)
    size = drawn_size(labels.shape[:2], plan, random)
    picture, labels = resized(picture, labels, size, smooth=plan.resize != "scale")
    if plan.rotation:
        angle = random.uniform(-plan.rotation, plan.rotation)
        picture, labels = rotated(picture, labels, angle, plan)
    picture, labels = padded(picture, labels, plan)
    picture, labels = cropped(picture, labels, plan.crop, random)
    if mirror and plan.mirror_last:
        picture, labels = mirrored(picture, labels)
    if random.random() < plan.blur:
        picture = blurred(picture, random.random())
    return distorted(picture, plan, random), labels


def mirrored(picture: Pixels, labels: Pixels) -> tuple[Pixels, Pixels]:
    """Mirror left and right."""
    return np.asarray(cv2.flip(picture, 1), np.uint8), np.asarray(cv2.flip(labels, 1), np.uint8)


def drawn_size(size: Size, plan: Augmentation, random: np.random.Generator) -> Size:
    """Draw the height and width, pixels, that a picture of size `size` is resized to."""
    if plan.resize is None:
        return size
    if plan.resize == "scale":
        factor = drawn_factor(plan, random)
        return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)
    low, high = (int(plan.base_size * scale) for scale in plan.scales)
    side = int(random.integers(low, high, endpoint=True))
    short, long = min(size), max(size)
    # The original rounds the other side down; ``long_side`` rounds it to the nearest.
    short, long = (
        (side, long * side // short)
        if plan.resize == "short_side"
        else (max(int(short * side / long + 0.5), 1), side)
    )
    return (long, short) if size[0] > size[1] else (short, long)


def drawn_factor(plan: Augmentation, random: np.random.Generator) -> float:
    """Draw a factor between `plan.scales`, or one of the steps between them."""
    low, high = plan.scales
    if not plan.scale_step:
        return float(random.uniform(low, high))
    # A billionth more, as 0.3 / 0.1 is slightly less than 3.
    steps = int((high - low) / plan.scale_step + 1e-9)
    return low + (high - low) * int(random.integers(steps, endpoint=True)) / max(steps, 1)


def resized(picture: Pixels, labels: Pixels, size: Size, *, smooth: bool) -> tuple[Pixels, Pixels]:
    """Resize to height and width `size`.

    Args:
        picture: (H, W, 3).
        labels: (H, W).
        size: height and width, pixels.
        smooth: when shrinking, average all source pixels, nearly like Pillow's bilinear filter,
            which the original uses; else interpolate between four, like PaddleSeg with OpenCV.

    Raises:
        ImageError: `size` has too many pixels.
    """
    if size == labels.shape:
        return picture, labels
    _check_size(size, labels, "resized")
    smaller = size[0] < labels.shape[0]
    kind = cv2.INTER_AREA if smooth and smaller else cv2.INTER_LINEAR
    target = (size[1], size[0])
    return (
        np.asarray(cv2.resize(picture, target, interpolation=kind), np.uint8),
        # INTER_NEAREST is off by up to half a label pixel.
        np.asarray(cv2.resize(labels, target, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8),
    )


def rotated(
    picture: Pixels, labels: Pixels, angle: float, plan: Augmentation
) -> tuple[Pixels, Pixels]:
    """Rotate about the centre by `angle` degrees; the size stays, the corners are padded."""
    height, width = labels.shape
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    warp = partial(cv2.warpAffine, M=turn, dsize=(width, height), borderMode=cv2.BORDER_CONSTANT)
    return (
        np.asarray(warp(picture, flags=cv2.INTER_LINEAR, borderValue=_colour(plan)), np.uint8),
        np.asarray(warp(labels, flags=cv2.INTER_NEAREST, borderValue=_label(plan)), np.uint8),
    )


def padded(picture: Pixels, labels: Pixels, plan: Augmentation) -> tuple[Pixels, Pixels]:
    """Pad on the right and at the bottom to at least the size `plan.crop`.

    Raises:
        ImageError: the result would have too many pixels.
    """
    below, right = (
        max(crop - side, 0) for crop, side in zip(plan.crop, labels.shape, strict=True)
    )
    if not below and not right:
        return picture, labels
    _check_size((labels.shape[0] + below, labels.shape[1] + right), labels, "padded")
    border = partial(
        cv2.copyMakeBorder,
        top=0,
        bottom=below,
        left=0,
        right=right,
        borderType=cv2.BORDER_CONSTANT,
    )
    return (
        np.asarray(border(picture, value=_colour(plan)), np.uint8),
        np.asarray(border(labels, value=_label(plan)), np.uint8),
    )


def _check_size(size: Size, labels: Pixels, change: str) -> None:
    """Refuse to allocate more than the largest picture that is read."""
    if size[0] * size[1] > DEFAULT_MAX_PIXELS:
        height, width = labels.shape
        raise ImageError(
            f"the picture of {width} x {height} would be {change} to {size[1]} x {size[0]}, more than "
            f"{DEFAULT_MAX_PIXELS:,} pixels; leave it out, or change the recipe's augmentation"
        )


def _colour(plan: Augmentation) -> tuple[int, ...]:
    """Give the padding colour, 0..255, truncated to integers as PaddleSeg's 127.5 is."""
    return tuple(int(share * 255) for share in plan.padding)


def _label(plan: Augmentation) -> int:
    return IGNORE if plan.padding_label is None else plan.padding_label


def cropped(
    picture: Pixels, labels: Pixels, size: Size, random: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """Crop to height and width `size`, at most the picture's, at a random place."""
    top = int(random.integers(labels.shape[0] - size[0], endpoint=True))
    left = int(random.integers(labels.shape[1] - size[1], endpoint=True))
    rows, columns = slice(top, top + size[0]), slice(left, left + size[1])
    # Copies: a view would keep the whole picture in memory, and workers would send it.
    return picture[rows, columns].copy(), labels[rows, columns].copy()


def blurred(picture: Pixels, radius: float) -> Pixels:
    """Blur approximately with a Gaussian of standard deviation `radius`, at most 1 pixel.

    Three small boxes in sequence with the same total variance, as in Pillow, which the original
    uses; a sampled Gaussian below half a pixel would do almost nothing.
    """
    share = radius**2 / 6
    box = np.array([share, 1 - 2 * share, share])
    kernel = np.convolve(np.convolve(box, box), box)
    border = cv2.BORDER_REPLICATE
    return np.asarray(cv2.sepFilter2D(picture, -1, kernel, kernel, borderType=border), np.uint8)


def distorted(picture: Pixels, plan: Augmentation, random: np.random.Generator) -> Pixels:
    """Change brightness, contrast, saturation and hue, each with probability 1/2, in random order."""
    changes: tuple[tuple[Callable[[Pixels, float], Pixels], float], ...] = (
        (brightened, plan.brightness),
        (contrasted, plan.contrast),
        (saturated, plan.saturation),
        (hue_turned, plan.hue),
    )
    changes = tuple((change, largest) for change, largest in changes if largest)
    for index in random.permutation(len(changes)):
        change, largest = changes[index]
        if random.random() < 0.5:
            picture = change(picture, random.uniform(-largest, largest))
    return picture


def brightened(picture: Pixels, change: float) -> Pixels:
    """Scale the distance of colours from black by ``1 + change``."""
    return _away(picture, np.zeros_like(picture), change)


def contrasted(picture: Pixels, change: float) -> Pixels:
    """Scale the distance of colours from the mean grey by ``1 + change``."""
    mean = int(np.mean(_grey(picture)) + 0.5)
    return _away(picture, np.full_like(picture, mean), change)


def saturated(picture: Pixels, change: float) -> Pixels:
    """Scale the distance of colours from their own grey by ``1 + change``."""
    return _away(
        picture, np.asarray(cv2.cvtColor(_grey(picture), cv2.COLOR_GRAY2RGB), np.uint8), change
    )


def hue_turned(picture: Pixels, degrees: float) -> Pixels:
    """Rotate the hue of every pixel by `degrees`."""
    hsv = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV_FULL), np.uint8)
    # The hue circle has 256 steps here, so an overflowing byte wraps around correctly.
    hsv[..., 0] += np.uint8(round(degrees * 256 / 360) % 256)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL), np.uint8)


def _grey(picture: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def _away(picture: Pixels, origin: Pixels, change: float) -> Pixels:
    return np.asarray(cv2.addWeighted(picture, 1 + change, origin, -change, 0), np.uint8)
