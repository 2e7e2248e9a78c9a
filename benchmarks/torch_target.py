"""The network in eager PyTorch, as its authors' code computes it: nothing folded, nothing fused.

A target like those of `fastfcn_export.target.targets`, so the very same network function runs on it; only
the benchmarks need it. Source of the encoding: mmsegmentation's ``Encoding.scaled_l2`` and
``Encoding.aggregate``, which expand pixels and code words to (N, P, K, C).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from fastfcn_export.network.architecture import EPSILON, Architecture
from fastfcn_export.network.fastfcn import fastfcn
from fastfcn_export.network.primitives import GROUPS, Norm, Weights

Tensor = Any  # torch.Tensor; torch is not installed where the types are checked


class TorchNetwork:
    """The network, ready to be called.

    Args:
        architecture: of the network.
        weights: float32, by our names.
        align_corners: of the resize from logits to picture.
        channels_last: keep maps and weights in torch's (N, H, W, C) memory format.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: Weights,
        *,
        align_corners: bool,
        channels_last: bool = False,
    ) -> None:
        self._align_corners = align_corners
        self._architecture = architecture
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._ops = TorchOps({name: self._tensor(array) for name, array in weights.items()})

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the logits (N, classes, h, w) at the network's stride."""
        with torch.no_grad():
            return np.asarray(self._forward(batch).contiguous().numpy())

    def full_logits(self, batch: NDArray[np.float32]) -> Tensor:
        """Compute the logits (N, classes, H, W) at the size of the batch, as authors' forward."""
        with torch.no_grad():
            return functional.interpolate(
                self._forward(batch),
                size=batch.shape[2:],
                mode="bilinear",
                align_corners=self._align_corners,
            )

    def labels(self, batch: NDArray[np.float32]) -> NDArray[np.int64]:
        """Compute the labels (N, H, W): upsample, arg max."""
        full = self.full_logits(batch)
        return np.asarray(full.argmax(1).numpy())

    def to(self, device: str, dtype: Any) -> None:
        """Move the weights to a device, in another precision."""
        self._ops.to(device, dtype)

    def forward(self, image: Tensor) -> Tensor:
        """Compute the logits of a tensor, on its device and in its precision."""
        return fastfcn(self._ops, self._architecture, image)

    def _forward(self, batch: NDArray[np.float32]) -> Tensor:
        return self.forward(self._tensor(batch))

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        return tensor.contiguous(memory_format=self._format) if array.ndim == 4 else tensor


class TorchOps:
    """The primitives on torch tensors (N, C, H, W); see `fastfcn_export.network.primitives.Ops`."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        self._weights = weights

    def to(self, device: str, dtype: Any) -> None:
        """Move the weights to a device, in another precision."""
        self._weights = {name: each.to(device, dtype) for name, each in self._weights.items()}

    def conv_norm(
        self,
        x: Tensor,
        layer: str,
        width: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = False,
        relu: bool = True,
    ) -> Tensor:
        """Convolve, normalise, ReLU."""
        weight = self._weights[f"{layer}.conv.weight"]
        shift = self._weights[f"{layer}.conv.bias"] if bias else None
        pad = dilation * (kernel // 2)
        y = functional.conv2d(x, weight, shift, stride, pad, dilation)
        y = self._batch_norm(y, layer)
        return functional.relu(y, inplace=True) if relu else y

    def separable(
        self, x: Tensor, layer: str, width: int, *, dilation: int, norm: Norm = "batch"
    ) -> Tensor:
        """Depthwise, norm, pointwise, norm, ReLU."""
        normalise = self._batch_norm if norm == "batch" else self._group_norm
        inner, outer = f"{layer}.depthwise", f"{layer}.pointwise"
        weight = self._weights[f"{inner}.conv.weight"]
        y = functional.conv2d(x, weight, None, 1, dilation, dilation, groups=x.shape[1])
        y = normalise(y, inner)
        y = normalise(functional.conv2d(y, self._weights[f"{outer}.conv.weight"]), outer)
        return functional.relu(y, inplace=True)

    def classify(self, x: Tensor, layer: str, classes: int) -> Tensor:
        """Convolve 1x1 with a bias."""
        return functional.conv2d(
            x, self._weights[f"{layer}.weight"], self._weights[f"{layer}.bias"]
        )

    def max_pool(self, x: Tensor) -> Tensor:
        """Maximum over 3x3, stride 2."""
        return functional.max_pool2d(x, 3, 2, 1)

    def average_pool(self, x: Tensor) -> Tensor:
        """Mean over 2x2, stride 2."""
        return functional.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False)

    def grid_pools(self, x: Tensor, grids: Sequence[int]) -> list[Tensor]:
        """Mean over each cell of each grid."""
        return [functional.adaptive_avg_pool2d(x, bins) for bins in grids]

    def add_relu(self, x: Tensor, y: Tensor) -> Tensor:
        """Add in place, ReLU."""
        x += y
        return functional.relu(x, inplace=True)

    def resize(self, x: Tensor, like: Tensor, *, align_corners: bool) -> Tensor:
        """Resize bilinearly, also where the size stays the same."""
        size = like.shape[2:]
        return functional.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)

    def concat(self, maps: Sequence[Tensor]) -> Tensor:
        """Concatenate along the channels."""
        return torch.cat(list(maps), 1)

    def encode(self, x: Tensor, layer: str, codes: int) -> Tensor:
        """Encode with every residual written out."""
        n, channels = x.shape[:2]
        pixels = x.reshape(n, channels, -1).transpose(1, 2).contiguous()
        words = self._weights[f"{layer}.codewords"].view(1, 1, codes, channels)
        scale = self._weights[f"{layer}.scale"].view(1, 1, codes)
        expanded = pixels.unsqueeze(2).expand(n, pixels.shape[1], codes, channels)
        share = functional.softmax(scale * (expanded - words).pow(2).sum(3), dim=2)
        encoding = (share.unsqueeze(3) * (expanded - words)).sum(1)  # (N, K, C)
        return functional.relu(self._batch_norm(encoding, layer)).mean(1)

    def linear(self, x: Tensor, layer: str, width: int) -> Tensor:
        """Multiply by a matrix, add the bias."""
        return functional.linear(
            x, self._weights[f"{layer}.weight"], self._weights[f"{layer}.bias"]
        )

    def gate(self, x: Tensor, vector: Tensor) -> Tensor:
        """Return ``relu(x + x * sigmoid(vector))``."""
        return functional.relu(x + x * torch.sigmoid(vector)[:, :, None, None], inplace=True)

    def dropout(self, x: Tensor, rate: float) -> Tensor:
        """Keep everything."""
        return x

    def _norm(self, layer: str, *parts: str) -> list[Tensor]:
        return [self._weights[f"{layer}.norm.{part}"] for part in parts]

    def _batch_norm(self, x: Tensor, layer: str) -> Tensor:
        mean, var, weight, bias = self._norm(layer, "mean", "var", "weight", "bias")
        return functional.batch_norm(x, mean, var, weight, bias, training=False, eps=EPSILON)

    def _group_norm(self, x: Tensor, layer: str) -> Tensor:
        weight, bias = self._norm(layer, "weight", "bias")
        return functional.group_norm(x, GROUPS, weight, bias, EPSILON)
