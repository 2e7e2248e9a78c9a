"""The original code's evaluation of several scales in eager PyTorch, written from its description.

One window after the other, as it does; maps of all classes at full size are added up. Source:
reference/fastfcn_semantics.md, 4.1 (MultiEvalModule).
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from benchmarks.torch_target import TorchNetwork

Tensor = Any  # torch.Tensor; torch is not installed where the types are checked


class MultiEval:
    """Evaluation of several scales and both mirror images.

    Args:
        network: computes logits at the size of its input.
        mean: of the channels, 0..1.
        std: likewise.
        base: length of the long side at scale 1, pixels.
        crop: side of a window, pixels; the stride is two thirds of it.
        scales: of `base`.
    """

    def __init__(
        self,
        network: TorchNetwork,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        base: int = 520,
        crop: int = 480,
        scales: Sequence[float] = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75),
    ) -> None:
        self._network, self._base, self._crop, self._scales = network, base, crop, scales
        self._mean = torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1)
        self._std = torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1)

    def scores(self, picture: NDArray[np.uint8]) -> Tensor:
        """Add up exp of the logits over the scales: (C, H, W)."""
        with torch.no_grad():
            pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float().div(255)
            image = (pixels - self._mean) / self._std
            return sum(self._scale(image, scale) for scale in self._scales)[0]

    def labels(self, picture: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return the label of each pixel, (H, W)."""
        return np.asarray(self.scores(picture).argmax(0).numpy())

    def _scale(self, image: Tensor, scale: float) -> Tensor:
        height, width = image.shape[2:]
        long = math.ceil(self._base * scale)
        if height > width:
            size = (long, int(width * long / height + 0.5))
        else:
            size = (int(height * long / width + 0.5), long)
        resized = _resized(image, size)
        if long <= self._crop:
            found = self._run(self._padded(resized))
        else:
            found = self._windows(self._padded(resized))
        return _resized(found[:, :, : size[0], : size[1]], (height, width))

    def _windows(self, padded: Tensor) -> Tensor:
        height, width = padded.shape[2:]
        total: Tensor = None
        count: Tensor = None
        for top in self._starts(height):
            for left in self._starts(width):
                bottom, right = min(top + self._crop, height), min(left + self._crop, width)
                found = self._run(self._padded(padded[:, :, top:bottom, left:right]))
                if total is None:
                    total = found.new_zeros((1, found.shape[1], height, width))
                    count = found.new_zeros((1, 1, height, width))
                total[:, :, top:bottom, left:right] += found[:, :, : bottom - top, : right - left]
                count[:, :, top:bottom, left:right] += 1
        return total / count

    def _starts(self, length: int) -> Iterator[int]:
        stride = int(self._crop * 2 / 3)
        for index in range(math.ceil((length - self._crop) / stride) + 1):
            yield index * stride

    def _padded(self, image: Tensor) -> Tensor:
        """Pad with black to the size of a window, at the right and at the bottom."""
        height, width = image.shape[2:]
        full = (1, 3, max(height, self._crop), max(width, self._crop))
        found = (-self._mean / self._std).expand(full).clone()
        found[:, :, :height, :width] = image
        return found

    def _run(self, window: Tensor) -> Tensor:
        logits = self._network.full_logits(window.numpy())
        turned = self._network.full_logits(window.flip(3).contiguous().numpy())
        logits += turned.flip(3)
        return logits.exp()


def _resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(image, size=size, mode="bilinear", align_corners=True)
