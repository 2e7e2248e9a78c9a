"""Input and output of the ONNX graph, as `manifest.Input` and `manifest.Output` describe them."""

from typing import Any

import numpy as np
import onnx

from fastfcn_export.target.onnx_emit.nodes import Map, Nodes
from fastfcn_infer.artifact.manifest import Input, Model

Dtype = np.dtype[Any]


def io_dtype(nodes: Nodes) -> Dtype:
    """Return the precision that users see: float32 where the arithmetic is float16."""
    return np.dtype(np.float32) if nodes.dtype == np.float16 else nodes.dtype


def input_info(nodes: Nodes, given: Input) -> onnx.ValueInfoProto:
    """Declare the graph's input."""
    n, height, width = _dims(nodes)
    if given.name == "pixels":
        shape = [n, height, width, 3]
        return onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.UINT8, shape)
    return onnx.helper.make_tensor_value_info(
        "image", _kind(io_dtype(nodes)), [n, given.channels, height, width]
    )


def begin(nodes: Nodes, given: Input) -> Map:
    """Return the normalised picture, (N, channels, H, W)."""
    if given.name == "image":
        return Map(_inside(nodes, "image"), given.channels, 1)
    dtype = io_dtype(nodes)
    pixels = nodes.cast("pixels", dtype)
    planes = nodes.add("Transpose", pixels, to="planes", perm=[0, 3, 1, 2])
    std, mean = (np.array(value)[:, None, None] for value in (given.std, given.mean))
    scale = nodes.tensor("normalise.scale", 1 / (255 * std), dtype)
    shift = nodes.tensor("normalise.shift", -mean / std, dtype)
    scaled = nodes.add("Mul", planes, scale, to="scaled")
    return Map(_inside(nodes, nodes.add("Add", scaled, shift, to="normalised")), 3, 1)


def end(nodes: Nodes, logits: Map, image: Map, model: Model) -> onnx.ValueInfoProto:
    """Append the nodes that turn logits into the output that `model` describes, and declare it."""
    _finish(nodes, logits, image, model)
    return output_info(nodes, model)


def output_info(nodes: Nodes, model: Model) -> onnx.ValueInfoProto:
    """Declare the graph's output."""
    n, height, width = _dims(nodes)
    classes, name, stride = len(model.classes), model.output.name, model.output.stride
    if name == "labels":
        return onnx.helper.make_tensor_value_info(
            name, _kind(_label_dtype(classes)), [n, height, width]
        )
    low = [
        size
        if stride == 1
        else f"{size}_{stride}"
        if isinstance(size, str)
        else -(-size // stride)
        for size in (height, width)
    ]
    return onnx.helper.make_tensor_value_info(name, _kind(io_dtype(nodes)), [n, classes, *low])


def _finish(nodes: Nodes, logits: Map, image: Map, model: Model) -> None:
    dtype = io_dtype(nodes)
    value = logits.name if dtype == nodes.dtype else nodes.cast(logits.name, dtype)
    if model.output.name == "logits":
        nodes.rename_last(value, "logits")
        return
    low_map = Map(value, logits.channels, logits.stride)
    full = resize(nodes, low_map, image, align_corners=model.align_corners)
    if model.output.name == "probabilities":
        nodes.add("Softmax", full.name, to="probabilities", axis=1)
        return
    dtype = _label_dtype(logits.channels)
    if nodes.dtype == np.float16:
        shape = nodes.pixels_of(image)
        nodes.add("Reshape", nodes.cast(_pooled_best(nodes, full), dtype), shape, to="labels")
        return
    best = nodes.add("ArgMax", full.name, to="best", axis=1, keepdims=0)
    nodes.rename_last(nodes.cast(best, dtype), "labels")


def _pooled_best(nodes: Nodes, full: Map) -> str:
    """Return the best class of every pixel, int64 (N, 1, 1, H * W), by a pooling over the classes.

    On a GPU cuDNN's arg max takes more than twice as long. Half precision is for GPUs; on processors an
    arg max is faster. Both take the lowest class of a tie.
    """
    rows = nodes.integers(0, 1, full.channels, -1)
    flat = nodes.add("Reshape", full.name, rows, to="classes.rows")  # (N, 1, C, H * W)
    place = nodes.add_second("MaxPool", flat, to="place", kernel_shape=[full.channels, 1])
    # A place is (picture * classes + class) * pixels + pixel. The pixels are counted on the GPU: a number
    # that comes from the processor has to be copied, and CUDA graphs have no place for that.
    length = nodes.add("Shape", flat, to="pixels.shape", start=3, end=4)
    ones = nodes.add(
        "ConstantOfShape",
        length,
        to="pixels.ones",
        value=onnx.numpy_helper.from_array(np.array([1], np.int64)),
    )
    count = nodes.add("ReduceSum", ones, to="pixels.count", keepdims=1)
    row = nodes.add("Div", place, count, to="row")
    return nodes.add("Mod", row, nodes.integers(full.channels), to="best")


def resize(nodes: Nodes, x: Map, like: Map, *, align_corners: bool) -> Map:
    """Resize bilinearly to the height and width of `like`."""
    name = nodes.add(
        "Resize",
        x.name,
        "",
        "",
        nodes.sizes(x, like),
        to=f"{x.name}.resized",
        mode="linear",
        coordinate_transformation_mode="align_corners" if align_corners else "half_pixel",
    )
    return Map(name, x.channels, like.stride)


def _inside(nodes: Nodes, value: str) -> str:
    return value if io_dtype(nodes) == nodes.dtype else nodes.cast(value, nodes.dtype)


def _dims(nodes: Nodes) -> list[str | int]:
    free = ("N", "H", "W")
    return [name if size is None else size for name, size in zip(free, nodes.shape, strict=True)]


def _label_dtype(classes: int) -> Dtype:
    return np.dtype(np.uint8 if classes <= 256 else np.uint16)


def _kind(dtype: Dtype) -> int:
    return int(onnx.helper.np_dtype_to_tensor_dtype(dtype))
