"""The authors' procedures in plain NumPy, every class at full size in float64: the reference of `accuracy`.

Nothing of this project is used. `scores` returns the merged map of a picture by the name of a
procedure of `PROCEDURES`; `run` is a network with the logits at a smaller size.

Source: MultiEvalModule of the original code, paddleseg/core/infer.py, and mmsegmentation's
encoder_decoder and seg_tta.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float64]  # (C, H, W)
Image = NDArray[np.float32]  # (3, H, W), normalised
Network = Callable[[Image], Map]  # logits at the size of the image
Normal = Callable[[NDArray[Any]], Image]  # of (H, W, 3), 0..255

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


def stretched(values: NDArray[Any], size: tuple[int, int], *, align_corners: bool) -> Map:
    """Resize (C, h, w) bilinearly, rows first."""
    result = np.asarray(values, np.float64)
    for axis, long in ((1, size[0]), (2, size[1])):
        short, pixels = result.shape[axis], np.arange(long)
        if short == long:
            continue
        if align_corners:
            places = pixels * (short - 1) / max(long - 1, 1)
        else:
            places = np.clip((pixels + 0.5) * short / long - 0.5, 0, short - 1)
        low = np.minimum(places.astype(int), max(short - 2, 0))
        share = (places - low)[:, None] if axis == 1 else places - low
        first, second = result.take(low, axis), result.take(np.minimum(low + 1, short - 1), axis)
        result = first + (second - first) * share
    return result


def slide(image: Image, crop: tuple[int, int], stride: tuple[int, int], run: Network) -> Map:
    """Windows of PaddleSeg and mmsegmentation: moved back at the border, mean where they overlap."""
    height, width = image.shape[1:]
    rows = 1 if height <= crop[0] else math.ceil((height - crop[0]) / stride[0]) + 1
    columns = 1 if width <= crop[1] else math.ceil((width - crop[1]) / stride[1]) + 1
    total, count = np.zeros(()), np.zeros((height, width))
    for row in range(rows):
        for column in range(columns):
            bottom = min(row * stride[0] + crop[0], height)
            right = min(column * stride[1] + crop[1], width)
            place = (
                slice(max(bottom - crop[0], 0), bottom),
                slice(max(right - crop[1], 0), right),
            )
            found = run(image[:, place[0], place[1]])
            if total.ndim == 0:
                total = np.zeros((len(found), height, width))
            total[:, place[0], place[1]] += found
            count[place] += 1
    return total / count


def whole(picture: NDArray[np.uint8], normal: Normal, run: Network) -> Map:
    """One view of the whole picture."""
    return run(normal(picture))


def windows(
    picture: NDArray[np.uint8],
    normal: Normal,
    run: Network,
    crop: tuple[int, int],
    stride: tuple[int, int],
) -> Map:
    """PaddleSeg's slide_inference."""
    return slide(normal(picture), crop, stride, run)


def paddleseg_scales(
    picture: NDArray[np.uint8],
    normal: Normal,
    run: Network,
    scales: tuple[float, ...],
    *,
    flip: bool,
    resize_bytes: bool = False,
) -> Map:
    """PaddleSeg's aug_inference; with `resize_bytes` the picture is resized before it is normalised."""
    height, width = picture.shape[:2]
    total: list[Map] = []
    for scale in scales:
        size = (int(height * scale + 0.5), int(width * scale + 0.5))
        if resize_bytes:
            image = normal(cv2.resize(picture, size[::-1]))
        else:
            image = stretched(normal(picture), size, align_corners=False).astype(np.float32)
        for step in (1, -1) if flip else (1,):
            found = run(image[:, :, ::step])[:, :, ::step]
            total.append(stretched(found, (height, width), align_corners=False))
    return np.asarray(np.mean(total, axis=0))


def original(
    picture: NDArray[np.uint8],
    normal: Normal,
    run: Network,
    scales: tuple[float, ...],
    *,
    flip: bool,
    blank: tuple[float, float, float],
) -> Map:
    """MultiEvalModule of the original code, base size 520 and crop 480; `blank` is what it pads with."""
    image, (height, width) = normal(picture), picture.shape[:2]
    colour = normal(255 * np.array(blank).reshape(1, 1, 3))
    base, crop, stride = 520, 480, 320

    def padded(part: Image, size: tuple[int, int]) -> Image:
        canvas = np.broadcast_to(colour, (3, *size)).astype(np.float32)
        canvas[:, : part.shape[1], : part.shape[2]] = part
        return canvas

    def window(part: Image) -> Map:
        canvas = padded(part, (crop, crop))
        total = run(canvas)
        if flip:
            total = total + run(canvas[:, :, ::-1])[:, :, ::-1]
        return np.asarray(np.exp(total[:, : part.shape[1], : part.shape[2]]))

    merged = np.zeros(())
    for scale in scales:
        long = math.ceil(base * scale)
        if height > width:
            size = (long, int(width * long / height + 0.5))
        else:
            size = (int(height * long / width + 0.5), long)
        resized = stretched(image, size, align_corners=True).astype(np.float32)
        if long <= crop:
            found = window(resized)
        else:
            full = (max(size[0], crop), max(size[1], crop))
            canvas, count = padded(resized, full), np.zeros(full)
            found = np.zeros(())
            for top in range(0, full[0] - crop + stride, stride):
                for left in range(0, full[1] - crop + stride, stride):
                    place = (
                        slice(top, min(top + crop, full[0])),
                        slice(left, min(left + crop, full[1])),
                    )
                    part = window(canvas[:, place[0], place[1]])
                    if found.ndim == 0:
                        found = np.zeros((len(part), *full))
                    found[:, place[0], place[1]] += part
                    count[place] += 1
            found = (found / count)[:, : size[0], : size[1]]
        merged = merged + stretched(found, (height, width), align_corners=True)
    return merged


def fitted(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Resize into 2048 x 512 as mmcv does."""
    height, width = picture.shape[:2]
    factor = min(2048 / max(height, width), 512 / min(height, width))
    size = (int(height * factor + 0.5), int(width * factor + 0.5))
    return np.asarray(cv2.resize(picture, size[::-1]), np.uint8)


def mmseg(
    picture: NDArray[np.uint8],
    normal: Normal,
    run: Network,
    crop: tuple[int, int] | None = None,
    stride: tuple[int, int] = (0, 0),
) -> Map:
    """Inference of mmsegmentation, whole or in windows."""
    image = normal(fitted(picture))
    found = run(image) if crop is None else slide(image, crop, stride, run)
    return stretched(found, (picture.shape[0], picture.shape[1]), align_corners=False)


def mmseg_tta(picture: NDArray[np.uint8], normal: Normal, run: Network) -> Map:
    """SegTTAModel of mmsegmentation: mean of softmax of each view's logits at full size."""
    height, width = picture.shape[:2]
    total: list[Map] = []
    for scale in SCALES:
        size = (int(width * scale + 0.5), int(height * scale + 0.5))
        image = normal(picture if scale == 1 else cv2.resize(picture, size))
        for step in (1, -1):
            found = run(image[:, :, ::step])[:, :, ::step]
            found = stretched(found, (height, width), align_corners=False)
            shares = np.exp(found - found.max(0))
            total.append(shares / shares.sum(0))
    return np.asarray(np.mean(total, axis=0))


Scores = Callable[[NDArray[np.uint8], Normal, Network], Map]
_THREE = (0.75, 1.0, 1.25)
_GREY = (0.5, 0.5, 0.5)  # of the embedded model's manifest

# What `fastfcn evaluate` is given -> the same in plain NumPy. The model's own procedure must leave the pictures as they are.
PROCEDURES: Mapping[str, Scores] = {
    "--procedure whole": whole,
    "--mirror horizontal": partial(paddleseg_scales, scales=(1.0,), flip=True),
    "--scales 0.75,1,1.25": partial(
        paddleseg_scales, scales=_THREE, flip=False, resize_bytes=True
    ),
    "--scales 0.75,1,1.25 --mirror horizontal": partial(
        paddleseg_scales, scales=_THREE, flip=True, resize_bytes=True
    ),
    "--procedure tiles": partial(windows, crop=(480, 480), stride=(320, 320)),
    "--procedure tiles --crop 240x320 --stride 160x213": partial(
        windows, crop=(240, 320), stride=(160, 213)
    ),
    "--procedure paddleseg": whole,
    "--procedure paddleseg-slide": partial(windows, crop=(480, 480), stride=(320, 320)),
    "--procedure paddleseg-ms-flip": partial(paddleseg_scales, scales=_THREE, flip=True),
    "--procedure fastfcn": partial(original, scales=(1.0,), flip=False, blank=_GREY),
    "--procedure fastfcn-ms": partial(original, scales=SCALES, flip=True, blank=_GREY),
    "--procedure mmseg": mmseg,
    "--procedure mmseg-slide": partial(mmseg, crop=(512, 512), stride=(341, 341)),
    "--procedure mmseg-tta": mmseg_tta,
}
