from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from exports import proto_of
from fastfcn_export.target.onnx_emit import pooling
from fastfcn_export.target.onnx_emit.nodes import Map, Nodes
from fastfcn_export.target.onnx_emit.serialize import Graph
from fastfcn_export.target.targets import reference
from fastfcn_export.target.targets.reference import NumpyOps

IDENTICAL = 1e-12  # means of a few hundred numbers of about 1, in float64
GRIDS = (1, 2, 3, 6)
FLOAT64 = np.dtype(np.float64)
SIDES = st.integers(1, 30)

Array = NDArray[Any]


def evaluate(nodes: Nodes, x: Array, outputs: list[str]) -> list[Array]:
    kind = TensorProto.DOUBLE
    given_ = helper.make_tensor_value_info("x", kind, ["N", "C", "H", "W"])
    answers = [helper.make_tensor_value_info(name, kind, None) for name in outputs]
    made = proto_of(Graph(nodes.nodes, [given_], answers, nodes.tensors))
    found: list[Array] = ReferenceEvaluator(made).run(None, {"x": x})
    return found


def drawn(height: int, width: int) -> Array:
    return np.random.default_rng((height, width)).normal(size=(2, 3, height, width))


@given(SIDES, SIDES, st.booleans())
@settings(max_examples=40, deadline=None)
def test_all_grids_in_two_products_are_adaptive_averages(
    height: int, width: int, fixed: bool
) -> None:
    x = drawn(height, width)
    nodes = Nodes(FLOAT64, (2, height, width) if fixed else (None, None, None))
    maps = pooling.pool(nodes, Map("x", 3, 1), GRIDS)
    expected = NumpyOps({}, FLOAT64).grid_pools(x, GRIDS)
    for bins, found, theirs in zip(
        GRIDS, evaluate(nodes, x, [m.name for m in maps]), expected, strict=True
    ):
        assert found.shape == (2, 3, bins, bins)
        assert np.abs(found - theirs).max() <= IDENTICAL


@given(SIDES, SIDES, st.booleans(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_grid_is_spread_as_a_bilinear_resize_would(
    height: int, width: int, align_corners: bool, fixed: bool
) -> None:
    x = drawn(height, width)
    nodes = Nodes(FLOAT64, (2, height, width) if fixed else (None, None, None))
    like = Map("x", 3, 1)
    grids = pooling.pool(nodes, like, GRIDS)
    maps = [pooling.spread(nodes, g, like, align_corners=align_corners) for g in grids]
    values = evaluate(nodes, x, [m.name for m in (*grids, *maps)])
    for small, found in zip(values[:4], values[4:], strict=True):
        expected = reference.resize(small, (height, width), align_corners=align_corners)
        assert np.abs(found - expected).max() <= IDENTICAL


def test_one_mean_over_the_whole_map_needs_no_matrix() -> None:
    nodes = Nodes(FLOAT64, (None, None, None))
    (grid,) = pooling.pool(nodes, Map("x", 3, 1), (1,))
    assert [node.op_type for node in nodes.nodes] == ["GlobalAveragePool"]
    assert (grid.bins, grid.stride) == (1, 0)
    (found,) = evaluate(nodes, drawn(5, 4), [grid.name])
    assert found[:, :, 0, 0] == pytest.approx(drawn(5, 4).mean((2, 3)), abs=IDENTICAL)
