"""What happens to a picture and its labels before they are learned: random size, cut and colours.

Geometry moves picture and labels alike, with labels taken from the nearest pixel. The order is
that of both originals: resize, rotate, pad, cut, blur, colours, with the mirror first (the original)
or after the cut (PaddleSeg). Only padding, which is at the right, tells the two apart: all else
treats left and right alike.

Source: reference/fastfcn_semantics.md, 5.3.
"""

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.data.dataset import IGNORE
from fastfcn_training.recipe.recipe import Augmentation

Pixels = NDArray[np.uint8]
Size = tuple[int, int]


def augment(
    picture: Pixels, labels: Pixels, plan: Augmentation, random: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """Make one example for training.

    Args:
        picture: (H, W, 3) RGB.
        labels: (H, W).
        plan: what to do.
        random: source of every draw; the result depends on nothing else.

    Returns:
        Picture (h, w, 3) and labels (h, w) of the size `plan.crop`.
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
    picture, labels = cut(picture, labels, plan.crop, random)
    if mirror and plan.mirror_last:
        picture, labels = mirrored(picture, labels)
    if random.random() < plan.blur:
        picture = blurred(picture, random.random())
    return distorted(picture, plan, random), labels


def mirrored(picture: Pixels, labels: Pixels) -> tuple[Pixels, Pixels]:
    """Exchange left and right."""
    return np.asarray(cv2.flip(picture, 1), np.uint8), np.asarray(cv2.flip(labels, 1), np.uint8)


def drawn_size(size: Size, plan: Augmentation, random: np.random.Generator) -> Size:
    """Draw the height and width, pixels, that a picture of height and width `size` is resized to."""
    if plan.resize is None:
        return size
    if plan.resize == "scale":
        factor = drawn_factor(plan, random)
        return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)
    low, high = (int(plan.base_size * scale) for scale in plan.scales)
    side = int(random.integers(low, high, endpoint=True))
    short, long = min(size), max(size)
    # The original cuts the other side down to a whole number; its successor rounds.
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
    # A billionth more: 0.3 / 0.1 is a little less than 3.
    steps = int((high - low) / plan.scale_step + 1e-9)
    return low + (high - low) * int(random.integers(steps, endpoint=True)) / max(steps, 1)


def resized(picture: Pixels, labels: Pixels, size: Size, *, smooth: bool) -> tuple[Pixels, Pixels]:
    """Resize to height and width `size`.

    Args:
        picture: (H, W, 3).
        labels: (H, W).
        size: height and width, pixels.
        smooth: a smaller picture averages all pixels it is made of, nearly as Pillow's bilinear
            filter does, with which the original resizes; else it interpolates between four, as
            PaddleSeg does through OpenCV.
    """
    if size == labels.shape:
        return picture, labels
    smaller = size[0] < labels.shape[0]
    kind = cv2.INTER_AREA if smooth and smaller else cv2.INTER_LINEAR
    target = (size[1], size[0])
    return (
        np.asarray(cv2.resize(picture, target, interpolation=kind), np.uint8),
        # The exact one: the other is off by up to half a pixel of the labels.
        np.asarray(cv2.resize(labels, target, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8),
    )


def rotated(
    picture: Pixels, labels: Pixels, angle: float, plan: Augmentation
) -> tuple[Pixels, Pixels]:
    """Turn about the centre by `angle` degrees; the size stays, the corners are padded."""
    height, width = labels.shape
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    warp = partial(cv2.warpAffine, M=turn, dsize=(width, height), borderMode=cv2.BORDER_CONSTANT)
    return (
        np.asarray(warp(picture, flags=cv2.INTER_LINEAR, borderValue=_colour(plan)), np.uint8),
        np.asarray(warp(labels, flags=cv2.INTER_NEAREST, borderValue=_label(plan)), np.uint8),
    )


def padded(picture: Pixels, labels: Pixels, plan: Augmentation) -> tuple[Pixels, Pixels]:
    """Pad at the right and at the bottom to at least the size `plan.crop`."""
    below, right = (
        max(crop - side, 0) for crop, side in zip(plan.crop, labels.shape, strict=True)
    )
    if not below and not right:
        return picture, labels
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


def _colour(plan: Augmentation) -> tuple[int, ...]:
    """Give the colour that pads, 0..255, cut to whole numbers as PaddleSeg's 127.5 is."""
    return tuple(int(share * 255) for share in plan.padding)


def _label(plan: Augmentation) -> int:
    return IGNORE if plan.padding_label is None else plan.padding_label


def cut(
    picture: Pixels, labels: Pixels, size: Size, random: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """Cut a piece of height and width `size`, no larger than the picture, from anywhere."""
    top = int(random.integers(labels.shape[0] - size[0], endpoint=True))
    left = int(random.integers(labels.shape[1] - size[1], endpoint=True))
    rows, columns = slice(top, top + size[0]), slice(left, left + size[1])
    # Copies: a view would keep, and a worker process would send, the whole picture.
    return picture[rows, columns].copy(), labels[rows, columns].copy()


def blurred(picture: Pixels, radius: float) -> Pixels:
    """Blur nearly with a Gaussian whose standard deviation is `radius`, at most 1 pixel.

    Three small boxes, one after the other, that have its variance together, as in Pillow, with
    which the original blurs; samples of a Gaussian below half a pixel would do almost nothing.
    """
    share = radius**2 / 6
    box = np.array([share, 1 - 2 * share, share])
    kernel = np.convolve(np.convolve(box, box), box)
    border = cv2.BORDER_REPLICATE
    return np.asarray(cv2.sepFilter2D(picture, -1, kernel, kernel, borderType=border), np.uint8)


def distorted(picture: Pixels, plan: Augmentation, random: np.random.Generator) -> Pixels:
    """Change brightness, contrast, saturation and hue, each or not, in random order."""
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
    """Move colours away from black by the share `change` of their distance; below 0: closer."""
    return _away(picture, np.zeros_like(picture), change)


def contrasted(picture: Pixels, change: float) -> Pixels:
    """Move colours away from the mean grey by the share `change` of their distance."""
    mean = int(np.mean(_grey(picture)) + 0.5)
    return _away(picture, np.full_like(picture, mean), change)


def saturated(picture: Pixels, change: float) -> Pixels:
    """Move colours away from their own grey by the share `change` of their distance."""
    return _away(
        picture, np.asarray(cv2.cvtColor(_grey(picture), cv2.COLOR_GRAY2RGB), np.uint8), change
    )


def hue_turned(picture: Pixels, degrees: float) -> Pixels:
    """Turn the hue of every pixel by `degrees`."""
    hsv = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV_FULL), np.uint8)
    # The circle of hues has 256 steps there, so bytes that overflow go round as they should.
    hsv[..., 0] += np.uint8(round(degrees * 256 / 360) % 256)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL), np.uint8)


def _grey(picture: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def _away(picture: Pixels, origin: Pixels, change: float) -> Pixels:
    return np.asarray(cv2.addWeighted(picture, 1 + change, origin, -change, 0), np.uint8)
