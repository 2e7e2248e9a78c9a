"""The part common to targets that fuse: layers that fold into one convolution and one ReLU.

A batch norm folds into the convolution before it in every such target. `fusion.py` has the algebra;
a target implements the convolution and the ReLU.
"""

from abc import ABC, abstractmethod
from typing import Any, Generic, Protocol, TypeVar

from numpy.typing import NDArray

from fastfcn_export.network.primitives import Norm, Weights, take
from fastfcn_export.target import fusion

Array = NDArray[Any]


class _Map(Protocol):
    """A feature map; targets keep what else they need."""

    @property
    def channels(self) -> int:
        """Of the map."""


M = TypeVar("M", bound=_Map)


class FusedOps(ABC, Generic[M]):
    """The primitives that fold; see `target.Ops`."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    def conv_norm(
        self,
        x: M,
        layer: str,
        width: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = False,
        relu: bool = True,
    ) -> M:
        """Fold the norm; one convolution, one ReLU."""
        weight = self._take(f"{layer}.conv.weight", (width, x.channels, kernel, kernel))
        shift = self._take(f"{layer}.conv.bias", (width,)) if bias else None
        weight, shift = fusion.fold_norm(weight, shift, self._norm(layer, width))
        y = self._conv(x, layer, weight, shift, stride=stride, dilation=dilation)
        return self._relu(y, layer) if relu else y

    def separable(self, x: M, layer: str, width: int, *, dilation: int, norm: Norm = "batch") -> M:
        """Fold both norms where they are batch norms."""
        inner, outer = f"{layer}.depthwise", f"{layer}.pointwise"
        depthwise = self._take(f"{inner}.conv.weight", (x.channels, 1, 3, 3))
        pointwise = self._take(f"{outer}.conv.weight", (width, x.channels, 1, 1))
        if norm == "group":
            y = self._conv(x, inner, depthwise, None, dilation=dilation)
            return self._relu(self._group_norms(y, layer, pointwise), layer)
        depthwise, pointwise, bias = fusion.fold_separable(
            depthwise, self._norm(inner, x.channels), pointwise, self._norm(outer, width)
        )
        y = self._conv(x, inner, depthwise, None, dilation=dilation)
        return self._relu(self._conv(y, outer, pointwise, bias), layer)

    def classify(self, x: M, layer: str, classes: int) -> M:
        """Convolve 1x1 with a bias."""
        weight = self._take(f"{layer}.weight", (classes, x.channels, 1, 1))
        return self._conv(x, layer, weight, self._take(f"{layer}.bias", (classes,)))

    def dropout(self, x: M, rate: float) -> M:
        """Keep everything."""
        return x

    @abstractmethod
    def _conv(
        self,
        x: M,
        layer: str,
        weight: Array,
        bias: Array | None,
        *,
        stride: int = 1,
        dilation: int = 1,
    ) -> M:
        """Convolve with `weight` (out, in / groups, k, k); padding keeps ``ceil(size / stride)``."""

    @abstractmethod
    def _relu(self, x: M, layer: str) -> M:
        """Take the positive part; the last step of `layer`."""

    @abstractmethod
    def _group_norms(self, x: M, layer: str, pointwise: Array) -> M:
        """Group norm, pointwise convolution, group norm: the rest of a `separable` before its ReLU."""

    def _take(self, name: str, shape: tuple[int, ...]) -> Array:
        return take(self._weights, name, shape)

    def _norm(self, layer: str, width: int) -> fusion.BatchNorm:
        parts = ("weight", "bias", "mean", "var")
        return fusion.BatchNorm(*(self._take(f"{layer}.norm.{part}", (width,)) for part in parts))

    def _affine(self, layer: str, width: int) -> tuple[Array, Array]:
        """Look up the weight and the bias of a group norm, (width,) each."""
        weight, bias = (
            self._take(f"{layer}.norm.{part}", (width,)) for part in ("weight", "bias")
        )
        return weight, bias
