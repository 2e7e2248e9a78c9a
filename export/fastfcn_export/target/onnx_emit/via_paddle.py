"""Write the ONNX file by converting the Paddle program with paddle2onnx.

Its input and output get our names, and it is described and hashed like our own graph.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from fastfcn_export.network.architecture import Architecture
from fastfcn_export.network.primitives import Weights
from fastfcn_export.target.onnx_emit import graph_io, paddle2onnx_process, serialize
from fastfcn_export.target.onnx_emit.nodes import Nodes
from fastfcn_export.target.target import Options
from fastfcn_export.target.targets import paddle_static
from fastfcn_infer.artifact.artifact import FORMATS
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.errors import BackendError
from fastfcn_infer.system.version import __version__

FORMAT = "onnx"

_PRODUCER = "fastfcn-export --via paddle2onnx"


def ready(options: Options) -> dict[str, str]:
    """See `target.Writer.ready`."""
    if options.precision != "fp32":
        raise ValueError("paddle2onnx converts in fp32 only; for fp16 leave --via paddle2onnx out")
    converter = {"paddle2onnx": paddle2onnx_process.version()}
    return {**paddle_static.ready(options), **converter, "onnx": onnx.__version__}


def write(
    architecture: Architecture, weights: Weights, model: Model, folder: Path, options: Options
) -> None:
    """Write ``model.onnx`` into `folder`, as `targets/onnx_graph.py` does.

    Raises:
        BackendMissing: Paddle or paddle2onnx is not installed.
        BackendError: paddle2onnx refuses the program.
        ValueError: half precision.
    """
    with TemporaryDirectory(dir=folder) as place:
        paddle_static.write(architecture, weights, model, Path(place), options)
        program = Path(place) / FORMATS[paddle_static.FORMAT]
        found = _converted(program, Path(place) / "converted.onnx")
    made = _graph(found.graph, model, options)
    serialize.write(folder / FORMATS[FORMAT], made, model, (_PRODUCER, __version__))


def _converted(program: Path, path: Path) -> onnx.ModelProto:
    """Convert a program into the file `path` and read that."""
    paddle2onnx_process.convert(program, program.with_suffix(".pdiparams"), path)
    found = onnx.load(path)
    opsets = {(entry.domain, entry.version) for entry in found.opset_import}
    if opsets != {("", serialize.OPSET)}:
        raise BackendError(
            f"paddle2onnx wrote the operator sets {sorted(opsets)}; {serialize.OPSET} was asked "
            "for. Leave --via out to write the ONNX file directly."
        )
    return found


def _graph(found: onnx.GraphProto, model: Model, options: Options) -> serialize.Graph:
    """Give input and output of a converted graph our names, and remove nodes that compute nothing."""
    named = Nodes(np.dtype(np.float32), options.shape)
    given = graph_io.input_info(named, model.input)
    output = graph_io.output_info(named, model)
    names = {found.input[0].name: given.name}
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in found.initializer}
    nodes = []
    for node in found.node:
        inputs = [names.get(name, name) for name in node.input]
        if node.op_type == "Identity":
            names[node.output[0]] = inputs[0]
        elif node.op_type == "Constant":
            tensors[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
        else:
            node.input[:] = inputs
            nodes.append(node)
    last = names.get(found.output[0].name, found.output[0].name)
    _finish(nodes, last, found.output[0], output)
    return serialize.Graph(nodes, [given], [output], _used(nodes, tensors))


def _finish(
    nodes: list[onnx.NodeProto],
    last: str,
    converted: onnx.ValueInfoProto,
    output: onnx.ValueInfoProto,
) -> None:
    """Give the value `last` the name, and where it differs the type, that the model declares."""
    kind = output.type.tensor_type.elem_type
    if converted.type.tensor_type.elem_type != kind:
        nodes.append(onnx.helper.make_node("Cast", [last], [output.name], to=kind))
        return
    for node in nodes:
        node.input[:] = [output.name if name == last else name for name in node.input]
        node.output[:] = [output.name if name == last else name for name in node.output]


def _used(
    nodes: list[onnx.NodeProto], tensors: dict[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    used = {name for node in nodes for name in node.input}
    return {name: array for name, array in tensors.items() if name in used}
