import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import fill
from exports import difference, save_checkpoint, write_onnx
from fastfcn_export import read_checkpoint
from fastfcn_export.description import network_facts
from fastfcn_export.dialect.dialect import Recognised, recognise
from fastfcn_export.target.targets import reference
from fastfcn_infer.inference.labels import labels_from_logits

onnxruntime = pytest.importorskip("onnxruntime")

LOGITS = 1e-4  # of the largest logit: the promise; the original codes agree on 1e-6 of it
LABELS = 0.999  # share of the pixels: the promise
LOSS = 1e-5  # the original's loss is a float32 out of long float32 sums

HERE = Path(__file__).parents[1] / "data" / "golden"
BESIDE = Path(__file__).parents[3] / "shared" / "golden"  # more cases lie here on some machines
UNWANTED = {"Tile", "BatchNormalization", "Pow", "Identity"}

# ResNet-50 in full: 200 MB of weights a case are drawn, saved, read, exported and run.
pytestmark = pytest.mark.slow


def cases() -> dict[str, Path]:
    """Cases of a single network by name; those of this repository first."""
    found: dict[str, Path] = {}
    for folder in (HERE, BESIDE):
        for path in sorted(folder.glob("*.json")):
            if path.with_suffix(".npz").is_file() and not path.name.startswith("proc_"):
                found.setdefault(path.stem, path)
    return found


def tensors(case: dict[str, Any]) -> dict[str, NDArray[Any]]:
    return {name: fill.tensor(name, shape, kind) for name, shape, kind in case["tensors"]}


def recognised_from_disk(case: dict[str, Any], folder: Path) -> Recognised:
    path = save_checkpoint(folder, case["dialect"], tensors(case))
    stride = case["network"]["output_stride"]
    return recognise(read_checkpoint(path), output_stride=stride)


def check_facts(network: Recognised, case: dict[str, Any]) -> None:
    said, found = case["network"], network_facts(network)
    assert network.dialect == case["dialect"]
    assert network.architecture.classes == case["classes"]
    assert (found.head, found.jpu, found.laterals) == (said["head"], said["jpu"], said["lateral"])
    assert found.backbone == said["backbone"]


def test_the_cases_cover_every_dialect_and_head() -> None:
    found = [json.loads(path.read_text()) for path in cases().values()]
    assert {case["dialect"] for case in found} == {"mmseg", "ncpaddle", "paddleseg", "wuhuikai"}
    assert {case["network"]["head"] for case in found} == {
        "encnet",
        "psp",
        "deeplab",
        "aspp",
        "fcn",
    }
    assert {case["network"]["jpu"] for case in found} == {"jpu", "jpu_x", None}
    assert len([path for path in HERE.glob("*.npz") if not path.name.startswith("proc_")]) == 15


@pytest.mark.parametrize("name", cases())
def test_an_exported_checkpoint_answers_as_the_code_that_trained_it(name: str) -> None:
    path = cases()[name]
    case, answers = json.loads(path.read_text()), np.load(path.with_suffix(".npz"))
    seen = case["input"]
    image = fill.network_input(seen["seed"], seen["height"], seen["width"])
    with TemporaryDirectory() as place:  # pytest would keep gigabytes of its own folders
        network = recognised_from_disk(case, Path(place))
        check_facts(network, case)
        graph = write_onnx(network, Path(place))
        onnx.checker.check_model(str(graph), full_check=True)
        operators = Counter(node.op_type for node in onnx.load(graph).graph.node)
        session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
        logits = session.run(None, {"image": image})[0]
        twice = session.run(None, {"image": np.concatenate([image[..., ::-1], image])})[0]
    assert difference(logits, answers["low"]) <= LOGITS
    assert difference(twice[1:], answers["low"]) <= LOGITS
    size = (seen["height"], seen["width"])
    labels = labels_from_logits(logits[0], size, align_corners=network.conventions.align_corners)
    assert (labels == answers["labels"][0]).mean() >= LABELS
    assert not UNWANTED & set(operators)


def test_an_r50_encnet_is_fewer_than_190_nodes_with_two_resizes(tmp_path: Path) -> None:
    case = json.loads((HERE / "wuhuikai_encnet_r50_jpu.json").read_text())
    # Node counts do not depend on values, and zeros cost no time.
    zeros = {name: np.broadcast_to(np.float32(0), shape) for name, shape, _ in case["tensors"]}
    path = write_onnx(recognise(zeros), tmp_path)
    operators = Counter(node.op_type for node in onnx.load(path).graph.node)
    path.unlink()
    assert operators.total() < 190
    assert operators["Resize"] == 2


def test_the_training_heads_give_the_loss_of_the_original_code() -> None:
    case = json.loads((HERE / "align_wuhuikai_encnet_r50_jpu.json").read_text())
    height, width = case["input"]["height"], case["input"]["width"]
    images = [fill.network_input(seed, height, width) for seed in case["input"]["seeds"]]
    cells = np.random.RandomState(903).randint(-1, 19, (2, 13, 17))
    labels = np.kron(cells, np.ones((1, 8, 8), np.int64))[:, :height, :width]
    checkpoint = tensors(case)
    found = recognise(checkpoint)
    # The auxiliary head and the SE layer are no part of `found`: take them from their names.
    theirs = {"auxlayer.conv5.0": "auxiliary.conv.conv", "auxlayer.conv5.1": "auxiliary.conv.norm",
              "auxlayer.conv5.4": "auxiliary.classifier",
              "head.encmodule.selayer": "head.semantic"}  # fmt: skip
    parts = {"running_mean": "mean", "running_var": "var"}
    weights = dict(found.weights)
    for key, array in checkpoint.items():
        layer, _, part = key.rpartition(".")
        if layer in theirs:
            weights[f"{theirs[layer]}.{parts.get(part, part)}"] = array
    outputs = reference.training_outputs(
        found.architecture, weights, np.concatenate(images).astype(np.float64)
    )
    assert outputs.auxiliary is not None
    assert outputs.semantic is not None
    presence = np.array([[(picture == c).any() for c in range(19)] for picture in labels])
    loss = (
        cross_entropy(outputs.main, labels)
        + 0.2 * cross_entropy(outputs.auxiliary, labels)
        + 0.2 * np.mean(np.logaddexp(0, outputs.semantic) - outputs.semantic * presence)
    )
    assert loss == pytest.approx(case["eval_loss"], abs=LOSS)


def cross_entropy(low: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Mean over the pixels that have a label, at the size of the labels."""
    logits = reference.resize(low, (labels.shape[1], labels.shape[2]), align_corners=True)
    logits = logits - logits.max(1, keepdims=True)
    log_share = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    chosen = np.take_along_axis(log_share, np.maximum(labels, 0)[:, None], 1)[:, 0]
    return float(-chosen[labels >= 0].mean())
