"""Exporting in tests: checkpoints on disk, small networks recognised, graphs as onnx wants them."""

import importlib.util
import pickle
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from fastfcn_export.description import model_of
from fastfcn_export.dialect.dialect import Recognised, recognise, to_dialect
from fastfcn_export.network.primitives import Weights
from fastfcn_export.request import Request
from fastfcn_export.target.onnx_emit.serialize import Graph
from fastfcn_export.target.random_weights import random_weights
from fastfcn_export.target.target import Options
from fastfcn_export.target.targets import onnx_graph
from fastfcn_infer.artifact.class_table import numbered_classes
from fastfcn_infer.artifact.manifest import Model
from networks import CASES

Array = NDArray[Any]
PADDLE = ("ncpaddle", "paddleseg")


def tensors_of(case: str) -> dict[str, Array]:
    """Return the checkpoint of a small network, by the names of its dialect."""
    dialect, architecture, _ = CASES[case]
    return to_dialect(dialect, architecture, random_weights(architecture))


@cache
def recognised(case: str) -> Recognised:
    """Recognise the checkpoint of a small network."""
    return recognise(tensors_of(case), output_stride=CASES[case][2])


def described(
    network: Recognised,
    *,
    output: Literal["logits", "probabilities", "labels"] = "logits",
    with_preprocess: bool = False,
    options: Options | None = None,
) -> Model:
    """Describe a network with numbered classes."""
    request = Request(
        output=output,
        with_preprocess=with_preprocess,
        options=options or Options(),
        accept_own_size=True,
    )
    classes = numbered_classes(network.architecture.classes)
    return model_of(network, "test", classes, request)


def write_onnx(
    network: Recognised,
    folder: Path,
    *,
    output: Literal["logits", "probabilities", "labels"] = "logits",
    with_preprocess: bool = False,
    options: Options | None = None,
) -> Path:
    """Write the graph of a network and return its path."""
    options = options or Options()
    model = described(network, output=output, with_preprocess=with_preprocess, options=options)
    onnx_graph.write(network.architecture, network.weights, model, folder, options)
    return folder / "model.onnx"


def widened(weights: Weights) -> dict[str, Array]:
    """Return the weights in float64."""
    return {name: array.astype(np.float64) for name, array in weights.items()}


def proto_of(graph: Graph) -> onnx.ModelProto:
    """Put a graph together by onnx's own means."""
    tensors = [onnx.numpy_helper.from_array(a, name) for name, a in graph.tensors.items()]
    made = onnx.helper.make_graph(
        list(graph.nodes), "test", list(graph.inputs), list(graph.outputs), tensors
    )
    opset = onnx.helper.make_opsetid("", 17)
    return onnx.helper.make_model(made, opset_imports=[opset], ir_version=8)


def save_checkpoint(folder: Path, dialect: str, tensors: Mapping[str, Array]) -> Path:
    """Save tensors the way that a dialect's training code does."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    if dialect in PADDLE:
        path = folder / "model.pdparams"
        names = {name: f"param_{i}" for i, name in enumerate(contiguous)}
        state = {**contiguous, "StructuredToParameterName@@": names}
        with path.open("wb") as file:
            pickle.dump(state, file, protocol=4)
        return path
    if importlib.util.find_spec("torch"):
        import torch

        path = folder / "model_best.pth.tar"
        values = {name: torch.from_numpy(array) for name, array in contiguous.items()}
        torch.save({"epoch": 3, "state_dict": values, "best_pred": 0.4}, path)
        return path
    from safetensors.numpy import save_file

    path = folder / "model.safetensors"
    save_file(contiguous, path)
    return path


def difference(found: Array, expected: Array) -> float:
    """Return the worst difference as a fraction of the largest expected value."""
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())
