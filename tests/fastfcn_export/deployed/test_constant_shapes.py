from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from deployments import FREE, TINY, unpack
from fastfcn_export.deployed import graph
from fastfcn_export.deployed.constant_shapes import fold_constant_shapes
from fastfcn_export.deployed.graph import tidy

SIZES = [(2, 3, 64, 96), (1, 3, 57, 83)]


@pytest.mark.parametrize("case", TINY)
def test_what_the_graph_answers_does_not_change_by_a_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    import onnxruntime

    unpack(case, tmp_path)
    tidy(tmp_path / "raw.onnx", tmp_path / "settled.onnx")
    monkeypatch.setattr(graph, "fold_constant_shapes", lambda model: None)
    tidy(tmp_path / "raw.onnx", tmp_path / "before.onnx")
    assert count(tmp_path / "settled.onnx") < count(tmp_path / "before.onnx")
    for size in SIZES if case in FREE else [(1, 3, 64, 128)]:
        batch = np.random.default_rng(0).normal(size=size).astype(np.float32)
        answers = [
            onnxruntime.InferenceSession(str(tmp_path / name)).run(None, {"image": batch})[0]
            for name in ("settled.onnx", "before.onnx")
        ]
        np.testing.assert_array_equal(*answers)


def test_how_often_a_deployed_network_repeats_its_weights_and_grids_is_told_by_whole_numbers(
    tmp_path: Path,
) -> None:
    """In float64, through which OpenVINO does not follow the number of axes, it came."""
    unpack("tiny_fastfcn", tmp_path)
    before = onnx.load(tmp_path / "raw.onnx").graph
    assert any(helper.get_attribute_value(a) == TensorProto.DOUBLE for a in casts(before))
    tidy(tmp_path / "raw.onnx", tmp_path / "settled.onnx")
    graph = onnx.load(tmp_path / "settled.onnx").graph
    assert not any(helper.get_attribute_value(a) == TensorProto.DOUBLE for a in casts(graph))
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    repeats = [values[node.input[1]].tolist() for node in graph.node if node.op_type == "Tile"]
    assert repeats == [[1, 1, 4, 1]] * 2  # four code words


def casts(graph: Any) -> list[Any]:
    return [entry for node in graph.node if node.op_type == "Cast" for entry in node.attribute]


def count(path: Path) -> int:
    return len(onnx.load(path).graph.node)


def settled(
    nodes: list[Any], answer: str, constants: dict[str, Any] | None = None, opset: int = 17
) -> tuple[list[str], dict[str, NDArray[Any]]]:
    """Settle a graph; returns the kinds of nodes that are left and the constants."""
    made = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [helper.make_empty_tensor_value_info(answer)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)])
    fold_constant_shapes(model)
    left = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return [node.op_type for node in model.graph.node], left


def test_the_shape_of_weights_is_a_constant_and_the_shape_of_pictures_is_not() -> None:
    weights = np.zeros((5, 100), np.float32)
    of_weights = helper.make_node("Shape", ["weights"], ["found"])
    kinds, constants = settled([of_weights], "found", {"weights": weights})
    assert kinds == []
    assert constants["found"].tolist() == [5, 100]
    assert constants["found"].dtype == np.int64
    assert settled([helper.make_node("Shape", ["image"], ["found"])], "found")[0] == ["Shape"]


@pytest.mark.parametrize(
    ("ends", "found"),
    [({}, [5, 7, 9]), ({"start": 1}, [7, 9]), ({"end": -1}, [5, 7]), ({"start": -2, "end": 2}, [7])],
)  # fmt: skip
def test_a_shape_may_be_asked_of_some_axes_only(ends: dict[str, int], found: list[int]) -> None:
    node = helper.make_node("Shape", ["weights"], ["found"], **ends)
    weights = np.zeros((5, 7, 9), np.float32)
    assert settled([node], "found", {"weights": weights})[1]["found"].tolist() == found


def test_how_many_axes_a_picture_has_is_constant_though_their_length_is_not() -> None:
    nodes = [
        helper.make_node("Shape", ["image"], ["sizes"]),
        helper.make_node("Shape", ["sizes"], ["axes"]),
        helper.make_node("Sub", ["axes", "one"], ["found"]),
    ]
    kinds, constants = settled(nodes, "found", {"one": np.array([1])})
    assert "Sub" not in kinds
    assert constants["found"].tolist() == [3]


def test_what_a_constant_shape_tells_about_other_shapes_is_used_as_well() -> None:
    nodes = [
        helper.make_node("Concat", ["sides", "rest"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["image", "wanted"], ["row"]),
        helper.make_node("Slice", ["row", "zero", "two", "one"], ["pair"]),
        helper.make_node("Shape", ["pair"], ["found"]),
    ]
    numbers = {"sides": [1, 1], "rest": [-1], "zero": [0], "one": [2], "two": [2]}
    constants = {name: np.array(value) for name, value in numbers.items()}
    kinds, found = settled(nodes, "found", constants)
    assert found["wanted"].tolist() == [1, 1, -1]
    assert kinds[:2] == ["Reshape", "Slice"]


def test_weights_stay_what_they_are() -> None:
    weights = np.random.default_rng(0).normal(size=(9, 9)).astype(np.float32)
    node = helper.make_node("Add", ["weights", "weights"], ["found"])
    assert settled([node], "found", {"weights": weights})[0] == ["Add"]


def test_constants_that_grow_are_left_to_the_runtime() -> None:
    names = [f"x{i}" for i in range(50)]
    nodes = [helper.make_node("Concat", [old, old], [new], axis=0) for old, new in pairwise(names)]
    kinds, constants = settled(nodes, names[-1], {"x0": np.array([1, 2])})
    assert max(value.size for value in constants.values()) == 64
    assert len(kinds) == 50 - 1 - 5  # 2, 4, ... 64


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Reshape", ["three", "two"], ["found"]),
        helper.make_node("Gather", ["three", "nine"], ["found"]),
        helper.make_node("Concat", ["three", "row"], ["found"], axis=0),
        helper.make_node("Squeeze", ["three", "two"], ["found"]),
    ],
)
def test_a_node_that_cannot_be_is_left_for_the_runtime_to_refuse(node: Any) -> None:
    constants = {
        "three": np.array([1, 2, 3]),
        "two": np.array([2, 2]),
        "nine": np.array([9]),
        "row": np.array([[1]]),
    }
    assert settled([node], "found", constants)[0] == [node.op_type]


def test_arithmetic_is_that_of_the_graph_s_own_opset() -> None:
    """Up to opset 12 the axes of Unsqueeze are an attribute, from 13 on an input."""
    node = helper.make_node("Unsqueeze", ["three"], ["found"], axes=[0])
    kinds, constants = settled([node], "found", {"three": np.array([1, 2, 3])}, opset=12)
    assert kinds == []
    assert constants["found"].shape == (1, 3)
