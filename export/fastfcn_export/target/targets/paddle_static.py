"""The network as a Paddle program, with the fusions of `fusion.py`: Paddle Inference, PaddleX.

Paddle is imported when a program is written, not when the file is: exporting to ONNX needs none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fastfcn_export.network.architecture import Architecture
from fastfcn_export.network.fastfcn import fastfcn
from fastfcn_export.network.primitives import Weights
from fastfcn_export.target import fusion
from fastfcn_export.target.fused import FusedOps
from fastfcn_export.target.paddle_emit import pooling
from fastfcn_export.target.paddle_emit.inference_yml import inference_yml
from fastfcn_export.target.paddle_emit.program import STEM, Program, growing, load
from fastfcn_export.target.target import Options
from fastfcn_infer.artifact.artifact import FORMATS
from fastfcn_infer.artifact.manifest import Model

FORMAT = "paddle"

Array = NDArray[Any]


def ready(options: Options) -> dict[str, str]:
    """See `target.Writer.ready`."""
    if options.precision != "fp32":
        raise ValueError(
            "the format paddle is written in fp32 only: on processors Paddle Inference computes "
            "in float32, and on a GPU it converts a float32 program itself. Export the formats "
            "apart: --format onnx --precision fp16, and --format paddle"
        )
    return {"paddle": str(load().__version__)}


def write(
    architecture: Architecture, weights: Weights, model: Model, folder: Path, options: Options
) -> None:
    """Write ``paddle/inference.json``, ``inference.pdiparams`` and ``inference.yml``.

    Raises:
        BackendMissing: Paddle is not installed.
        ValueError: half precision.
    """
    ready(options)
    with growing(model, options) as program:
        ops = PaddleOps(program, weights)
        logits = fastfcn(ops, architecture, Map(program.image, architecture.channels, 1))
        program.write((folder / FORMATS[FORMAT]).parent, logits.value)
    text = inference_yml(model, f"{STEM}.json", f"{STEM}.pdiparams")
    (folder / FORMATS[FORMAT]).with_suffix(".yml").write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Map:
    """A feature map in the program; maps of equal stride have equal sizes, 0 is a grid."""

    value: Any
    channels: int
    stride: int


class PaddleOps(FusedOps[Map]):
    """The primitives as Paddle operators."""

    def __init__(self, program: Program, weights: Weights) -> None:
        super().__init__(weights)
        self._program = program
        self._paddle = program.paddle
        self._f = program.paddle.nn.functional

    def max_pool(self, x: Map) -> Map:
        """Take the maximum over 3x3, stride 2."""
        return Map(self._f.max_pool2d(x.value, 3, 2, 1), x.channels, 2 * x.stride)

    def average_pool(self, x: Map) -> Map:
        """Average 2x2, stride 2, over the pixels that exist."""
        value = self._f.avg_pool2d(x.value, 2, 2, ceil_mode=True, exclusive=True)
        return Map(value, x.channels, 2 * x.stride)

    def grid_pools(self, x: Map, grids: Sequence[int]) -> list[Map]:
        """Average the cells of the grids."""
        pooled = pooling.pool(self._program, x.value, grids)
        return [Map(value, x.channels, 0) for value in pooled]

    def add_relu(self, x: Map, y: Map) -> Map:
        """Add, ReLU."""
        return self._relu(Map(x.value + y.value, x.channels, x.stride), "sum")

    def resize(self, x: Map, like: Map, *, align_corners: bool) -> Map:
        """Resize, unless the size is the same already."""
        if x.stride == like.stride:
            return x
        value = self._program.resize(x.value, like.value, like.stride, align_corners=align_corners)
        return Map(value, x.channels, like.stride)

    def concat(self, maps: Sequence[Map]) -> Map:
        """Concatenate along the channels."""
        value = self._paddle.concat([m.value for m in maps], 1)
        return Map(value, sum(m.channels for m in maps), maps[0].stride)

    def encode(self, x: Map, layer: str, codes: int) -> Map:
        """Encode with two matrix products."""
        words = self._take(f"{layer}.codewords", (codes, x.channels))
        factor = self._take(f"{layer}.scale", (codes,))
        matrix, offset = fusion.encoding_terms(words, factor)
        scale, shift = self._norm(layer, codes).affine()
        column = {
            name: self._tensor(f"{layer}.{name}", value[:, None])
            for name, value in (
                ("factor", factor),
                ("offset", offset),
                ("norm_scale", scale),
                ("norm_shift", shift),
            )
        }
        matmul = self._paddle.matmul
        pixels = x.value.flatten(2)  # (N, C, P)
        cross = matmul(self._tensor(f"{layer}.matrix", matrix.T), pixels)  # (N, K, P)
        squares = (pixels * pixels).sum(1, keepdim=True)
        scores = cross + squares * column["factor"] + column["offset"]
        share = self._f.softmax(scores, 1)
        gathered = matmul(share, pixels, transpose_y=True)  # (N, K, C)
        mass = share.sum(2, keepdim=True)
        residual = gathered - mass * self._tensor(f"{layer}.words", words)
        y = self._f.relu(residual * column["norm_scale"] + column["norm_shift"])
        return Map(y.mean(1), x.channels, 0)

    def linear(self, x: Map, layer: str, width: int) -> Map:
        """Multiply by a matrix, add the bias."""
        matrix = self._take(f"{layer}.weight", (width, x.channels)).T
        weight = self._tensor(f"{layer}.weight", matrix)
        bias = self._tensor(f"{layer}.bias", self._take(f"{layer}.bias", (width,)))
        return Map(self._f.linear(x.value, weight, bias), width, 0)

    def gate(self, x: Map, vector: Map) -> Map:
        """Multiply by one plus the sigmoid; both factors are positive, so no ReLU is left."""
        factor = self._f.sigmoid(vector.value) + 1.0
        return Map(x.value * factor.unsqueeze([2, 3]), x.channels, x.stride)

    def _tensor(self, name: str, value: Array) -> Any:
        return self._program.tensor(name, value)

    def _group_norms(self, x: Map, layer: str, pointwise: Array) -> Map:
        y = self._group_norm(x, f"{layer}.depthwise")
        outer = f"{layer}.pointwise"
        return self._group_norm(self._conv(y, outer, pointwise, None), outer)

    def _group_norm(self, x: Map, layer: str) -> Map:
        affine = self._affine(layer, x.channels)
        value = pooling.group_norm(self._program, x.value, layer, *affine)
        return Map(value, x.channels, x.stride)

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
        value = self._f.conv2d(
            x.value,
            self._tensor(f"{layer}.weight", weight),
            None if bias is None else self._tensor(f"{layer}.bias", bias),
            stride=stride,
            padding=dilation * (weight.shape[2] // 2),
            dilation=dilation,
            groups=x.channels // weight.shape[1],
        )
        return Map(value, weight.shape[0], x.stride * stride)

    def _relu(self, x: Map, layer: str) -> Map:
        return Map(self._f.relu(x.value), x.channels, x.stride)
