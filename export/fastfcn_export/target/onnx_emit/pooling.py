"""Pyramid pooling in ONNX at sizes unknown when the graph is made: two matrix products.

ONNX has no adaptive pooling. Averaging the cells of a grid is linear in the rows and in the
columns, so it is ``A @ x @ B.T`` with small matrices that the graph makes from the map's size; all
grids are stacked into one such product. Bilinear resizing of a grid is of the same kind, and its
matrix is a hat function of the distance between a pixel and a cell.
"""

from collections.abc import Sequence

import numpy as np

from fastfcn_export.target.onnx_emit.nodes import Map, Nodes


def pool(nodes: Nodes, x: Map, grids: Sequence[int]) -> list[Map]:
    """Average `x` over the cells of every grid."""
    if tuple(grids) == (1,):
        name = nodes.add("GlobalAveragePool", x.name, to="grid1")
        return [Map(name, x.channels, 0, 1)]
    rows = _pool_matrix(nodes, x, 2, grids)  # (cells, H)
    columns = _pool_matrix(nodes, x, 3, grids)  # (cells, W)
    turned = nodes.add("Transpose", columns, to="pool.columns_turned", perm=[1, 0])
    narrow = nodes.add("MatMul", x.name, turned, to="pool.narrow")  # (N, C, H, cells)
    small = nodes.add("MatMul", rows, narrow, to="pool.small")  # (N, C, cells, cells)
    maps = []
    for start, bins in zip(np.cumsum([0, *grids[:-1]]).tolist(), grids, strict=True):
        cut = [nodes.integers(*pair) for pair in ((start,) * 2, (start + bins,) * 2, (2, 3))]
        maps.append(Map(nodes.add("Slice", small, *cut, to=f"grid{bins}"), x.channels, 0, bins))
    return maps


def spread(nodes: Nodes, grid: Map, like: Map, *, align_corners: bool) -> Map:
    """Resize a grid bilinearly to the size of `like`."""
    name = f"{grid.name}.spread"
    if grid.bins == 1:
        one = nodes.integers(1)
        size = [nodes.size(like, axis) for axis in (2, 3)]
        shape = nodes.add("Concat", one, one, *size, to=f"{name}.shape", axis=0)
        return Map(nodes.add("Expand", grid.name, shape, to=name), grid.channels, like.stride)
    rows = _hat_matrix(nodes, like, 2, grid.bins, align_corners=align_corners)  # (bins, H)
    columns = _hat_matrix(nodes, like, 3, grid.bins, align_corners=align_corners)  # (bins, W)
    turned = nodes.add("Transpose", rows, to=f"{name}.rows_turned", perm=[1, 0])
    wide = nodes.add("MatMul", grid.name, columns, to=f"{name}.wide")  # (N, C, bins, W)
    return Map(nodes.add("MatMul", turned, wide, to=name), grid.channels, like.stride)


def _pixels(nodes: Nodes, like: Map, axis: int) -> tuple[str, str]:
    """Return the length of an axis (1,) and its pixels' numbers (length,), int64."""
    length = nodes.size(like, axis)
    key = ("pixels", str(like.stride), str(axis))
    known = nodes.once(*key)
    if known is None:
        zero, one, end = (nodes.add("Squeeze", v, to="scalar") for v in (
            nodes.integers(0), nodes.integers(1), length))  # fmt: skip
        known = nodes.remember(nodes.add("Range", zero, end, one, to=f"pixels{axis}"), *key)
    return length, known


def _pool_matrix(nodes: Nodes, like: Map, axis: int, grids: Sequence[int]) -> str:
    """Return the shares (cells, length) of the pixels in every cell of all grids.

    Cell i of n covers the pixels from ``i * length // n`` up to ``ceil((i + 1) * length / n)``.
    """
    length, pixels = _pixels(nodes, like, axis)
    name = f"pool{axis}"
    cells = [(i, n) for n in grids for i in range(n)]
    column = nodes.integers(len(cells), 1)

    def constant(what: str, values: list[int]) -> str:
        return nodes.add("Reshape", nodes.integers(*values), column, to=f"{name}.{what}")

    bins = constant("bins", [n for _, n in cells])
    low = nodes.add("Mul", constant("index", [i for i, _ in cells]), length, to=f"{name}.low")
    start = nodes.add("Div", low, bins, to=f"{name}.start")
    high = nodes.add("Mul", constant("next", [i + 1 for i, _ in cells]), length, to=f"{name}.high")
    rounded = nodes.add("Add", high, constant("up", [n - 1 for _, n in cells]), to=f"{name}.up")
    end = nodes.add("Div", rounded, bins, to=f"{name}.end")
    after = nodes.add("GreaterOrEqual", pixels, start, to=f"{name}.after")
    before = nodes.add("Less", pixels, end, to=f"{name}.before")
    inside = _cast(nodes, nodes.add("And", after, before, to=f"{name}.inside"))
    count = _cast(nodes, nodes.add("Sub", end, start, to=f"{name}.count"))
    return nodes.add("Div", inside, count, to=name)


def _hat_matrix(nodes: Nodes, like: Map, axis: int, bins: int, *, align_corners: bool) -> str:
    """Return the bilinear weights (bins, length) of a grid's cells at every pixel."""
    key = ("hat", str(like.stride), str(axis), str(bins), str(align_corners))
    known = nodes.once(*key)
    if known:
        return known
    length, pixels = _pixels(nodes, like, axis)
    name = f"hat{axis}.{bins}"
    if align_corners:
        # At length 1 the only pixel is number 0, so any divisor but zero will do.
        steps = nodes.add("Sub", length, nodes.integers(1), to=f"{name}.steps")
        steps = nodes.add("Max", steps, nodes.integers(1), to=f"{name}.steps")
        at = nodes.add("Mul", pixels, nodes.integers(bins - 1), to=f"{name}.at")
        where = nodes.add("Div", _cast(nodes, at), _cast(nodes, steps), to=f"{name}.where")
    else:
        # (pixel + 1/2) * bins / length - 1/2, over the doubled length to stay with integers.
        doubled = nodes.add("Mul", length, nodes.integers(2), to=f"{name}.doubled")
        odd = nodes.add("Mul", pixels, nodes.integers(2 * bins), to=f"{name}.odd")
        odd = nodes.add("Add", odd, nodes.integers(bins), to=f"{name}.odd")
        at = nodes.add("Sub", odd, length, to=f"{name}.at")
        where = nodes.add("Div", _cast(nodes, at), _cast(nodes, doubled), to=f"{name}.where")
        ends = [nodes.tensor(f"{name}.end", np.array(v, np.float64)) for v in (0, bins - 1)]
        where = nodes.add("Clip", where, *ends, to=f"{name}.clipped")
    cells = nodes.tensor(f"{name}.cells", np.arange(bins, dtype=np.float64)[:, None])
    distance = nodes.add("Abs", nodes.add("Sub", where, cells, to=f"{name}.off"), to=f"{name}.abs")
    one = nodes.tensor(f"{name}.one", np.array(1.0))
    weight = nodes.add("Relu", nodes.add("Sub", one, distance, to=f"{name}.rest"), to=name)
    return nodes.remember(weight, *key)


def _cast(nodes: Nodes, value: str) -> str:
    return nodes.cast(value, nodes.dtype)
