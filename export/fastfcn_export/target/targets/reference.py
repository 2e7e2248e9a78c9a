"""The reference: the network in NumPy as the textbook writes it, nothing folded, nothing fused.

Slow on purpose where fast would mean clever. Works in the precision of the image it is given:
float32 to compare with the reference implementations, float64 to test identities.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.network.architecture import EPSILON, Architecture
from fastfcn_export.network.fastfcn import Outputs, fastfcn, fastfcn_training
from fastfcn_export.network.primitives import GROUPS, Norm, Weights, take

Array = NDArray[Any]
_PIXELS = 1024  # encoded together: 64 MB of residuals at 32 codes and 512 channels


def logits(architecture: Architecture, weights: Weights, image: Array) -> Array:
    """Compute the logits (N, classes, h, w) of a normalised image (N, channels, H, W)."""
    return fastfcn(NumpyOps(weights, image.dtype), architecture, image)


def training_outputs(architecture: Architecture, weights: Weights, image: Array) -> Outputs[Array]:
    """Compute the outputs that training uses, with batch norm and dropout as in evaluation."""
    return fastfcn_training(NumpyOps(weights, image.dtype), architecture, image)


def resize(x: Array, size: tuple[int, int], *, align_corners: bool) -> Array:
    """Resize a map (N, C, h, w) bilinearly to `size`, rows first."""
    for axis, length in ((2, size[0]), (3, size[1])):
        low, high, share = _positions(x.shape[axis], length, align_corners)
        share = share.astype(x.dtype).reshape((-1, 1) if axis == 2 else (1, -1))
        x = np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share
    return x


def _positions(source: int, target: int, align_corners: bool) -> tuple[Array, Array, Array]:
    steps = np.arange(target, dtype=np.float64)
    if align_corners:
        at = steps * ((source - 1) / max(target - 1, 1))
    else:
        at = np.clip((steps + 0.5) * (source / target) - 0.5, 0, source - 1)
    low = np.floor(at).astype(np.int64)
    return low, np.minimum(low + 1, source - 1), at - low


class NumpyOps:
    """The primitives on arrays (N, C, H, W)."""

    def __init__(self, weights: Weights, dtype: np.dtype[Any]) -> None:
        self._weights = weights
        self._dtype = dtype

    def conv_norm(
        self,
        x: Array,
        layer: str,
        width: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = False,
        relu: bool = True,
    ) -> Array:
        """Convolve, add the bias, normalise, ReLU."""
        weight = self._take(f"{layer}.conv.weight", (width, x.shape[1], kernel, kernel))
        y = _convolve(x, weight, stride, dilation)
        if bias:
            y += _per_channel(self._take(f"{layer}.conv.bias", (width,)))
        y = self._batch_norm(y, layer)
        return _relu(y) if relu else y

    def separable(
        self, x: Array, layer: str, width: int, *, dilation: int, norm: Norm = "batch"
    ) -> Array:
        """Depthwise, norm, pointwise, norm, ReLU."""
        normalise = self._batch_norm if norm == "batch" else self._group_norm
        channels = x.shape[1]
        depthwise = self._take(f"{layer}.depthwise.conv.weight", (channels, 1, 3, 3))
        y = normalise(_convolve_depthwise(x, depthwise, dilation), f"{layer}.depthwise")
        pointwise = self._take(f"{layer}.pointwise.conv.weight", (width, channels, 1, 1))
        return _relu(normalise(_convolve(y, pointwise, 1, 1), f"{layer}.pointwise"))

    def classify(self, x: Array, layer: str, classes: int) -> Array:
        """Convolve 1x1 and add the bias."""
        weight = self._take(f"{layer}.weight", (classes, x.shape[1], 1, 1))
        return _convolve(x, weight, 1, 1) + _per_channel(self._take(f"{layer}.bias", (classes,)))

    def max_pool(self, x: Array) -> Array:
        """Take the maximum over 3x3, stride 2."""
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
        height, width = (-(-n // 2) for n in x.shape[2:])
        taps = [_tap(padded, i, j, (height, width), 2) for i in range(3) for j in range(3)]
        return np.asarray(np.max(taps, 0))

    def average_pool(self, x: Array) -> Array:
        """Average 2x2, stride 2, over the pixels that exist."""
        height, width = (-(-n // 2) for n in x.shape[2:])
        odd = ((0, 0), (0, 0), (0, x.shape[2] % 2), (0, x.shape[3] % 2))
        taps = [(i, j) for i in range(2) for j in range(2)]
        total = sum(_tap(np.pad(x, odd), i, j, (height, width), 2) for i, j in taps)
        ones = np.pad(np.ones_like(x[:1, :1]), odd)
        count = sum(_tap(ones, i, j, (height, width), 2) for i, j in taps)
        return np.asarray(total / count)

    def grid_pools(self, x: Array, grids: Sequence[int]) -> list[Array]:
        """Average each cell of each grid; cells may share a row or a column."""
        return [self._grid_pool(x, bins) for bins in grids]

    def _grid_pool(self, x: Array, bins: int) -> Array:
        rows, columns = (
            [(i * n // bins, -(-(i + 1) * n // bins)) for i in range(bins)] for n in x.shape[2:]
        )
        cells = [[x[:, :, a:b, c:d].mean((2, 3)) for c, d in columns] for a, b in rows]
        return np.stack([np.stack(row, -1) for row in cells], -2)

    def add_relu(self, x: Array, y: Array) -> Array:
        """Add, ReLU."""
        return _relu(x + y)

    def resize(self, x: Array, like: Array, *, align_corners: bool) -> Array:
        """Resize bilinearly, also where the size stays the same."""
        return resize(x, (like.shape[2], like.shape[3]), align_corners=align_corners)

    def concat(self, maps: Sequence[Array]) -> Array:
        """Concatenate along the channels."""
        return np.concatenate(maps, 1)

    def encode(self, x: Array, layer: str, codes: int) -> Array:
        """Encode with every residual written out, some pixels at a time: they are P x K x C."""
        channels = x.shape[1]
        words = self._take(f"{layer}.codewords", (codes, channels))
        scale = self._take(f"{layer}.scale", (codes,))
        encodings = np.zeros((len(x), codes, channels), x.dtype)
        for encoding, picture in zip(encodings, x, strict=True):
            pixels = picture.reshape(channels, -1).T  # (P, C)
            for start in range(0, len(pixels), _PIXELS):
                residuals = pixels[start : start + _PIXELS, None, :] - words  # (P, K, C)
                scores = scale * np.square(residuals).sum(2)  # (P, K)
                share = np.exp(scores - scores.max(1, keepdims=True))
                share /= share.sum(1, keepdims=True)
                encoding += (share[:, :, None] * residuals).sum(0)  # (K, C)
        normalised = self._batch_norm(encodings[..., None], layer)
        return np.asarray(_relu(normalised[..., 0]).mean(1))  # (N, C)

    def linear(self, x: Array, layer: str, width: int) -> Array:
        """Multiply by the matrix (width, C), add the bias."""
        weight = self._take(f"{layer}.weight", (width, x.shape[1]))
        return np.asarray(x @ weight.T + self._take(f"{layer}.bias", (width,)))

    def gate(self, x: Array, vector: Array) -> Array:
        """Return ``relu(x + x * sigmoid(vector))``."""
        # exp of the negative side only: it cannot overflow.
        small = np.exp(-np.abs(vector))
        sigmoid = np.where(vector >= 0, 1, small) / (1 + small)
        return _relu(x + x * sigmoid[:, :, None, None])

    def dropout(self, x: Array, rate: float) -> Array:
        """Keep everything."""
        return x

    def _take(self, name: str, shape: tuple[int, ...]) -> Array:
        return take(self._weights, name, shape).astype(self._dtype, copy=False)

    def _batch_norm(self, x: Array, layer: str) -> Array:
        weight, bias, mean, var = (
            _per_channel(self._take(f"{layer}.norm.{part}", (x.shape[1],)))
            for part in ("weight", "bias", "mean", "var")
        )
        return np.asarray((x - mean) / np.sqrt(var + EPSILON) * weight + bias)

    def _group_norm(self, x: Array, layer: str) -> Array:
        groups = x.reshape(x.shape[0], GROUPS, -1)
        mean, var = groups.mean(2, keepdims=True), groups.var(2, keepdims=True)
        normal = ((groups - mean) / np.sqrt(var + EPSILON)).reshape(x.shape)
        weight, bias = (
            _per_channel(self._take(f"{layer}.norm.{part}", (x.shape[1],)))
            for part in ("weight", "bias")
        )
        return np.asarray(normal * weight + bias)


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


def _per_channel(vector: Array) -> Array:
    return vector[:, None, None]


def _tap(padded: Array, row: int, column: int, size: tuple[int, int], stride: int) -> Array:
    height, width = size
    return padded[
        :, :, row : row + stride * (height - 1) + 1 : stride,
        column : column + stride * (width - 1) + 1 : stride,
    ]  # fmt: skip


def _taps(x: Array, kernel: int, stride: int, dilation: int) -> list[tuple[int, int, Array]]:
    pad = dilation * (kernel // 2)
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    size = (-(-x.shape[2] // stride), -(-x.shape[3] // stride))
    return [
        (i, j, _tap(padded, i * dilation, j * dilation, size, stride))
        for i in range(kernel)
        for j in range(kernel)
    ]


def _convolve(x: Array, weight: Array, stride: int, dilation: int) -> Array:
    # A convolution is the sum over the kernel's taps of a matrix product of a shifted map.
    total: Array | None = None
    for i, j, tap in _taps(x, weight.shape[2], stride, dilation):
        n, c, h, w = tap.shape
        part = (weight[:, :, i, j] @ tap.reshape(n, c, h * w)).reshape(n, -1, h, w)
        total = part if total is None else np.add(total, part, out=total)
    return np.asarray(total)


def _convolve_depthwise(x: Array, weight: Array, dilation: int) -> Array:
    total = np.zeros_like(x)
    for i, j, tap in _taps(x, 3, 1, dilation):
        total += tap * _per_channel(weight[:, 0, i, j])
    return total
