"""The parts of a graph that are quantised or left in float32 together, and what each of them costs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

Shapes = Mapping[str, tuple[int, ...]]

_PRODUCTS = ("Conv", "MatMul", "Gemm")
_OURS = "fastfcn-export"  # a producer that names nodes by the parts of the network: head.encoding.share
_CHUNK = 6  # layers of a graph whose names say nothing


@dataclass(frozen=True)
class Part:
    """Nodes of a graph.

    Args:
        name: for people.
        nodes: their names.
        multiply_adds: for one input, those of convolutions and matrix products.
    """

    name: str
    nodes: tuple[str, ...]
    multiply_adds: int


def named(model: ModelProto) -> ModelProto:
    """Give a name to every node of a graph that has none, by its first output; changes `model`."""
    taken = {node.name for node in model.graph.node}
    if len(taken) < len(model.graph.node) or "" in taken:
        for node in model.graph.node:
            node.name = node.output[0]
    return model


def parts(model: ModelProto, shapes: Shapes) -> tuple[Part, ...]:
    """Divide a graph into parts that multiply, in its order; what belongs to none of them is left out.

    A graph of ours has the parts of its network, such as ``backbone.stage1`` or ``head.encoding``. Any other
    is cut into runs of a few layers.

    Args:
        model: its nodes have names.
        shapes: name of a tensor -> its shape, of those that `measured` lists.
    """
    nodes = list(model.graph.node)
    keys = _words(nodes) if model.producer_name == _OURS else _runs(nodes)
    found: dict[str, list[NodeProto]] = {}
    for key, node in zip(keys, nodes, strict=True):
        found.setdefault(key, []).append(node)
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    known = {**shapes, **weights}
    made = (
        Part(key, tuple(n.name for n in some), sum(_multiply_adds(n, known) for n in some))
        for key, some in found.items()
    )
    return tuple(part for part in made if part.multiply_adds)


def _words(nodes: Sequence[NodeProto]) -> list[str]:
    return [".".join(node.name.split(".")[:2]) for node in nodes]


def _runs(nodes: Sequence[NodeProto]) -> list[str]:
    """Name runs of nodes by the layers in them: every `_CHUNK` products begin another one."""
    before, runs = 0, []
    for node in nodes:
        before += node.op_type in _PRODUCTS
        runs.append(max(0, before - 1) // _CHUNK)
    last = [max(before, 1)] * len(nodes)
    return [
        f"layers {run * _CHUNK + 1} to {min((run + 1) * _CHUNK, most)} of {most}"
        for run, most in zip(runs, last, strict=True)
    ]


def measured(graph: GraphProto) -> tuple[str, ...]:
    """Name the tensors whose shapes tell what a graph costs."""
    weights = {tensor.name for tensor in graph.initializer}
    needed = [
        name
        for node in graph.node
        if node.op_type in _PRODUCTS
        for name in (node.output[0], *node.input[:2])
        if name not in weights
    ]
    return tuple(dict.fromkeys(needed))


def _multiply_adds(node: NodeProto, shapes: Shapes) -> int:
    if node.op_type == "Conv":
        return prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])
    if node.op_type in _PRODUCTS:
        return prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    return 0


def with_shapes(model: ModelProto, names: Sequence[str]) -> ModelProto:
    """Return a copy of a graph whose outputs are the shapes of some of its tensors, in this order."""
    copy = ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    for index, name in enumerate(names):
        shape = f"shape {index} of {name}"
        copy.graph.node.append(helper.make_node("Shape", [name], [shape], name=shape))
        copy.graph.output.append(helper.make_tensor_value_info(shape, TensorProto.INT64, [None]))
    return copy


def in_float32(quantised: ModelProto, original: ModelProto, nodes: Iterable[str]) -> ModelProto:
    """Return a copy of a quantised graph in which some nodes take their inputs as they were before.

    It is for comparisons: biases stay as they were corrected, and what is no longer needed stays in the file.
    """
    copy = ModelProto()
    copy.CopyFrom(quantised)
    chosen = set(nodes)
    before = {node.name: node for node in original.graph.node}
    here = {tensor.name for tensor in copy.graph.initializer}
    weights = {tensor.name: tensor for tensor in original.graph.initializer}
    for node in copy.graph.node:
        if node.name in chosen:
            node.input[:] = before[node.name].input
            for name in set(node.input) & weights.keys() - here:
                copy.graph.initializer.append(weights[name])
                here.add(name)
    return copy
