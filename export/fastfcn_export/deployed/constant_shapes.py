"""Fold arithmetic on shapes that is the same for every picture into constants when exporting.

To repeat or reshape by the size of some weights, paddle2onnx writes two dozen nodes, float64 among
them. ONNX Runtime runs them; OpenVINO 2026.4 loses track of the number of axes and rejects the graph
("Cannot get length of dynamic dimension"), or finds the number of axes only when it runs.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

Array = NDArray[Any]

# None of these outputs more numbers than its inputs hold, except by broadcasting.
_ARITHMETIC = {
    *("Cast", "Concat", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze"),
    *("Add", "Max", "Min", "Mul", "Sub"),
}
_LARGEST = 64  # numbers; a shape has fewer, and weights stay what they are
_FAULTS = (ValueError, IndexError, TypeError, KeyError, RuntimeError)  # of onnx's evaluator


def fold_constant_shapes(model: ModelProto) -> None:
    """Fold nodes whose output is small and the same for every picture into constants.

    The graph's output does not change by a bit: shapes are whole numbers, and other small values are
    moved, or rounded once, as a runtime rounds them.

    Args:
        model: constants are initialisers, sides of the input that are free have a name, and
            no shapes in between are recorded. Constants that are no longer needed stay.
    """
    while _fold(model):  # a new constant may make another shape known
        pass


def _fold(model: ModelProto) -> bool:
    graph = model.graph
    shapes = _known_shapes(model)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    small = [tensor for tensor in graph.initializer if np.prod(tensor.dims) <= _LARGEST]
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in small}
    kept = []
    for node in graph.node:
        value = _value(node, constants, shapes, opsets)
        if value is None:
            kept.append(node)
            continue
        constants[node.output[0]] = value
        graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
    changed = len(kept) < len(graph.node)
    del graph.node[:]
    graph.node.extend(kept)
    return changed


def _known_shapes(model: ModelProto) -> dict[str, tuple[int, ...]]:
    """List the values whose shape is the same for every picture."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    # Not data_prop: values that grow with every node would be computed.
    inferred = shape_inference.infer_shapes(model).graph
    for value in (*inferred.input, *inferred.value_info):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(dim.dim_value > 0 for dim in kind.shape.dim):
            shapes[value.name] = tuple(dim.dim_value for dim in kind.shape.dim)
    return shapes


def _value(
    node: NodeProto,
    constants: Mapping[str, Array],
    shapes: Mapping[str, tuple[int, ...]],
    opsets: dict[str, int],
) -> Array | None:
    """Compute a node's output; None: it depends on the picture, or is no arithmetic on shapes."""
    if node.op_type == "Shape" and node.input[0] in shapes:
        ends = {entry.name: entry.i for entry in node.attribute}
        axes = slice(ends.get("start"), ends.get("end"))
        return np.array(shapes[node.input[0]], np.int64)[axes]
    fed = [name for name in node.input if name]  # one that is left out is named ""
    if node.op_type not in _ARITHMETIC or not all(name in constants for name in fed):
        return None
    tensors = [numpy_helper.from_array(constants[name], name) for name in set(fed)]
    output = helper.make_empty_tensor_value_info(node.output[0])
    alone = helper.make_graph([node], "alone", [], [output], tensors)
    try:
        (value,) = ReferenceEvaluator(alone, opsets).run(None, {})
    except _FAULTS:
        return None  # an invalid node; the runtime will reject it with its own message
    value = np.asarray(value)
    return value if value.size <= _LARGEST else None
