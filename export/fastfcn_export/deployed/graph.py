"""Turn paddle2onnx's conversion of a deployed program into the graph of an artifact.

The end that discards the scores is cut off: arg max and softmax, and the casts around them. So the
artifact's graph ends in logits, and labels are computed at the picture's size in one exact step.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from fastfcn_export.deployed.constant_shapes import fold_constant_shapes
from fastfcn_export.dialect.one_logit import shift
from fastfcn_infer.artifact import onnx_metadata
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import listing, printable

End = Literal["none", "softmax", "argmax", "sigmoid"]
Shape = tuple[int | None, int | None, int | None]

_CHANNELS = 3
_CLASSES = 1  # the axis of the classes in (N, C, H, W)
_AROUND = ("Cast", "Identity", "Squeeze")  # change no value that matters around an arg max
_COMPARISONS = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "Not")
_NEUTRAL = {"Mul": 1.0, "Add": 0.0}  # Paddle 2 ends its programs in a scale by 1 and a bias of 0


@dataclass(frozen=True)
class DeployedGraph:
    """Facts about a converted graph.

    Args:
        end: the operator that the program ends in; the graph ends before it.
        shape: N, H and W of the input; None if free.
        parameters: numbers in the weights, the statistics of batch norms included.
        more_outputs: how many of the program's outputs were left out.
    """

    end: End
    shape: Shape
    parameters: int
    more_outputs: int


def tidy(raw: Path, file: Path) -> DeployedGraph:
    """Write a converted program as a graph from ``image`` to ``logits``.

    Args:
        raw: as the converter wrote it.
        file: to write, without a description; see `describe`.

    Raises:
        CheckpointError: it is no graph from one picture (N, 3, H, W) to one score per class.
    """
    model = onnx.load(str(raw))
    graph = model.graph
    given = _only_input(model)
    more = len(graph.output) - 1
    end = _cut(model)
    _lift_constants(model)
    _prune(model)
    _rename(model, given.name, "image")
    shape = _free_shape(graph.input[0])
    fold_constant_shapes(model)
    _prune(model)
    onnx.checker.check_model(model, full_check=False)
    file.write_bytes(model.SerializeToString(deterministic=True))
    parameters = sum(
        int(np.prod(tensor.dims)) for tensor in graph.initializer if _is_float(tensor)
    )
    return DeployedGraph(end, shape, parameters, more)


def describe(file: Path, model: Model) -> None:
    """Put the description of a model into an ONNX file that has none.

    Args:
        file: as `tidy` wrote it.
        model: the description.
    """
    facts = onnx_metadata.read_onnx(file)
    if facts.graph_sha256 is None or facts.metadata:
        raise ValueError(f"{file} is described already")
    entries = ModelProto()
    helper.set_model_props(entries, onnx_metadata.embed(model, facts.graph_sha256))
    # Two protobuf messages in a row are one: the bytes that were hashed stay where they are.
    with file.open("ab") as out:
        out.write(entries.SerializeToString(deterministic=True))


def _only_input(model: ModelProto) -> ValueInfoProto:
    weights = {tensor.name for tensor in model.graph.initializer}
    fed = [value for value in model.graph.input if value.name not in weights]
    if len(fed) != 1:
        names = listing([printable(value.name) for value in fed], most=5) or "none"
        raise CheckpointError(
            f"The program has {len(fed)} inputs ({names}); one, a picture, was expected."
        )
    (given,) = fed
    kind, dims = given.type.tensor_type.elem_type, given.type.tensor_type.shape.dim
    if kind != TensorProto.FLOAT or len(dims) != 4 or _fixed(dims[1]) not in (None, _CHANNELS):
        shape = listing([str(_fixed(dim) or "?") for dim in dims], most=8)
        raise CheckpointError(
            f"The program's input is {TensorProto.DataType.Name(kind)} ({shape}); float32 pictures "
            "(N, 3, H, W) were expected."
        )
    return given


def _cut(model: ModelProto) -> End:
    """Cut the graph off after its scores; returns the operator that came after them."""
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    first = graph.output[0]
    name, kinds = first.name, set[End]()
    while name in makers and (kind := _kind(makers[name], makers)) is not None:
        kinds.add(kind)
        name = makers[name].input[0]
    ends: tuple[End, ...] = ("argmax", "softmax", "sigmoid")
    found = [kind for kind in ends if kind in kinds]
    end: End = found[0] if found else "none"
    if end == "none":
        name = first.name  # a cast alone is no end: it may be the way out of half precision
        _refuse_comparison(name, makers)
        if first.type.tensor_type.elem_type != TensorProto.FLOAT:
            raise CheckpointError(
                f"The program's output is {TensorProto.DataType.Name(first.type.tensor_type.elem_type)}"
                f" from {printable(makers[name].op_type) if name in makers else 'nothing'}, not from an arg max over "
                "the classes, so it has no scores. Export it again with --output_op none."
            )
    _end_in(model, name)
    return end


def _refuse_comparison(name: str, makers: Mapping[str, NodeProto]) -> None:
    """Refuse a program that ends in masks: each class by a threshold of its own, not an arg max."""
    while name in makers and makers[name].op_type in _AROUND:
        name = makers[name].input[0]
    if name in makers and makers[name].op_type in _COMPARISONS:
        raise CheckpointError(
            f"The program ends in a comparison ({makers[name].op_type}), not in scores of the classes. Export it "
            "again without the threshold; fastfcn-export --threshold applies it to a program with one logit."
        )


def add_background(file: Path, threshold: float) -> None:
    """Turn the one logit z of a graph into two: 0, and ``z - log(threshold / (1 - threshold))``.

    Args:
        file: as `tidy` wrote it; its ``logits`` are (N, 1, h, w).
        threshold: of the sigmoid of z.
    """
    model = onnx.load(str(file))
    _make_way(model, ("logits",))
    weight = np.array([0, 1], np.float32).reshape(2, 1, 1, 1)
    bias = np.array([0, -shift(threshold)], np.float32)
    inputs = ["logits.taken"]
    for part, value in (("weight", weight), ("bias", bias)):
        inputs.append(f"fastfcn.threshold.{part}")
        model.graph.initializer.append(numpy_helper.from_array(value, inputs[-1]))
    model.graph.node.append(helper.make_node("Conv", inputs, ["logits"], kernel_shape=[1, 1]))
    del model.graph.output[:]
    model.graph.output.append(_logits_info())
    onnx.checker.check_model(model, full_check=False)
    file.write_bytes(model.SerializeToString(deterministic=True))


def _kind(node: NodeProto, makers: dict[str, NodeProto]) -> End | None:
    """Classify a node at the end of the graph; None: it computes the scores (N, C, H, W)."""
    axis = {a.name: helper.get_attribute_value(a) for a in node.attribute}.get("axis")
    if node.op_type == "ArgMax" and axis == _CLASSES:
        return "argmax"
    if node.op_type == "Softmax" and axis == _CLASSES:
        return "softmax"
    if node.op_type == "Sigmoid":
        return "sigmoid"
    if node.op_type in _AROUND or _is_neutral(node, makers):
        before = makers.get(node.input[0])
        return None if before is None or _kind(before, makers) is None else "none"
    return None


def _is_neutral(node: NodeProto, makers: dict[str, NodeProto]) -> bool:
    if node.op_type not in _NEUTRAL:
        return False
    other = makers.get(node.input[1])
    while other is not None and other.op_type == "Identity":
        other = makers.get(other.input[0])
    value = None if other is None else _tensor(other)
    return value is not None and bool(
        np.all(numpy_helper.to_array(value) == _NEUTRAL[node.op_type])
    )


def _end_in(model: ModelProto, name: str) -> None:
    graph = model.graph
    # The name "logits" may be taken; an identity costs nothing, runtimes remove it.
    _make_way(model, ("logits",))
    name = "logits.taken" if name == "logits" else name
    graph.node.append(helper.make_node("Identity", [name], ["logits"]))
    del graph.output[:]
    graph.output.append(_logits_info())


def _logits_info() -> ValueInfoProto:
    return helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", None, "h", "w"])


def _lift_constants(model: ModelProto) -> None:
    """Turn constant nodes, as which paddle2onnx writes all weights, into initialisers."""
    graph = model.graph
    kept = []
    for node in graph.node:
        value = _tensor(node)
        if value is None:
            kept.append(node)
            continue
        value.name = node.output[0]
        graph.initializer.append(value)
    del graph.node[:]
    graph.node.extend(kept)


def _tensor(node: NodeProto) -> TensorProto | None:
    if node.op_type != "Constant" or len(node.attribute) != 1:
        return None
    if node.attribute[0].name != "value":
        return None
    tensor = TensorProto()
    tensor.CopyFrom(node.attribute[0].t)
    return tensor


def _prune(model: ModelProto) -> None:
    """Remove nodes and tensors that the output does not depend on, and recorded shapes."""
    graph = model.graph
    needed, kept = {value.name for value in graph.output}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed.update(_used(node))
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(tensors)


def _used(node: NodeProto) -> Iterator[str]:
    yield from node.input
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            for below in inner.node:
                yield from _used(below)


def _rename(model: ModelProto, old: str, new: str) -> None:
    if old == new:
        return
    _make_way(model, (new,))
    _replace(model.graph, old, new)


def _make_way(model: ModelProto, names: tuple[str, ...]) -> None:
    for name in names:
        _replace(model.graph, name, f"{name}.taken")


def _replace(graph: Any, old: str, new: str) -> None:
    """Rename a value everywhere, in graphs inside of nodes as well."""
    for values in (graph.input, graph.output, graph.initializer):
        for value in values:
            if value.name == old:
                value.name = new
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _replace(attribute.g, old, new)


def _free_shape(given: ValueInfoProto) -> Shape:
    """Read which sides are fixed, and name the free ones."""
    dims = given.type.tensor_type.shape.dim
    found = [_fixed(dims[axis]) for axis in (0, 2, 3)]
    for name, axis, size in zip("NHW", (0, 2, 3), found, strict=True):
        if size is None:
            dims[axis].dim_param = name
    dims[1].dim_value = _CHANNELS
    return found[0], found[1], found[2]


def _fixed(dim: Any) -> int | None:
    return int(dim.dim_value) if dim.HasField("dim_value") and dim.dim_value > 0 else None


def _is_float(tensor: TensorProto) -> bool:
    return bool(numpy_helper.to_array(tensor).dtype.kind == "f") if tensor.dims else False
