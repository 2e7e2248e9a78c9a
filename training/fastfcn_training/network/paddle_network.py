"""The network in eager Paddle: batch norm in training mode, dropout, training-only parts.

A target like those of `fastfcn_export.target.targets`: the same network functions run on it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn
from paddle.nn import functional

from fastfcn_export.dialect.checks import check_shapes
from fastfcn_export.network.architecture import EPSILON, Architecture
from fastfcn_export.network.fastfcn import Outputs, fastfcn, fastfcn_training
from fastfcn_export.network.primitives import GROUPS, Norm, Weights
from fastfcn_export.target.targets import cost

Tensor = Any  # paddle.Tensor; Paddle's types are not known where the types are checked
MOMENTUM = 0.9  # of running statistics: Paddle's and PyTorch's default, which PyTorch calls 0.1
_NORM_PARTS = ("weight", "bias", "mean", "var")


class TrainingNetwork(nn.Layer):  # type: ignore[misc]
    """A network with trainable tensors.

    Running variances are biased, as in Paddle; PyTorch's are larger by ``n / (n - 1)``, where n is the
    number of pixels behind one channel's statistics.

    Args:
        architecture: of the network.
        weights: all of its tensors by our names, training-only ones included.
        synchronised: batch norms see the pictures of all processes, except those on depthwise
            convolutions, as in the original code.
        freeze_norms: batch norms use their running statistics without changing them.
        dropout: drop channels in training; without it a step is deterministic.
        dtype: of all tensors; float64 is for comparing gradients.

    Raises:
        CheckpointError: tensors are missing, unexpected or misshapen; lists them.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: Weights,
        *,
        synchronised: bool = False,
        freeze_norms: bool = False,
        dropout: bool = True,
        dtype: Literal["float32", "float64"] = "float32",
    ) -> None:
        super().__init__(dtype=dtype)
        named = cost.tensors(architecture)
        check_shapes(weights, named, {}, "network")
        self.architecture = architecture
        self._freeze_norms = freeze_norms
        self._dropout = dropout
        # In the network's order, whatever the order of `weights`: sums over all tensors, such as the
        # norm of all gradients, are then bit-identical after a checkpoint is read.
        self._tensors = {name: self._tensor(name, weights[name]) for name in named}
        self._joint_norms: dict[str, Any] = {}
        if synchronised and not freeze_norms:
            norms = (name.removesuffix(".mean") for name in weights if name.endswith(".mean"))
            for layer in norms:
                if ".depthwise." not in layer:
                    self._joint_norms[layer] = self._joint_norm(layer)

    def forward(self, image: Tensor) -> Outputs[Tensor]:
        """Compute all outputs that the losses need; `image` is (N, 3, H, W), normalised."""
        return fastfcn_training(self._ops(), self.architecture, image)

    def logits(self, image: Tensor) -> Tensor:
        """Compute only the logits (N, classes, h, w)."""
        return fastfcn(self._ops(), self.architecture, image)

    def named_tensors(self) -> dict[str, Tensor]:
        """Return all tensors, parameters and running statistics, by our names."""
        return dict(self._tensors)

    def named_trainable(self) -> dict[str, Tensor]:
        """Return the tensors that the optimiser updates, by our names."""
        return {name: t for name, t in self._tensors.items() if not t.stop_gradient}

    def weights(self) -> dict[str, NDArray[Any]]:
        """Copy all tensors to NumPy, by our names."""
        return {name: tensor.numpy() for name, tensor in self._tensors.items()}

    def load(self, weights: Weights) -> None:
        """Set the tensors; all of `named_tensors` are expected, with their shapes."""
        for name, tensor in self._tensors.items():
            tensor.set_value(np.ascontiguousarray(weights[name], self._dtype))

    def _ops(self) -> "PaddleOps":
        return PaddleOps(
            self._tensors,
            self._joint_norms if self.training else {},
            learn_norms=self.training and not self._freeze_norms,
            dropout=self.training and self._dropout,
        )

    def _tensor(self, name: str, array: NDArray[Any]) -> Tensor:
        tensor = self.create_parameter(list(array.shape), dtype=self._dtype)
        tensor.set_value(np.ascontiguousarray(array, self._dtype))
        tensor.stop_gradient = name.endswith((".norm.mean", ".norm.var"))
        # Paddle allows no dots in names of parameters and layers.
        self.add_parameter(name.replace(".", "/"), tensor)
        return tensor

    def _joint_norm(self, layer: str) -> Any:
        """Make a synchronised norm that shares the existing tensors."""
        tensors = {part: self._tensors[f"{layer}.{part}"] for part in _NORM_PARTS}
        norm = nn.SyncBatchNorm(len(tensors["mean"]), momentum=MOMENTUM, epsilon=EPSILON)
        norm.weight, norm.bias = tensors["weight"], tensors["bias"]
        norm._mean, norm._variance = tensors["mean"], tensors["var"]
        return norm


class PaddleOps:
    """The primitives on Paddle tensors (N, C, H, W); see `fastfcn_export.network.primitives.Ops`."""

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        joint_norms: Mapping[str, Any],
        *,
        learn_norms: bool,
        dropout: bool,
    ) -> None:
        self._tensors = tensors
        self._joint_norms = joint_norms
        self._learn_norms = learn_norms
        self._dropout = dropout

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
        y = self._batch_norm(y, layer)
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
        """Resize bilinearly; a map of the right size is returned unchanged."""
        return resize(x, like.shape[2:], align_corners=align_corners)

    def concat(self, maps: Sequence[Tensor]) -> Tensor:
        """Concatenate along the channels."""
        return paddle.concat(list(maps), 1)

    def encode(self, x: Tensor, layer: str, codes: int) -> Tensor:
        """Encode with the distances as one matrix product, without storing the residuals.

        ``sum_i a_ik (x_i - d_k)`` is ``sum_i a_ik x_i - (sum_i a_ik) d_k``. Where a pixel is close
        to a code word, large terms cancel and a distance may come out slightly below 0; the error is
        the rounding error of ``||x||^2``, as large as that of the textbook form for distant code
        words, which is accurate enough for the soft assignment.
        """
        words = self._tensors[f"{layer}.codewords"]  # (K, C)
        scale = self._tensors[f"{layer}.scale"]  # (K)
        # Sums over thousands of pixels, a hundred times larger than logits: too large for float16.
        with paddle.amp.auto_cast(enable=False):
            pixels = x.flatten(2).astype(words.dtype)  # (N, C, P)
            squares = (pixels * pixels).sum(1, keepdim=True)  # (N, 1, P)
            words_squared = (words * words).sum(1).unsqueeze(-1)  # (K, 1)
            distances = squares - 2 * paddle.matmul(words, pixels) + words_squared  # (N, K, P)
            share = functional.softmax(scale.unsqueeze(-1) * distances, axis=1)
            encoding = paddle.matmul(share, pixels, transpose_y=True)  # (N, K, C)
            encoding = encoding - share.sum(2, keepdim=True) * words
            normal = self._batch_norm(encoding.unsqueeze(-1), layer).squeeze(-1)
            return functional.relu(normal).mean(1)

    def linear(self, x: Tensor, layer: str, width: int) -> Tensor:
        """Multiply by the matrix (width, C), add the bias."""
        product = paddle.matmul(x, self._tensors[f"{layer}.weight"], transpose_y=True)
        return product + self._tensors[f"{layer}.bias"]

    def gate(self, x: Tensor, vector: Tensor) -> Tensor:
        """Return ``x + x * sigmoid(vector)``; `x` is the output of a ReLU, so no other is needed."""
        return x * (1 + functional.sigmoid(vector)).unsqueeze(-1).unsqueeze(-1)

    def dropout(self, x: Tensor, rate: float) -> Tensor:
        """Drop whole channels in training."""
        return functional.dropout2d(x, rate) if rate and self._dropout else x

    def _batch_norm(self, x: Tensor, layer: str) -> Tensor:
        if f"{layer}.norm" in self._joint_norms:
            return self._joint_norms[f"{layer}.norm"](x)
        weight, bias, mean, var = (self._tensors[f"{layer}.norm.{part}"] for part in _NORM_PARTS)
        return functional.batch_norm(
            x, mean, var, weight, bias, self._learn_norms, MOMENTUM, EPSILON
        )

    def _group_norm(self, x: Tensor, layer: str) -> Tensor:
        weight, bias = (self._tensors[f"{layer}.norm.{part}"] for part in ("weight", "bias"))
        return functional.group_norm(x, GROUPS, EPSILON, weight, bias)


def resize(x: Tensor, size: Sequence[int], *, align_corners: bool) -> Tensor:
    """Resize a map (N, C, h, w) bilinearly to `size`, rows first."""
    if list(x.shape[2:]) == list(size):
        return x
    # Paddle's align_mode 0 is the half-pixel convention of all other libraries.
    return functional.interpolate(
        x, list(size), mode="bilinear", align_corners=align_corners, align_mode=0
    )
