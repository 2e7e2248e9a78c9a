"""Collect ONNX nodes and tensors while the network is built."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Map:
    """A feature map in the graph.

    Args:
        name: of the value.
        channels: of the map.
        stride: pixels of the picture per pixel of the map. Every layer that halves gives
            ``ceil(size / 2)``, so maps of equal stride have equal sizes; 0 for a grid.
        bins: rows and columns of a grid; 0 for a map with a stride.
    """

    name: str
    channels: int
    stride: int
    bins: int = 0


class Nodes:
    """The nodes and tensors of a growing graph.

    Args:
        dtype: of the arithmetic.
        shape: N, H, W of the input where fixed.
    """

    def __init__(
        self, dtype: np.dtype[Any], shape: tuple[int | None, int | None, int | None]
    ) -> None:
        self.dtype = dtype
        self.shape = shape
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: dict[str, Array] = {}
        self._known: dict[tuple[str, ...], str] = {}
        self._taken: set[str] = set()

    def add(self, op: str, *inputs: str, to: str, **attributes: Any) -> str:
        """Append a node; its output's name is `to`, made unique."""
        output = self._unique(to)
        node = onnx.helper.make_node(op, list(inputs), [output], name=output, **attributes)
        self.nodes.append(node)
        return output

    def add_second(self, op: str, *inputs: str, to: str, **attributes: Any) -> str:
        """Append a node of which only the second output is wanted, as `add` does."""
        output = self._unique(to)
        first = self._unique(f"{to}.first")
        node = onnx.helper.make_node(op, list(inputs), [first, output], name=output, **attributes)
        self.nodes.append(node)
        return output

    def tensor(self, name: str, value: Array, dtype: np.dtype[Any] | None = None) -> str:
        """Add a constant, in the precision of the arithmetic where `dtype` is None."""
        name = self._unique(name)
        self.tensors[name] = value.astype(dtype or self.dtype, copy=False)
        return name

    def rename_last(self, value: str, name: str) -> None:
        """Give the last node's output `value` the name that users see.

        Raises:
            ValueError: the last node has another output.
        """
        last = self.nodes[-1]
        if list(last.output) != [value]:
            raise ValueError(f"{value} is not the output of the last node")
        last.output[0] = name

    def integers(self, *values: int) -> str:
        """Add, or find again, a constant int64 vector."""
        name = "int64." + "_".join(map(str, values)).replace("-", "m")
        self.tensors[name] = np.array(values, np.int64)
        return name

    def cast(self, value: str, dtype: np.dtype[Any]) -> str:
        """Convert a value."""
        output = self._unique(f"{value}.{dtype.name}")
        kind = onnx.helper.np_dtype_to_tensor_dtype(dtype)
        self.nodes.append(onnx.helper.make_node("Cast", [value], [output], name=output, to=kind))
        return output

    def once(self, *key: str) -> str | None:
        """Return what was remembered under `key`."""
        return self._known.get(key)

    def remember(self, value: str, *key: str) -> str:
        """Remember `value` under `key`."""
        self._known[key] = value
        return value

    def size(self, like: Map, axis: int) -> str:
        """Return a vector of one int64: height (axis 2) or width (axis 3) of a map."""
        whole = self.shape[axis - 1]
        if whole is not None:
            return self.integers(-(-whole // like.stride))
        key = ("size", str(like.stride), str(axis))
        to = f"size{axis}.{like.stride}"
        return self.once(*key) or self.remember(
            self.add("Shape", like.name, to=to, start=axis, end=axis + 1), *key
        )

    def sizes(self, x: Map, like: Map) -> str:
        """Return N and C of `x` with H and W of `like`: int64 (4,)."""
        n, height, width = self.shape
        if n and height and width:
            rows, columns = (-(-length // like.stride) for length in (height, width))
            return self.integers(n, x.channels, rows, columns)
        key = ("sizes", str(x.channels), str(like.stride))
        known = self.once(*key)
        if known:
            return known
        if x.channels == like.channels:
            return self.remember(self.add("Shape", like.name, to=f"{like.name}.shape"), *key)
        outer = self.add("Shape", x.name, to=f"{x.name}.outer", start=0, end=2)
        inner = self.add("Shape", like.name, to=f"{like.name}.inner", start=2, end=4)
        return self.remember(self.add("Concat", outer, inner, to=f"{x.name}.sizes", axis=0), *key)

    def pixels_of(self, like: Map) -> str:
        """Return N, H and W of a map: int64 (3,)."""
        outer = self.add("Shape", like.name, to=f"{like.name}.count", start=0, end=1)
        inner = self.add("Shape", like.name, to=f"{like.name}.sides", start=2, end=4)
        return self.add("Concat", outer, inner, to=f"{like.name}.pixels", axis=0)

    def _unique(self, name: str) -> str:
        candidate, count = name, 1
        while candidate in self._taken:
            count += 1
            candidate = f"{name}.{count}"
        self._taken.add(candidate)
        return candidate
