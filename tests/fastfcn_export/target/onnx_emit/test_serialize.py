import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from exports import described, proto_of, recognised
from fastfcn_export.target.onnx_emit import serialize
from fastfcn_export.target.onnx_emit.serialize import Graph
from fastfcn_export.target.targets import onnx_graph
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.artifact.onnx_metadata import read_model_of, read_onnx

PRODUCER = ("tests", "1.2.3")


@pytest.fixture(scope="module")
def model() -> Model:
    return described(recognised("wuhuikai_fcn"))


def graph_of(**tensors: np.ndarray) -> Graph:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    nodes += [helper.make_node("Relu", [name], [f"{name}.y"]) for name in tensors]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in "xy"]
    return Graph(nodes, values[:1], values[1:], tensors)


def test_the_streamed_file_is_the_graph_that_onnx_itself_would_write(
    tmp_path: Path, model: Model
) -> None:
    network = recognised("mmseg_psp")
    made = onnx_graph.graph(network.architecture, network.weights, described(network))
    serialize.write(tmp_path / "a.onnx", made, model, PRODUCER)
    found, expected = onnx.load(tmp_path / "a.onnx"), proto_of(made)
    expected.graph.name = found.graph.name
    assert found.graph == expected.graph
    assert found.opset_import == expected.opset_import
    assert found.ir_version == 8  # as old as opset 17, for old runtimes
    assert (found.producer_name, found.producer_version) == PRODUCER
    assert (
        sum(array.nbytes for array in made.tensors.values()) < (tmp_path / "a.onnx").stat().st_size
    )


def test_the_hash_in_the_metadata_is_that_of_the_graph(tmp_path: Path, model: Model) -> None:
    serialize.write(tmp_path / "a.onnx", graph_of(a=np.ones(40)), model, PRODUCER)
    data = (tmp_path / "a.onnx").read_bytes()
    # Field 7 of a ModelProto, "length-delimited"; two bytes of length carry 14 bits.
    assert data[0] == 7 << 3 | 2
    assert data[1] > 0x7F >= data[2]
    graph = data[3 : 3 + (data[1] & 0x7F) + (data[2] << 7)]
    assert onnx.GraphProto.FromString(graph) == onnx.load(tmp_path / "a.onnx").graph
    written = read_onnx(tmp_path / "a.onnx")
    assert written.graph_sha256 == hashlib.sha256(graph).hexdigest()
    assert written.metadata["fastfcn.graph_sha256"] == written.graph_sha256
    assert read_model_of(tmp_path / "a.onnx") == model


@pytest.mark.parametrize(
    "array",
    [
        np.array(1.5, np.float32),
        np.zeros((0, 3), np.float32),
        np.arange(6, dtype=np.int64).reshape(2, 3),
        np.arange(6, dtype=np.float64).reshape(2, 3).T,
        np.arange(6, dtype=np.float16)[::2],
        np.broadcast_to(np.float32(2), (4, 5)),
        np.arange(40000, dtype=np.float32),
    ],
    ids=["scalar", "empty", "int64", "turned", "strided", "broadcast", "long"],
)
def test_a_tensor_of_any_layout_is_read_back_equal(
    array: np.ndarray, tmp_path: Path, model: Model
) -> None:
    serialize.write(tmp_path / "a.onnx", graph_of(a=array), model, PRODUCER)
    (tensor,) = onnx.load(tmp_path / "a.onnx").graph.initializer
    found = onnx.numpy_helper.to_array(tensor)
    assert found.shape == array.shape
    assert found.dtype == array.dtype.newbyteorder("=")
    assert np.array_equal(found, array)


def test_a_graph_beyond_protobuf_s_limit_is_refused_before_anything_is_written(
    tmp_path: Path, model: Model
) -> None:
    huge = np.broadcast_to(np.float32(0), (1 << 29,))  # 2 GiB that take 4 bytes
    with pytest.raises(ValueError, match="an ONNX file holds at most 2147483647"):
        serialize.write(tmp_path / "a.onnx", graph_of(a=huge), model, PRODUCER)
    assert list(tmp_path.iterdir()) == []


@given(st.integers(0, 2**40))
def test_a_length_is_written_in_groups_of_seven_bits(value: int) -> None:
    groups = serialize._varint(value)
    assert sum((byte & 0x7F) << 7 * i for i, byte in enumerate(groups)) == value
    assert [byte >> 7 for byte in groups] == [1] * (len(groups) - 1) + [0]
