"""The primitives that the network is built from; each target implements them.

Tensors are named ``LAYER.conv.weight``, ``LAYER.conv.bias``, ``LAYER.norm.{weight,bias,mean,var}``
(`conv_norm`); ``LAYER.depthwise...`` and ``LAYER.pointwise...`` (`separable`); ``LAYER.weight`` and
``LAYER.bias`` (`classify`, `linear`); ``LAYER.codewords``, ``LAYER.scale`` and ``LAYER.norm...``
(`encode`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Weights = Mapping[str, NDArray[Any]]
Norm = Literal["batch", "group"]
GROUPS = 32  # of every group norm


class Ops(Protocol[T]):
    """The primitives. `T` is a feature map (N, C, H, W), or a vector (N, C) where it says so."""

    def conv_norm(
        self,
        x: T,
        layer: str,
        width: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = False,
        relu: bool = True,
    ) -> T:
        """Convolve to `width` channels, batch norm, ReLU; padding keeps ``ceil(size / stride)``."""
        ...

    def separable(self, x: T, layer: str, width: int, *, dilation: int, norm: Norm = "batch") -> T:
        """Depthwise 3x3, norm, pointwise to `width` channels, norm, ReLU."""
        ...

    def classify(self, x: T, layer: str, classes: int) -> T:
        """Convolve 1x1 with a bias, to logits."""
        ...

    def max_pool(self, x: T) -> T:
        """Maximum over 3x3 with stride 2 and padding 1."""
        ...

    def average_pool(self, x: T) -> T:
        """Mean over 2x2 with stride 2; at odd sizes the last mean is over fewer pixels."""
        ...

    def grid_pools(self, x: T, grids: Sequence[int]) -> list[T]:
        """Mean over each cell of a bins x bins grid, for every `bins` (adaptive pooling)."""
        ...

    def add_relu(self, x: T, y: T) -> T:
        """Add two maps, ReLU."""
        ...

    def resize(self, x: T, like: T, *, align_corners: bool) -> T:
        """Resize bilinearly to the height and width of `like`."""
        ...

    def concat(self, maps: Sequence[T]) -> T:
        """Concatenate along the channels."""
        ...

    def encode(self, x: T, layer: str, codes: int) -> T:
        """Soft-assign pixels to code words, sum residuals, batch norm over codes, ReLU, mean.

        The result is a vector (N, C).
        """
        ...

    def linear(self, x: T, layer: str, width: int) -> T:
        """Map a vector (N, C) to a vector (N, width)."""
        ...

    def gate(self, x: T, vector: T) -> T:
        """Return ``relu(x + x * sigmoid(vector))``, the vector (N, C) spread over the map `x`.

        `x` is not negative: it comes out of a ReLU.
        """
        ...

    def dropout(self, x: T, rate: float) -> T:
        """Drop whole channels in training; nothing at inference."""
        ...


def take(weights: Weights, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Look up a tensor.

    Raises:
        ValueError: it has another shape than the network wants; a dialect let it pass.
    """
    array = weights[name]
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; the network wants {shape}")
    return array


def float_array(array: NDArray[Any]) -> NDArray[Any]:
    """Widen half precision to float32; float32 and float64 stay as they are."""
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)
