"""The encoding layer alone, on its hardest inputs: long vectors, many pixels, half precision."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from exports import difference, proto_of
from fastfcn_export.target.fusion import BatchNorm
from fastfcn_export.target.onnx_emit import encoding
from fastfcn_export.target.onnx_emit.nodes import Map, Nodes
from fastfcn_export.target.onnx_emit.serialize import Graph
from fastfcn_export.target.targets.reference import NumpyOps

IDENTICAL = 1e-12  # float64 on both sides
FLOAT32 = 1e-5  # measured 6e-7, where the unfused form in float32 has 5e-7
HALF_OUTPUT = 2e-3  # the answer is rounded to 11 bits; measured 4e-4

Array = NDArray[Any]
CODES, CHANNELS = 32, 512


def layer(seed: int = 0) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    return {
        "e.codewords": random.normal(0, 0.3, (CODES, CHANNELS)),
        "e.scale": random.uniform(-0.1, 0, CODES),
        "e.norm.weight": random.uniform(0.5, 1, CODES),
        "e.norm.bias": random.normal(0, 0.1, CODES),
        "e.norm.mean": random.normal(0, 0.1, CODES),
        "e.norm.var": random.uniform(0.5, 1, CODES),
    }


def fused(x: Array, dtype: Any) -> Array:
    dtype = np.dtype(dtype)
    nodes = Nodes(dtype, (None, None, None))
    weights = layer()
    parts = ("weight", "bias", "mean", "var")
    norm = BatchNorm(*(weights[f"e.norm.{part}"] for part in parts))
    made = encoding.encode(
        nodes, Map("x", CHANNELS, 8), "e", weights["e.codewords"], weights["e.scale"], norm
    )
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    given = helper.make_tensor_value_info("x", kind, ["N", CHANNELS, "H", "W"])
    answer = helper.make_tensor_value_info(made.name, kind, ["N", CHANNELS])
    proto = proto_of(Graph(nodes.nodes, [given], [answer], nodes.tensors))
    found: Array = ReferenceEvaluator(proto).run(None, {"x": x.astype(dtype)})[0]
    assert found.dtype == dtype
    return found


def naive(x: Array) -> Array:
    return NumpyOps(layer(), np.dtype(np.float64)).encode(x.astype(np.float64), "e", CODES)


def pixels(largest: float) -> Array:
    return np.random.default_rng(3).uniform(0, largest, (2, CHANNELS, 9, 11))


@pytest.mark.parametrize("largest", [0.1, 4.0, 100.0])
def test_two_matrix_products_are_the_textbook_s_encoding(largest: float) -> None:
    x = pixels(largest)
    assert difference(fused(x, np.float64), naive(x)) <= IDENTICAL


def test_in_float32_the_fused_form_loses_little() -> None:
    x = pixels(4.0).astype(np.float32)
    assert difference(fused(x, np.float32), naive(x)) <= FLOAT32


def test_in_half_precision_long_pixels_do_not_overflow() -> None:
    # The squared length is about 512 * 900 / 3, twice what a float16 can hold.
    x = pixels(30.0).astype(np.float16)
    assert np.square(x.astype(np.float64)).sum(1).min() > np.finfo(np.float16).max
    found = fused(x, np.float16).astype(np.float64)
    assert np.isfinite(found).all()
    assert difference(found, naive(x)) <= HALF_OUTPUT


def test_the_answer_is_a_vector_that_sums_over_the_pixels_of_each_picture() -> None:
    x = pixels(1.0)
    together = fused(x, np.float64)
    assert together.shape == (2, CHANNELS)
    assert difference(fused(x[1:], np.float64), together[1:]) <= IDENTICAL
    twice = np.concatenate([x, x], 2)  # every pixel twice: the sum, and so the answer, differs
    assert difference(fused(twice, np.float64), together) > 0.1
