import numpy as np
import pytest

from fastfcn_export.target.onnx_emit.nodes import Map, Nodes

FREE = (None, None, None)
FLOAT32 = np.dtype(np.float32)


def test_every_value_has_a_name_of_its_own() -> None:
    nodes = Nodes(FLOAT32, FREE)
    names = [nodes.add("Relu", "x", to="y") for _ in range(3)]
    names += [nodes.tensor("y", np.zeros(1)), nodes.cast("x", FLOAT32), nodes.cast("x", FLOAT32)]
    assert len(set(names)) == len(names)
    assert names[0] == "y"


def test_constants_take_the_precision_of_the_arithmetic_unless_told_otherwise() -> None:
    nodes = Nodes(np.dtype(np.float16), FREE)
    half, single = nodes.tensor("a", np.zeros(2)), nodes.tensor("b", np.zeros(2), FLOAT32)
    assert nodes.tensors[half].dtype == np.float16
    assert nodes.tensors[single].dtype == np.float32


def test_equal_integers_are_stored_once() -> None:
    nodes = Nodes(FLOAT32, FREE)
    assert nodes.integers(0, -1) == nodes.integers(0, -1)
    assert nodes.integers(0, -1) != nodes.integers(0, 1)
    assert len(nodes.tensors) == 2
    assert nodes.tensors[nodes.integers(0, -1)].tolist() == [0, -1]


def test_a_free_size_is_asked_for_once_and_a_fixed_one_never() -> None:
    free, fixed = Nodes(FLOAT32, FREE), Nodes(FLOAT32, (1, 65, None))
    like = Map("c2", 8, 8)
    assert free.size(like, 2) == free.size(Map("other", 4, 8), 2)
    assert [node.op_type for node in free.nodes] == ["Shape"]
    assert fixed.tensors[fixed.size(like, 2)].tolist() == [9]  # ceil(65 / 8)
    assert fixed.nodes == []
    fixed.size(like, 3)
    assert len(fixed.nodes) == 1


def test_only_the_output_of_the_last_node_can_be_renamed() -> None:
    nodes = Nodes(FLOAT32, FREE)
    first, last = nodes.add("Relu", "x", to="a"), nodes.add("Relu", "a", to="b")
    nodes.rename_last(last, "logits")
    assert list(nodes.nodes[-1].output) == ["logits"]
    with pytest.raises(ValueError, match="a is not the output of the last node"):
        nodes.rename_last(first, "logits")
