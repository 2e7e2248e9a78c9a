"""Pooling in Paddle by matrix products and means.

Paddle has operators for both; paddle2onnx refuses adaptive pooling at sizes unknown when the
program is made, and gives group norms a wrong epsilon, so the same is written out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.network.architecture import EPSILON
from fastfcn_export.network.primitives import GROUPS
from fastfcn_export.target.paddle_emit.program import Program


def pool(program: Program, x: Any, grids: Sequence[int]) -> list[Any]:
    """Average `x` (N, C, H, W) over the cells of every grid: a map (N, C, bins, bins) each.

    Averaging is linear in the rows and in the columns, so it is ``A @ x @ B.T``; all grids are
    stacked into one such product.
    """
    if tuple(grids) == (1,):
        return [program.paddle.nn.functional.adaptive_avg_pool2d(x, 1)]
    matmul = program.paddle.matmul
    shape = program.paddle.shape(x)
    rows, columns = (_shares(program, shape[axis], grids) for axis in (2, 3))
    narrow = matmul(x, columns, transpose_y=True)  # (N, C, H, cells)
    small = matmul(rows, narrow)  # (N, C, cells, cells)
    starts = np.cumsum([0, *grids[:-1]]).tolist()
    return [
        small[:, :, start : start + bins, start : start + bins]
        for start, bins in zip(starts, grids, strict=True)
    ]


def group_norm(
    program: Program, x: Any, layer: str, weight: NDArray[Any], bias: NDArray[Any]
) -> Any:
    """Normalise groups of channels of `x` (N, C, H, W) to mean 0 and variance 1, then scale.

    Args:
        program: that `x` belongs to.
        x: the map.
        layer: name of the layer.
        weight: (C,).
        bias: (C,).
    """
    channels = len(weight)
    members = np.kron(np.eye(GROUPS), np.full((channels // GROUPS,) * 2, GROUPS / channels))
    share = program.tensor(f"{layer}.groups", members)  # (C, C)

    def mean(y: Any) -> Any:
        # Paddle adds in float32 one number after another: two short sums are ten times as exact.
        inside = program.paddle.matmul(y.mean(3).mean(2), share)  # (N, C)
        return inside.unsqueeze([2, 3])

    centred = x - mean(x)
    variance = mean(centred * centred)
    scale = program.tensor(f"{layer}.scale", weight[:, None, None])
    shift = program.tensor(f"{layer}.shift", bias[:, None, None])
    return centred * (scale / (variance + EPSILON).sqrt()) + shift


def _shares(program: Program, length: Any, grids: Sequence[int]) -> Any:
    """Return the shares (cells, length) of the pixels in every cell of all grids.

    Cell i of n covers the pixels from ``floor(i * length / n)`` up to
    ``ceil((i + 1) * length / n)``; as floats, which are exact for whole numbers of this size.
    """
    paddle = program.paddle
    cells = [(i, n) for n in grids for i in range(n)]

    def column(name: str, values: list[int]) -> Any:
        return program.tensor(f"grids.{name}", np.array(values)[:, None])

    bins = column("bins", [n for _, n in cells])
    whole = length.astype("float32")
    start = (column("index", [i for i, _ in cells]) * whole / bins).floor()
    end = (column("next", [i + 1 for i, _ in cells]) * whole / bins).ceil()
    pixels = paddle.arange(0, length, 1, "int64").astype("float32")
    inside = paddle.logical_and(pixels >= start, pixels < end).astype("float32")
    return inside / (end - start)
