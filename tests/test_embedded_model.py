"""The model in the package is the one that its recipe makes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from command_line import EMBEDDED, PHOTOGRAPH
from embedded_model import make
from fastfcn_infer.artifact import Artifact, open_artifact
from fastfcn_infer.model_source import EMBEDDED as NAME
from fastfcn_infer.segmenter import Segmenter

# Weights of about 1, folded in float32: another NumPy may sum in another order.
SAME = 1e-6


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / NAME
    make(folder)
    return folder


def tensors(folder: Path) -> dict[str, NDArray[Any]]:
    graph = onnx.load(folder / "model.onnx").graph
    return {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}


def nodes(folder: Path) -> list[tuple[str, list[str], list[str]]]:
    graph = onnx.load(folder / "model.onnx").graph
    return [(node.op_type, list(node.input), list(node.output)) for node in graph.node]


def proof_of(artifact: Artifact) -> float:
    assert artifact.manifest is not None
    assert artifact.manifest.verification is not None
    return artifact.manifest.verification.label_agreement


def test_the_recipe_makes_the_graph_that_is_in_the_package(made: Path) -> None:
    assert nodes(made) == nodes(EMBEDDED)
    expected, found = tensors(EMBEDDED), tensors(made)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        np.testing.assert_allclose(found[name], tensor, rtol=SAME, atol=SAME, err_msg=name)


def test_the_recipe_makes_the_description_that_is_in_the_package(made: Path) -> None:
    expected, found = open_artifact(EMBEDDED), open_artifact(made)
    assert replace(found.model, name=NAME) == expected.model
    assert sorted(found.files) == sorted(expected.files)
    assert found.unlisted == expected.unlisted == ()
    assert proof_of(found) >= 0.999
    assert proof_of(expected) >= 0.999


def test_the_recipe_makes_the_golden_pair_that_is_in_the_package(made: Path) -> None:
    for file in ("golden/input.png", "golden/labels.png"):
        expected = cv2.imread(str(EMBEDDED / file), cv2.IMREAD_UNCHANGED)
        found = cv2.imread(str(made / file), cv2.IMREAD_UNCHANGED)
        assert expected is not None
        assert found is not None
        assert found.shape == expected.shape
        assert (found == expected).mean() >= 0.999, file


def test_its_labels_vary_enough_to_show_something() -> None:
    with Segmenter.from_pretrained(threads=1) as segmenter:
        areas = segmenter.predict(PHOTOGRAPH).areas()
    assert len(areas) >= 5
    assert max(areas.values()) < 0.7
