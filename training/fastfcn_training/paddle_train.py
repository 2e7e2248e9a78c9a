"""The network as live Paddle layers: batch norm in training mode, dropout, parts of training only.

A target like those of `fastfcn_export.targets`: the very same network functions run on it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn
from paddle.nn import functional

from fastfcn_export.network.architecture import EPSILON, Architecture
from fastfcn_export.network.fastfcn import Outputs, fastfcn, fastfcn_training
from fastfcn_export.target import GROUPS, Norm, Weights

Tensor = Any  # paddle.Tensor; Paddle's types are not known where the types are checked
MOMENTUM = 0.9  # of running statistics: Paddle's and PyTorch's default, which PyTorch calls 0.1


class TrainingNetwork(nn.Layer):  # type: ignore[misc]
    """A network whose tensors can be trained.

    Args:
        architecture: of the network.
        weights: all of its tensors by our names, those of training included, float32.
        synchronised: batch norms see the pictures of all processes; those on the depthwise
            convolutions see their own, as in the original code.
        freeze_norms: batch norms use their running statistics and keep them.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: Weights,
        *,
        synchronised: bool = False,
        freeze_norms: bool = False,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self._freeze_norms = freeze_norms
        self._tensors: dict[str, Tensor] = {}
        self._norms: dict[str, Any] = {}
        for name, array in weights.items():
            layer, _, part = name.rpartition(".")
            if part == "mean":
                self._norms[layer] = self._batch_norm(layer, weights, synchronised)
            elif f"{layer}.mean" not in weights:
                self._tensors[name] = self._parameter(name, array)

    def forward(self, image: Tensor) -> Outputs[Tensor]:
        """Compute what the losses look at; `image` is (N, 3, H, W), normalised."""
        return fastfcn_training(self._ops(), self.architecture, image)

    def logits(self, image: Tensor) -> Tensor:
        """Compute the logits (N, classes, h, w) only."""
        return fastfcn(self._ops(), self.architecture, image)

    def train(self) -> None:
        """Go into training mode; frozen norms stay in evaluation mode."""
        super().train()
        if self._freeze_norms:
            for norm in self._norms.values():
                norm.eval()

    def named_tensors(self) -> dict[str, Tensor]:
        """Give all tensors, parameters and running statistics, by our names."""
        tensors = dict(self._tensors)
        for layer, norm in self._norms.items():
            tensors |= {
                f"{layer}.weight": norm.weight,
                f"{layer}.bias": norm.bias,
                f"{layer}.mean": norm._mean,
                f"{layer}.var": norm._variance,
            }
        return tensors

    def named_trainable(self) -> dict[str, Tensor]:
        """Give the tensors that an optimiser moves, by our names."""
        statistics = {f"{layer}.{part}" for layer in self._norms for part in ("mean", "var")}
        return {n: t for n, t in self.named_tensors().items() if n not in statistics}

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Copy all tensors out, by our names."""
        return {name: tensor.numpy() for name, tensor in self.named_tensors().items()}

    def load(self, weights: Weights) -> None:
        """Copy tensors in; all of `named_tensors` are expected, with their shapes."""
        for name, tensor in self.named_tensors().items():
            tensor.set_value(np.ascontiguousarray(weights[name]))

    def _ops(self) -> "PaddleOps":
        return PaddleOps(self._tensors, self._norms, training=self.training)

    def _parameter(self, name: str, array: NDArray[Any]) -> Tensor:
        parameter = self.create_parameter(list(array.shape), dtype="float32")
        parameter.set_value(np.ascontiguousarray(array, np.float32))
        # Paddle refuses dots in names of parameters and layers.
        self.add_parameter(name.replace(".", "/"), parameter)
        return parameter

    def _batch_norm(self, layer: str, weights: Weights, synchronised: bool) -> Any:
        channels = len(weights[f"{layer}.mean"])
        alone = ".depthwise." in layer or not synchronised
        kind = nn.BatchNorm2D if alone else nn.SyncBatchNorm
        norm = kind(channels, momentum=MOMENTUM, epsilon=EPSILON)
        parts = {
            "weight": norm.weight,
            "bias": norm.bias,
            "mean": norm._mean,
            "var": norm._variance,
        }
        for part, tensor in parts.items():
            tensor.set_value(np.ascontiguousarray(weights[f"{layer}.{part}"], np.float32))
        self.add_sublayer(layer.replace(".", "/"), norm)
        return norm


class PaddleOps:
    """The primitives on Paddle tensors (N, C, H, W); see `fastfcn_export.target.Ops`."""

    def __init__(
        self, tensors: Mapping[str, Tensor], norms: Mapping[str, Any], *, training: bool
    ) -> None:
        self._tensors = tensors
        self._norms = norms
        self._training = training

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
        weight = self._tensors[f"{layer}.conv.weight"]
        shift = self._tensors[f"{layer}.conv.bias"] if bias else None
        pad = dilation * (kernel // 2)
        y = functional.conv2d(x, weight, shift, stride, pad, dilation)
        y = self._norms[f"{layer}.norm"](y)
        return functional.relu(y) if relu else y

    def separable(
        self, x: Tensor, layer: str, width: int, *, dilation: int, norm: Norm = "batch"
    ) -> Tensor:
        """Depthwise, norm, pointwise, norm, ReLU."""
        normalise = self._batch_norm if norm == "batch" else self._group_norm
        inner, outer = f"{layer}.depthwise", f"{layer}.pointwise"
        weight = self._tensors[f"{inner}.conv.weight"]
        y = functional.conv2d(x, weight, None, 1, dilation, dilation, groups=x.shape[1])
        y = functional.conv2d(normalise(y, inner), self._tensors[f"{outer}.conv.weight"])
        return functional.relu(normalise(y, outer))

    def classify(self, x: Tensor, layer: str, classes: int) -> Tensor:
        """Convolve 1x1 with a bias."""
        return functional.conv2d(
            x, self._tensors[f"{layer}.weight"], self._tensors[f"{layer}.bias"]
        )

    def max_pool(self, x: Tensor) -> Tensor:
        """Maximum over 3x3, stride 2."""
        return functional.max_pool2d(x, 3, 2, 1)

    def average_pool(self, x: Tensor) -> Tensor:
        """Mean over 2x2, stride 2, over the pixels that exist."""
        return functional.avg_pool2d(x, 2, 2, ceil_mode=True, exclusive=True)

    def grid_pools(self, x: Tensor, grids: Sequence[int]) -> list[Tensor]:
        """Mean over each cell of each grid."""
        return [functional.adaptive_avg_pool2d(x, bins) for bins in grids]

    def add_relu(self, x: Tensor, y: Tensor) -> Tensor:
        """Add, ReLU."""
        return functional.relu(x + y)

    def resize(self, x: Tensor, like: Tensor, *, align_corners: bool) -> Tensor:
        """Resize bilinearly; a map that has the size already stays as it is."""
        return resize(x, like.shape[2:], align_corners=align_corners)

    def concat(self, maps: Sequence[Tensor]) -> Tensor:
        """Concatenate along the channels."""
        return paddle.concat(list(maps), 1)

    def encode(self, x: Tensor, layer: str, codes: int) -> Tensor:
        """Encode with the distances as one matrix product; the residuals are never written out.

        ``sum_i a_ik (x_i - d_k)`` is ``sum_i a_ik x_i - (sum_i a_ik) d_k``.
        """
        words = self._tensors[f"{layer}.codewords"]  # (K, C)
        scale = self._tensors[f"{layer}.scale"]  # (K)
        pixels = x.flatten(2)  # (N, C, P)
        squares = (pixels * pixels).sum(1, keepdim=True)  # (N, 1, P)
        words_squared = (words * words).sum(1).unsqueeze(-1)  # (K, 1)
        distances = squares - 2 * paddle.matmul(words, pixels) + words_squared  # (N, K, P)
        share = functional.softmax(scale.unsqueeze(-1) * distances, axis=1)
        encoding = paddle.matmul(share, pixels, transpose_y=True)  # (N, K, C)
        encoding = encoding - share.sum(2, keepdim=True) * words
        normal = self._norms[f"{layer}.norm"](encoding.unsqueeze(-1)).squeeze(-1)
        return functional.relu(normal).mean(1)

    def linear(self, x: Tensor, layer: str, width: int) -> Tensor:
        """Multiply by the matrix (width, C), add the bias."""
        product = paddle.matmul(x, self._tensors[f"{layer}.weight"], transpose_y=True)
        return product + self._tensors[f"{layer}.bias"]

    def gate(self, x: Tensor, vector: Tensor) -> Tensor:
        """Return ``relu(x + x * sigmoid(vector))``."""
        share = functional.sigmoid(vector).unsqueeze(-1).unsqueeze(-1)
        return functional.relu(x * (1 + share))

    def dropout(self, x: Tensor, rate: float) -> Tensor:
        """Drop whole channels while training."""
        return functional.dropout2d(x, rate, self._training) if rate else x

    def _batch_norm(self, x: Tensor, layer: str) -> Tensor:
        return self._norms[f"{layer}.norm"](x)

    def _group_norm(self, x: Tensor, layer: str) -> Tensor:
        weight, bias = (self._tensors[f"{layer}.norm.{part}"] for part in ("weight", "bias"))
        return functional.group_norm(x, GROUPS, EPSILON, weight, bias)


def resize(x: Tensor, size: Sequence[int], *, align_corners: bool) -> Tensor:
    """Resize a map (N, C, h, w) bilinearly to `size`, rows first."""
    if list(x.shape[2:]) == list(size):
        return x
    # Paddle's align_mode 0 is the half-pixel convention that every other library has.
    return functional.interpolate(
        x, list(size), mode="bilinear", align_corners=align_corners, align_mode=0
    )
