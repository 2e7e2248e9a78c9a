"""The original code's evaluation with several scales, windows and mirrors, in eager PyTorch.

As its authors compute it: one window at a time, maps of every class at full size, exp of raw logits.
Source: ``MultiEvalModule`` of the original code (encoding/models/base.py).
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from benchmarks.torch_target import TorchNetwork

Tensor = Any  # torch.Tensor; torch is not installed where the types are checked

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
BASE, CROP, STRIDE = 520, 480, 320  # pixels


def scores(
    network: TorchNetwork,
    picture: NDArray[np.uint8],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
) -> Tensor:
    """Return the merged map (C, H, W) of a picture (H, W, 3), with mirrors.

    Args:
        network: gives logits at the size of its input.
        picture: RGB.
        mean: of the three channels, on the scale 0..1.
        std: likewise.
    """
    with torch.no_grad():
        colours = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        shift, scale = torch.from_numpy(mean)[:, None, None], torch.from_numpy(std)[:, None, None]
        image, blank = (colours - shift) / scale, -shift / scale
        total: Tensor = 0
        for factor in SCALES:
            found = _scale(network, image, blank, math.ceil(BASE * factor))
            total = total + _resized(found, image.shape[2:])
        return total[0]


def _scale(network: TorchNetwork, image: Tensor, blank: Tensor, long: int) -> Tensor:
    height, width = image.shape[2:]
    if height > width:
        size = (long, int(width * long / height + 0.5))
    else:
        size = (int(height * long / width + 0.5), long)
    resized = _resized(image, size)
    if long <= CROP:
        return _window(network, resized, blank)
    whole = _padded(resized, blank, (max(size[0], CROP), max(size[1], CROP)))
    rows, columns = whole.shape[2:]
    total: Tensor = None
    count = torch.zeros(1, 1, rows, columns)
    for row in range(math.ceil((rows - CROP) / STRIDE) + 1):
        for column in range(math.ceil((columns - CROP) / STRIDE) + 1):
            down = slice(row * STRIDE, min(row * STRIDE + CROP, rows))
            across = slice(column * STRIDE, min(column * STRIDE + CROP, columns))
            found = _window(network, whole[:, :, down, across], blank)
            if total is None:
                total = torch.zeros(1, found.shape[1], rows, columns)
            total[:, :, down, across] += found
            count[:, :, down, across] += 1
    return (total / count)[:, :, : size[0], : size[1]]


def _window(network: TorchNetwork, part: Tensor, blank: Tensor) -> Tensor:
    canvas = _padded(part, blank, (CROP, CROP))
    total = network.full_logits(canvas.numpy())
    total = total + network.full_logits(canvas.flip(3).contiguous().numpy()).flip(3)
    return total.exp()[:, :, : part.shape[2], : part.shape[3]]


def _padded(part: Tensor, blank: Tensor, size: tuple[int, int]) -> Tensor:
    canvas = blank.expand(3, *size).clone()[None]
    canvas[:, :, : part.shape[2], : part.shape[3]] = part
    return canvas


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(maps, size=size, mode="bilinear", align_corners=True)
