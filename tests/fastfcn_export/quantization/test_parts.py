"""A graph is divided into parts whose costs add up to the network's."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from exports import recognised, write_onnx
from fastfcn_export.quantization.parts import in_float32, named
from fastfcn_export.quantization.with_nncf import parts_of, quantised
from fastfcn_export.target.targets import cost
from quantised import needs_nncf

pytest.importorskip("onnxruntime")

SIZE = (64, 96)


@pytest.mark.parametrize("case", ["wuhuikai_encnet", "wuhuikai_fcn", "wuhuikai_laterals"])
def test_the_parts_cost_what_the_network_does(case: str, tmp_path: Path) -> None:
    network = recognised(case)
    graph = named(onnx.load(write_onnx(network, tmp_path)))
    batch = np.zeros((1, 3, *SIZE), np.float32)

    parts = parts_of(graph, batch)

    expected = sum(layer.multiply_adds for layer in cost.layers(network.architecture, SIZE))
    found = sum(part.multiply_adds for part in parts)
    # The graph is fused: biases and scales cost nothing, and of the encoding only products are counted.
    assert found == pytest.approx(expected, rel=0.02)
    assert {"backbone.stem", "backbone.stage1"} <= {part.name for part in parts}


def test_a_graph_of_another_producer_is_cut_into_runs_of_layers(tmp_path: Path) -> None:
    graph = onnx.load(write_onnx(recognised("wuhuikai_fcn"), tmp_path))
    graph.producer_name = "another"
    for node in graph.graph.node:
        node.name = ""

    parts = parts_of(named(graph), np.zeros((1, 3, *SIZE), np.float32))

    layers = sum(node.op_type == "Conv" for node in graph.graph.node)
    assert parts[0].name == f"layers 1 to 6 of {layers}"
    assert parts[-1].name.endswith(f" to {layers} of {layers}")


@needs_nncf
def test_with_every_part_in_float32_a_quantised_graph_computes_what_it_was_made_of(
    tmp_path: Path,
) -> None:
    import onnxruntime

    graph = named(onnx.load(write_onnx(recognised("wuhuikai_encnet"), tmp_path)))
    batch = np.random.default_rng(5).normal(size=(1, 3, *SIZE)).astype(np.float32)
    made = quantised(graph, [batch], count=1, float32=(), reduce_range=False)
    back = in_float32(made, graph, [node.name for node in graph.graph.node])
    biases = {tensor.name: tensor for tensor in graph.graph.initializer}
    for tensor in back.graph.initializer:  # which were corrected
        tensor.CopyFrom(biases.get(tensor.name, tensor))

    def run(model: onnx.ModelProto) -> np.ndarray:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        return np.asarray(session.run(None, {"image": batch})[0])

    np.testing.assert_allclose(run(back), run(graph), rtol=1e-4, atol=1e-5)
    assert np.abs(run(made) - run(graph)).max() > 1e-3
