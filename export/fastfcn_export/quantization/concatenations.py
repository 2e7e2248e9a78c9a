"""Keep maps of bytes that are joined maps of bytes, so that ONNX Runtime computes with them as such.

NNCF quantises what goes into a concatenation and not what comes out of it. OpenVINO does not mind; ONNX
Runtime joins such maps in float32, and computes every convolution that reads them in float32, too: in a
network with JPU these are the four dilated ones and the first of the head.
"""

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

_BYTES = {TensorProto.UINT8: (0, 255), TensorProto.INT8: (-128, 127)}
_LEVELS = 255


def requantise_concatenations(model: ModelProto) -> None:
    """Quantise the outputs of concatenations of quantised maps, as finely as the range of all inputs allows.

    Where all inputs have the same scale the values stay what they were, to the bit.

    Args:
        model: with pairs of QuantizeLinear and DequantizeLinear; changed in place.
    """
    graph = model.graph
    constants = {each.name: each for each in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    nodes: list[NodeProto] = []
    renamed: dict[str, str] = {}
    for node in graph.node:
        # The output keeps its name, under which the layers can still be given the map as it was joined.
        node.input[:] = [renamed.get(name, name) for name in node.input]
        nodes.append(node)
        scales = None
        if node.op_type == "Concat":
            scales = _joined([makers.get(name) for name in node.input], constants)
        if scales is None:
            continue
        output, (scale, zero) = node.output[0], scales
        scale.name, zero.name = f"{output}.scale", f"{output}.zero"
        graph.initializer.extend((scale, zero))
        bytes_of, renamed[output] = f"{output}.bytes", f"{output}.dequantised"
        for kind, source, target in (
            ("QuantizeLinear", output, bytes_of),
            ("DequantizeLinear", bytes_of, renamed[output]),
        ):
            inputs = [source, scale.name, zero.name]
            nodes.append(helper.make_node(kind, inputs, [target], f"{output}.{kind}"))
        # What is joined may be joined again.
        makers[renamed[output]] = nodes[-1]
        constants |= {scale.name: scale, zero.name: zero}
    del graph.node[:]
    graph.node.extend(nodes)


def _joined(
    makers: Sequence[NodeProto | None], constants: dict[str, TensorProto]
) -> tuple[TensorProto, TensorProto] | None:
    """Return the scale and the zero point for all inputs; None if one is not quantised by a single scale."""
    found: list[tuple[TensorProto, TensorProto]] = []
    for maker in makers:
        if maker is None or maker.op_type != "DequantizeLinear" or len(maker.input) < 3:
            return None
        scale, zero = (constants.get(name) for name in maker.input[1:3])
        if scale is None or zero is None or zero.data_type not in _BYTES:
            return None
        if any(side != 1 for side in (*scale.dims, *zero.dims)):
            return None
        found.append((scale, zero))
    values = {(_value(scale), _value(zero), zero.data_type) for scale, zero in found}
    if len(values) == 1:
        ((value, point, kind),) = values
        return _constants(value, int(point), kind)
    ranges = [
        ((low - point) * scale, (high - point) * scale)
        for scale, point, kind in values
        for low, high in [_BYTES[kind]]
    ]
    least = min(0.0, *(low for low, _ in ranges))
    scale = (max(high for _, high in ranges) - least) / _LEVELS
    return _constants(scale, round(-least / scale), TensorProto.UINT8)


def _value(constant: TensorProto) -> float:
    return float(numpy_helper.to_array(constant).reshape(()))


def _constants(scale: float, zero: int, kind: int) -> tuple[TensorProto, TensorProto]:
    bytes_of = helper.tensor_dtype_to_np_dtype(kind)
    return (
        numpy_helper.from_array(np.array(scale, np.float32)),
        numpy_helper.from_array(np.array(zero, bytes_of)),
    )
