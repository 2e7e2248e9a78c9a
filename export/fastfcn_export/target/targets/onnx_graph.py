"""The network as an ONNX graph, with every fusion: ONNX Runtime, OpenVINO, TensorRT.

Batch norms fold into convolutions; a resize to the same size vanishes; the encoding is a matrix
product; the graph stops at the stride of the logits. `fusion.py` has the algebra.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from fastfcn_export.network.architecture import EPSILON, Architecture
from fastfcn_export.network.fastfcn import fastfcn
from fastfcn_export.network.primitives import GROUPS, Weights
from fastfcn_export.target import fusion
from fastfcn_export.target.fused import FusedOps
from fastfcn_export.target.onnx_emit import encoding, graph_io, pooling, serialize
from fastfcn_export.target.onnx_emit.nodes import Map, Nodes
from fastfcn_export.target.target import OPSETS, Options
from fastfcn_infer.artifact.artifact import FORMATS
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.system.version import __version__

FORMAT = "onnx"

Array = NDArray[Any]
_DTYPES: dict[str, np.dtype[Any]] = {"fp32": np.dtype(np.float32), "fp16": np.dtype(np.float16)}


def ready(options: Options) -> dict[str, str]:
    """See `target.Writer.ready`."""
    if options.opset not in OPSETS:
        raise ValueError(
            f"the operator set {options.opset} is not one of {OPSETS[0]} to {OPSETS[-1]} (--opset)"
        )
    return {"onnx": onnx.__version__}


def write(
    architecture: Architecture, weights: Weights, model: Model, folder: Path, options: Options
) -> None:
    """Write ``model.onnx`` into `folder`; the description `model` goes into its metadata."""
    made = graph(architecture, weights, model, options.shape, _DTYPES[options.precision])
    producer = ("fastfcn-export", __version__)
    serialize.write(folder / FORMATS[FORMAT], made, model, producer, options.opset)


def graph(
    architecture: Architecture,
    weights: Weights,
    model: Model,
    shape: tuple[int | None, int | None, int | None] = (None, None, None),
    dtype: np.dtype[Any] = _DTYPES["fp32"],
) -> serialize.Graph:
    """Make the graph; input and output stay float32 where the arithmetic is float16."""
    nodes = Nodes(dtype, shape)
    image = graph_io.begin(nodes, model.input)
    logits = fastfcn(OnnxOps(nodes, weights), architecture, image)
    output = graph_io.end(nodes, logits, image, model)
    given = graph_io.input_info(nodes, model.input)
    return serialize.Graph(nodes.nodes, [given], [output], nodes.tensors)


class OnnxOps(FusedOps[Map]):
    """The primitives as nodes."""

    def __init__(self, nodes: Nodes, weights: Weights) -> None:
        super().__init__(weights)
        self._nodes = nodes

    def max_pool(self, x: Map) -> Map:
        """Take the maximum over 3x3, stride 2."""
        attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        name = self._nodes.add("MaxPool", x.name, to=f"{x.name}.pooled", **attributes)
        return Map(name, x.channels, 2 * x.stride)

    def average_pool(self, x: Map) -> Map:
        """Average 2x2, stride 2.

        SAME_UPPER adds a row below and a column right of odd sizes only, and they do not count:
        what ``ceil_mode`` means, without the runtimes that got ``ceil_mode`` wrong.
        """
        attributes = {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}
        name = self._nodes.add("AveragePool", x.name, to=f"{x.name}.averaged", **attributes)
        return Map(name, x.channels, 2 * x.stride)

    def grid_pools(self, x: Map, grids: Sequence[int]) -> list[Map]:
        """Average the cells of all grids in two matrix products."""
        return pooling.pool(self._nodes, x, grids)

    def add_relu(self, x: Map, y: Map) -> Map:
        """Add, ReLU."""
        layer = x.name.removesuffix(".conv")
        name = self._nodes.add("Add", x.name, y.name, to=f"{layer}.sum")
        return self._relu(Map(name, x.channels, x.stride), f"{layer}.sum")

    def resize(self, x: Map, like: Map, *, align_corners: bool) -> Map:
        """Resize, unless the size is the same already."""
        if x.bins:
            return pooling.spread(self._nodes, x, like, align_corners=align_corners)
        if x.stride == like.stride:
            return x
        return graph_io.resize(self._nodes, x, like, align_corners=align_corners)

    def concat(self, maps: Sequence[Map]) -> Map:
        """Concatenate along the channels."""
        name = self._nodes.add("Concat", *(m.name for m in maps), to="joined", axis=1)
        return Map(name, sum(m.channels for m in maps), maps[0].stride)

    def encode(self, x: Map, layer: str, codes: int) -> Map:
        """Encode with two matrix products."""
        words = self._take(f"{layer}.codewords", (codes, x.channels))
        factor = self._take(f"{layer}.scale", (codes,))
        norm = self._norm(layer, codes)
        return encoding.encode(self._nodes, x, layer, words, factor, norm)

    def linear(self, x: Map, layer: str, width: int) -> Map:
        """Multiply by a matrix, add the bias."""
        weight = self._nodes.tensor(
            f"{layer}.weight", self._take(f"{layer}.weight", (width, x.channels))
        )
        bias = self._nodes.tensor(f"{layer}.bias", self._take(f"{layer}.bias", (width,)))
        return Map(self._nodes.add("Gemm", x.name, weight, bias, to=layer, transB=1), width, 0)

    def gate(self, x: Map, vector: Map) -> Map:
        """Multiply by one plus the sigmoid; both factors are positive, so no ReLU is left."""
        add = self._nodes.add
        share = add("Sigmoid", vector.name, to=f"{vector.name}.sigmoid")
        factor = add("Add", share, self._nodes.tensor("gate.one", np.array(1.0)), to="gate.factor")
        tall = add("Unsqueeze", factor, self._nodes.integers(2, 3), to="gate.tall")
        return Map(add("Mul", x.name, tall, to="gate"), x.channels, x.stride)

    def _conv(
        self,
        x: Map,
        layer: str,
        weight: Array,
        bias: Array | None,
        *,
        stride: int = 1,
        dilation: int = 1,
    ) -> Map:
        out, kernel = weight.shape[0], weight.shape[2]
        inputs = [x.name, self._nodes.tensor(f"{layer}.weight", weight)]
        # Half precision is for GPUs, and there a convolution with a bias is three kernels: cuDNN's own
        # addition takes three times as long as one that the runtime does. Elsewhere runtimes join them.
        apart = bias is not None and self._nodes.dtype == np.float16
        if bias is not None and not apart:
            inputs.append(self._nodes.tensor(f"{layer}.bias", bias))
        name = self._nodes.add(
            "Conv",
            *inputs,
            to=f"{layer}.product" if apart else f"{layer}.conv",
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            dilations=[dilation, dilation],
            pads=[dilation * (kernel // 2)] * 4,
            group=x.channels // weight.shape[1],
        )
        if bias is not None and apart:
            shift = self._nodes.tensor(f"{layer}.bias", bias[:, None, None])
            name = self._nodes.add("Add", name, shift, to=f"{layer}.conv")
        return Map(name, out, x.stride * stride, x.bins)

    def _relu(self, x: Map, layer: str) -> Map:
        return Map(
            self._nodes.add("Relu", x.name, to=f"{layer}.relu"), x.channels, x.stride, x.bins
        )

    def _whiten(self, x: Map, layer: str) -> Map:
        """Group norm without its affine part: each group is one channel of an instance norm."""
        add = self._nodes.add
        groups = add("Reshape", x.name, self._nodes.integers(0, GROUPS, -1), to=f"{layer}.groups")
        ones, zeros = (
            self._nodes.tensor(f"{layer}.{name}", np.full(GROUPS, value))
            for name, value in (("ones", 1.0), ("zeros", 0.0))
        )
        normal = add(
            "InstanceNormalization", groups, ones, zeros, to=f"{layer}.white", epsilon=EPSILON
        )
        shape = self._nodes.sizes(x, x)
        return Map(add("Reshape", normal, shape, to=f"{layer}.map"), x.channels, x.stride)

    def _group_norms(self, x: Map, layer: str, pointwise: Array) -> Map:
        """Fold the affine part of the inner norm into the pointwise convolution."""
        inner, outer = f"{layer}.depthwise", f"{layer}.pointwise"
        y = self._whiten(x, inner)
        weight, bias = fusion.fold_affine_before(pointwise, *self._affine(inner, x.channels))
        y = self._whiten(self._conv(y, outer, weight, bias), outer)
        return self._scale(y, outer, *self._affine(outer, y.channels))

    def _scale(self, x: Map, layer: str, scale: Array, shift: Array) -> Map:
        tensor = self._nodes.tensor
        y = self._nodes.add(
            "Mul", x.name, tensor(f"{layer}.scale", scale[:, None, None]), to=layer
        )
        y = self._nodes.add("Add", y, tensor(f"{layer}.shift", shift[:, None, None]), to=layer)
        return Map(y, x.channels, x.stride)
