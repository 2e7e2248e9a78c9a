"""Count what the network costs: tensors, multiply-adds and memory of every layer.

Counts the fused network, as it is shipped: batch norm, ReLU and other element-wise work cost no
multiply-adds; the encoding is two matrix products.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from fastfcn_export.network.architecture import Architecture
from fastfcn_export.network.fastfcn import fastfcn, fastfcn_training
from fastfcn_export.network.primitives import Norm

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """A layer: its name, multiply-adds, elements of its inputs and output, tensors."""

    name: str
    multiply_adds: int
    elements: int
    tensors: tuple[tuple[str, Shape], ...]

    @property
    def parameters(self) -> int:
        """Numbers that training learns: all but the statistics of the batch norms."""
        statistics = (".norm.mean", ".norm.var")
        return sum(prod(s) for name, s in self.tensors if not name.endswith(statistics))

    @property
    def stage(self) -> str:
        """Part of the network the layer belongs to, such as ``backbone.stage3`` or ``jpu``."""
        parts = self.name.split(".")
        return ".".join(parts[:2]) if parts[0] == "backbone" else parts[0]


def layers(architecture: Architecture, size: tuple[int, int] = (480, 480)) -> tuple[Layer, ...]:
    """Walk the shipped network for one picture of `size` (height, width)."""
    ops = CostOps()
    fastfcn(ops, architecture, (1, architecture.channels, *size))
    return tuple(ops.layers)


def tensors(architecture: Architecture) -> dict[str, Shape]:
    """Name every tensor a checkpoint of this network holds, those of training included."""
    ops = CostOps()
    fastfcn_training(ops, architecture, (1, architecture.channels, 64, 64))
    return {name: shape for layer in ops.layers for name, shape in layer.tensors}


class CostOps:
    """The primitives on shapes."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []

    def conv_norm(
        self,
        x: Shape,
        layer: str,
        width: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = False,
        relu: bool = True,
    ) -> Shape:
        """Count a convolution."""
        out = (x[0], width, -(-x[2] // stride), -(-x[3] // stride))
        named: list[tuple[str, Shape]] = [(f"{layer}.conv.weight", (width, x[1], kernel, kernel))]
        if bias:
            named.append((f"{layer}.conv.bias", (width,)))
        named += _norm(layer, width, "batch")
        return self._add(layer, prod(out) * x[1] * kernel**2, x, out, named)

    def separable(
        self, x: Shape, layer: str, width: int, *, dilation: int, norm: Norm = "batch"
    ) -> Shape:
        """Count a depthwise and a pointwise convolution."""
        depthwise, pointwise = f"{layer}.depthwise", f"{layer}.pointwise"
        named = [(f"{depthwise}.conv.weight", (x[1], 1, 3, 3)), *_norm(depthwise, x[1], norm)]
        self._add(depthwise, prod(x) * 9, x, x, named)
        out = (x[0], width, *x[2:])
        named = [(f"{pointwise}.conv.weight", (width, x[1], 1, 1)), *_norm(pointwise, width, norm)]
        return self._add(pointwise, prod(out) * x[1], x, out, named)

    def classify(self, x: Shape, layer: str, classes: int) -> Shape:
        """Count a 1x1 convolution."""
        out = (x[0], classes, *x[2:])
        named = [(f"{layer}.weight", (classes, x[1], 1, 1)), (f"{layer}.bias", (classes,))]
        return self._add(layer, prod(out) * x[1], x, out, named)

    def max_pool(self, x: Shape) -> Shape:
        """Halve the map."""
        return (*x[:2], -(-x[2] // 2), -(-x[3] // 2))

    def average_pool(self, x: Shape) -> Shape:
        """Halve the map."""
        return self.max_pool(x)

    def grid_pools(self, x: Shape, grids: Sequence[int]) -> list[Shape]:
        """Shrink the map to grids."""
        return [(*x[:2], bins, bins) for bins in grids]

    def add_relu(self, x: Shape, y: Shape) -> Shape:
        """Keep the shape."""
        return x

    def resize(self, x: Shape, like: Shape, *, align_corners: bool) -> Shape:
        """Take the size of `like`."""
        return (*x[:2], *like[2:])

    def concat(self, maps: Sequence[Shape]) -> Shape:
        """Add the channels."""
        return (maps[0][0], sum(x[1] for x in maps), *maps[0][2:])

    def encode(self, x: Shape, layer: str, codes: int) -> Shape:
        """Count the two matrix products of the fused encoding."""
        named = [(f"{layer}.codewords", (codes, x[1])), (f"{layer}.scale", (codes,))]
        named += _norm(layer, codes, "batch")
        return self._add(layer, 2 * prod(x) * codes, x, x[:2], named)

    def linear(self, x: Shape, layer: str, width: int) -> Shape:
        """Count a matrix product."""
        named = [(f"{layer}.weight", (width, x[1])), (f"{layer}.bias", (width,))]
        return self._add(layer, x[0] * x[1] * width, x, (x[0], width), named)

    def gate(self, x: Shape, vector: Shape) -> Shape:
        """Keep the shape."""
        return x

    def dropout(self, x: Shape, rate: float) -> Shape:
        """Keep the shape."""
        return x

    def _add(
        self, name: str, work: int, x: Shape, out: Shape, named: list[tuple[str, Shape]]
    ) -> Shape:
        self.layers.append(Layer(name, work, prod(x) + prod(out), tuple(named)))
        return out


def _norm(layer: str, width: int, norm: Norm) -> list[tuple[str, Shape]]:
    parts = ("weight", "bias", "mean", "var") if norm == "batch" else ("weight", "bias")
    return [(f"{layer}.norm.{part}", (width,)) for part in parts]
