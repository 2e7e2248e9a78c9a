"""Write an ONNX file tensor by tensor, so that only one copy of the model is in memory instead of four.

A protobuf message is its fields one after another: the graph is written without its tensors,
then each tensor is appended as one more field, then the model's other fields.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.artifact.onnx_metadata import embed

OPSET = 17
_AXES_AS_INPUT = 18  # the operator set from which these take axes as an input
_REDUCTIONS = ("ReduceMean", "ReduceSumSquare")
LIMIT = 2**31 - 1  # bytes; protobuf's

# Protobuf tags: field number << 3 | 2, "length-delimited".
_MODEL_GRAPH = b"\x3a"  # ModelProto.graph = 7
_GRAPH_INITIALIZER = b"\x2a"  # GraphProto.initializer = 5
_TENSOR_RAW_DATA = b"\x4a"  # TensorProto.raw_data = 9


@dataclass(frozen=True)
class Graph:
    """A graph with its tensors kept apart.

    Args:
        nodes: in topological order.
        inputs: with types and shapes.
        outputs: with types and shapes.
        tensors: name -> value.
    """

    nodes: Sequence[onnx.NodeProto]
    inputs: Sequence[onnx.ValueInfoProto]
    outputs: Sequence[onnx.ValueInfoProto]
    tensors: Mapping[str, NDArray[Any]]


def write(
    path: Path, graph: Graph, model: Model, producer: tuple[str, str], opset: int = OPSET
) -> None:
    """Write an ONNX file that describes and checks itself.

    Args:
        path: of the file.
        graph: what it computes.
        model: the description that goes into its metadata, beside the hash of the graph.
        producer: name and version.
        opset: operator set of the file; `graph` is written for 17.

    Raises:
        ValueError: the model is larger than a protobuf may be.
    """
    graph = graph if opset < _AXES_AS_INPUT else _with_axes_as_inputs(graph)
    bare = onnx.helper.make_graph(
        list(graph.nodes), "fastfcn", list(graph.inputs), list(graph.outputs)
    ).SerializeToString()
    headers = {name: _tensor_header(name, array) for name, array in graph.tensors.items()}
    total = len(bare)
    for name, array in graph.tensors.items():
        length = len(headers[name]) + array.nbytes
        total += len(_GRAPH_INITIALIZER + _varint(length)) + length
    if total > LIMIT:
        raise ValueError(f"the graph has {total} bytes; an ONNX file holds at most {LIMIT}")
    digest = hashlib.sha256()
    with path.open("wb") as file:
        file.write(_MODEL_GRAPH + _varint(total))
        for chunk in _chunks(bare, headers, graph.tensors):
            digest.update(chunk)
            file.write(chunk)
        imported = onnx.helper.make_opsetid("", opset)
        oldest = onnx.helper.find_min_ir_version_for([imported])
        rest = onnx.ModelProto(ir_version=oldest)  # for old runtimes
        rest.producer_name, rest.producer_version = producer
        rest.opset_import.append(imported)
        onnx.helper.set_model_props(rest, embed(model, digest.hexdigest()))
        file.write(rest.SerializeToString())


def _with_axes_as_inputs(graph: Graph) -> Graph:
    nodes, tensors = [], dict(graph.tensors)
    for written in graph.nodes:
        node = onnx.NodeProto()
        node.CopyFrom(written)
        axes = [a for a in node.attribute if a.name == "axes" and node.op_type in _REDUCTIONS]
        for attribute in axes:
            name = f"{node.output[0]}.axes"
            tensors[name] = np.array(attribute.ints, np.int64)
            node.input.append(name)
            node.attribute.remove(attribute)
        nodes.append(node)
    return Graph(nodes, graph.inputs, graph.outputs, tensors)


def _chunks(
    bare: bytes, headers: Mapping[str, bytes], tensors: Mapping[str, NDArray[Any]]
) -> Iterator[bytes | memoryview]:
    yield bare
    for name, array in tensors.items():
        yield _GRAPH_INITIALIZER + _varint(len(headers[name]) + array.nbytes)
        yield headers[name]
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        yield np.ascontiguousarray(little).reshape(-1).view(np.uint8).data


def _tensor_header(name: str, array: NDArray[Any]) -> bytes:
    """Everything of a TensorProto but the bytes of its data."""
    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    proto = onnx.TensorProto(name=name, data_type=kind, dims=array.shape)
    header: bytes = proto.SerializeToString()
    return header + _TENSOR_RAW_DATA + _varint(array.nbytes)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
