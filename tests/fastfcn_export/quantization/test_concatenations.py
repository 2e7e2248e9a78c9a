"""Joined maps of bytes: as exact as bytes can be, and computed in bytes by ONNX Runtime."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from fastfcn_export.quantization.concatenations import requantise_concatenations

onnxruntime = pytest.importorskip("onnxruntime")

Scale = tuple[Any, Any]  # scale, zero point
SAME: tuple[Scale, Scale] = ((0.02, np.uint8(100)),) * 2
OTHERS: tuple[Scale, Scale] = ((0.02, np.uint8(100)), (0.005, np.int8(-128)))
PER_CHANNEL: tuple[Scale, Scale] = ((0.02, np.uint8(0)), ([0.1, 0.2], np.zeros(2, np.uint8)))


def joining(scales: Sequence[Scale]) -> ModelProto:
    """Two maps of two channels, quantised, joined, and a convolution of bytes over them."""
    nodes, constants = [], []

    def quantised(name: str, scale: Any, zero: Any, *, axis: int = 1) -> None:
        constants.append(numpy_helper.from_array(np.asarray(scale, np.float32), f"{name}.s"))
        constants.append(numpy_helper.from_array(np.asarray(zero), f"{name}.z"))
        by = [f"{name}.s", f"{name}.z"]
        nodes.append(helper.make_node("QuantizeLinear", [name, *by], [f"{name}.q"], axis=axis))
        nodes.append(
            helper.make_node("DequantizeLinear", [f"{name}.q", *by], [f"{name}.d"], axis=axis)
        )

    for name, (scale, zero) in zip("ab", scales, strict=True):
        quantised(name, scale, zero)
    nodes.append(helper.make_node("Concat", ["a.d", "b.d"], ["joined"], axis=1))
    weights = np.random.default_rng(0).integers(-127, 128, (8, 4, 3, 3)).astype(np.int8)
    constants += [
        numpy_helper.from_array(weights, "w.q"),
        numpy_helper.from_array(np.full(8, 0.01, np.float32), "w.s"),
        numpy_helper.from_array(np.zeros(8, np.int8), "w.z"),
    ]
    nodes.append(helper.make_node("DequantizeLinear", ["w.q", "w.s", "w.z"], ["w"], axis=0))
    nodes.append(helper.make_node("Conv", ["joined", "w"], ["c"]))
    quantised("c", 0.5, np.uint8(128))
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", channels, None, None])
        for name, channels in (("a", 2), ("b", 2), ("joined", 4), ("c.d", 8))
    ]
    graph = helper.make_graph(nodes, "joining", infos[:2], infos[2:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model: ModelProto) -> list[NDArray[Any]]:
    """Return the joined map as the convolution sees it, and the output of that."""
    onnx.checker.check_model(model, full_check=True)
    (seen,) = (node.input[0] for node in model.graph.node if node.op_type == "Conv")
    model.graph.output[0].name = seen
    random = np.random.default_rng(1)
    fed = {name: random.normal(size=(1, 2, 6, 7)).astype(np.float32) for name in "ab"}
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return list(session.run(None, fed))


def test_maps_of_one_scale_stay_what_they_were() -> None:
    model = joining(SAME)
    before = run(model)
    requantise_concatenations(model)
    for old, new in zip(before, run(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_maps_of_other_scales_move_by_half_a_step_of_the_range_of_all() -> None:
    model = joining(OTHERS)
    before = run(model)
    requantise_concatenations(model)
    low, high = -100 * 0.02, 155 * 0.02
    after = run(model)
    assert np.abs(before[0] - after[0]).max() <= 0.5 * (high - low) / 255 + 1e-6
    assert np.abs(before[0] - after[0]).max() > 0


def test_the_map_as_it_was_joined_keeps_its_name() -> None:
    model = joining(OTHERS)
    requantise_concatenations(model)
    (node,) = (node for node in model.graph.node if node.op_type == "Concat")
    assert list(node.output) == ["joined"]


def test_maps_with_a_scale_for_every_channel_are_left_alone() -> None:
    model = joining(PER_CHANNEL)
    text = model.SerializeToString(deterministic=True)
    requantise_concatenations(model)
    assert model.SerializeToString(deterministic=True) == text


def test_onnx_runtime_computes_what_follows_in_bytes(tmp_path: Path) -> None:
    def operators(model: ModelProto) -> Counter[str]:
        del model.graph.output[0]  # what is read from outside is in float32
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
        options.log_severity_level = 3
        onnxruntime.InferenceSession(model.SerializeToString(), options)
        return Counter(
            node.op_type for node in onnx.load(str(tmp_path / "optimised.onnx")).graph.node
        )

    as_it_comes, requantised = joining(OTHERS), joining(OTHERS)
    requantise_concatenations(requantised)
    assert "QLinearConv" not in operators(as_it_comes)
    found = operators(requantised)
    assert (found["QLinearConv"], found["QLinearConcat"], found["Conv"]) == (1, 1, 0)
