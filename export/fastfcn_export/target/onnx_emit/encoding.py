"""The encoding layer in ONNX: soft assignment of pixels to code words as two matrix products."""

import numpy as np

from fastfcn_export.target import fusion
from fastfcn_export.target.onnx_emit.nodes import Array, Map, Nodes


def encode(
    nodes: Nodes, x: Map, layer: str, words: Array, factor: Array, norm: fusion.BatchNorm
) -> Map:
    """Encode `x` and average over the codes, to a vector (N, C).

    In float32 at least: the squared length of a pixel overflows float16.

    Args:
        nodes: what the layer is appended to.
        x: the map, (N, C, h, w).
        layer: name of the layer.
        words: code words (K, C).
        factor: scale of each (K,).
        norm: over the codes.
    """
    dtype = np.promote_types(nodes.dtype, np.float32)
    add = nodes.add

    def column(name: str, value: Array) -> str:
        return nodes.tensor(f"{layer}.{name}", value[:, None], dtype)

    matrix, offset = fusion.encoding_terms(words, factor)
    value = x.name if dtype == nodes.dtype else nodes.cast(x.name, dtype)
    pixels = add("Reshape", value, nodes.integers(0, x.channels, -1), to=f"{layer}.pixels")
    rows = nodes.tensor(f"{layer}.matrix", np.ascontiguousarray(matrix.T), dtype)
    cross = add("MatMul", rows, pixels, to=f"{layer}.cross")  # (N, K, P)
    squares = add("ReduceSumSquare", pixels, to=f"{layer}.squares", axes=[1], keepdims=1)
    own = add("Mul", squares, column("factor", factor), to=f"{layer}.own")
    scores = add("Add", cross, own, to=f"{layer}.scores")
    scores = add("Add", scores, column("offset", offset), to=f"{layer}.scores")
    share = add("Softmax", scores, to=f"{layer}.share", axis=1)  # (N, K, P)
    turned = add("Transpose", pixels, to=f"{layer}.turned", perm=[0, 2, 1])
    gathered = add("MatMul", share, turned, to=f"{layer}.gathered")  # (N, K, C)
    mass = add("ReduceSum", share, nodes.integers(2), to=f"{layer}.mass", keepdims=1)
    moved = add("Mul", mass, nodes.tensor(f"{layer}.words", words, dtype), to=f"{layer}.moved")
    residual = add("Sub", gathered, moved, to=f"{layer}.residual")
    scale, shift = norm.affine()
    y = add("Mul", residual, column("norm_scale", scale), to=f"{layer}.norm")
    y = add("Add", y, column("norm_shift", shift), to=f"{layer}.norm")
    y = add("Relu", y, to=f"{layer}.relu")
    y = add("ReduceMean", y, to=f"{layer}.mean", axes=[1], keepdims=0)  # (N, C)
    return Map(y if dtype == nodes.dtype else nodes.cast(y, nodes.dtype), x.channels, 0)
