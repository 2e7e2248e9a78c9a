from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from exports import difference, recognised, write_onnx
from fastfcn_export.dialect.dialect import recognise, to_dialect
from fastfcn_export.target.random_weights import random_weights
from fastfcn_export.target.target import Options
from fastfcn_export.target.targets import reference
from fastfcn_infer.artifact.onnx_metadata import read_model_of
from networks import CASES

onnxruntime = pytest.importorskip("onnxruntime")

FLOAT32 = 1e-5  # of the largest answer; measured 1e-6
FLOAT16 = 2e-2  # of the largest logit: a float16 has 11 bits, and a hundred layers lose some
SIZE = (41, 58)

Array = NDArray[Any]
# One of each convention of the last resize, one with a group norm, one with pyramid pooling.
SOME = ("wuhuikai_encnet", "paddleseg_os8_laterals", "wuhuikai_jpu_x", "mmseg_psp")


def pixels(batch: int = 2) -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (batch, *SIZE, 3), np.uint8)


def normalised(case: str) -> NDArray[np.float32]:
    """The dialect's normalisation of `pixels`, written out."""
    conventions = recognised(case).conventions
    scaled = (pixels() / 255 - np.array(conventions.mean)) / np.array(conventions.std)
    return np.asarray(scaled.transpose(0, 3, 1, 2), np.float32)


def run(path: Path, feed: Array) -> Array:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    onnx.checker.check_model(str(path), full_check=True)
    answer: Array = session.run(None, {session.get_inputs()[0].name: feed})[0]
    return answer


def full_size(case: str) -> Array:
    network = recognised(case)
    logits = reference.logits(network.architecture, network.weights, normalised(case))
    align_corners = network.conventions.align_corners
    return reference.resize(logits, SIZE, align_corners=align_corners)


@pytest.mark.parametrize("case", SOME)
def test_probabilities_are_the_softmax_of_the_logits_at_input_size(
    case: str, tmp_path: Path
) -> None:
    found = run(write_onnx(recognised(case), tmp_path, output="probabilities"), normalised(case))
    full = full_size(case)
    share = np.exp(full - full.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    assert found.dtype == np.float32
    assert np.abs(found - share).max() <= 1e-4  # exp turns differences of logits into shares
    assert np.abs(found.sum(1) - 1).max() <= 1e-6  # float32 sums of a few numbers


@pytest.mark.parametrize("case", SOME)
def test_labels_are_the_arg_max_at_input_size(case: str, tmp_path: Path) -> None:
    path = write_onnx(recognised(case), tmp_path, output="labels")
    found = run(path, normalised(case))
    full = full_size(case)
    best_two = np.sort(full, 1)[:, -2:]
    clear = best_two[:, 1] - best_two[:, 0] > FLOAT32 * np.abs(full).max()
    assert found.dtype == np.uint8
    assert clear.mean() > 0.99
    assert (found == full.argmax(1))[clear].all()


def test_labels_of_more_than_256_classes_are_uint16(tmp_path: Path) -> None:
    dialect, architecture, stride = CASES["wuhuikai_fcn"]
    architecture = replace(architecture, classes=300)
    network = recognise(
        to_dialect(dialect, architecture, random_weights(architecture)), output_stride=stride
    )
    path = write_onnx(network, tmp_path, output="labels")
    feed = normalised("wuhuikai_fcn")
    found = run(path, feed)
    logits = reference.logits(architecture, network.weights, feed)
    full = reference.resize(logits, SIZE, align_corners=True)
    assert found.dtype == np.uint16
    assert found.max() > 255
    assert (found == full.argmax(1)).mean() > 0.999  # ties of random logits
    assert read_model_of(path).output.name == "labels"


@pytest.mark.parametrize("case", SOME)
@pytest.mark.parametrize("output", ["logits", "labels"])
def test_pixels_in_are_normalised_as_the_dialect_does(
    case: str, output: Literal["logits", "labels"], tmp_path: Path
) -> None:
    network = recognised(case)
    expected = run(write_onnx(network, tmp_path, output=output), normalised(case))
    path = write_onnx(network, tmp_path, output=output, with_preprocess=True)
    given = onnx.load(path).graph.input[0]
    assert given.name == "pixels"
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    found = run(path, pixels())
    if output == "labels":
        assert (found == expected).mean() > 0.999  # ties of random logits
    else:
        assert difference(found, expected) <= FLOAT32


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", [(2, *SIZE), (None, *SIZE), (2, None, None)])
def test_a_fixed_shape_changes_nothing_but_the_shape(
    case: str, shape: tuple[int | None, int | None, int | None], tmp_path: Path
) -> None:
    network = recognised(case)
    expected = run(write_onnx(network, tmp_path), normalised(case))
    path = write_onnx(network, tmp_path, options=Options(shape))
    assert difference(run(path, normalised(case)), expected) <= FLOAT32
    given = onnx.load(path).graph.input[0].type.tensor_type.shape.dim
    free = ("N", "H", "W")
    expected_dims = [name if n is None else n for name, n in zip(free, shape, strict=True)]
    assert [given[i].dim_param or given[i].dim_value for i in (0, 2, 3)] == expected_dims
    assert read_model_of(path).input.shape == shape


def test_a_wholly_fixed_shape_leaves_no_shape_arithmetic(tmp_path: Path) -> None:
    path = write_onnx(recognised("wuhuikai_encnet"), tmp_path, options=Options((1, *SIZE)))
    assert "Shape" not in {node.op_type for node in onnx.load(path).graph.node}


@pytest.mark.parametrize("case", CASES)
def test_half_precision_stays_close_and_is_half_the_size(case: str, tmp_path: Path) -> None:
    network = recognised(case)
    expected = run(write_onnx(network, tmp_path), normalised(case))
    path = write_onnx(network, tmp_path, options=Options(precision="fp16"))
    found = run(path, normalised(case))
    assert found.dtype == np.float32  # what users see stays float32
    assert 0 < difference(found, expected) <= FLOAT16
    tensors = onnx.load(path).graph.initializer
    weights = [t for t in tensors if t.name.endswith(".weight")]
    assert {t.data_type for t in weights} == {onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize("output", ["probabilities", "labels"])
def test_every_option_at_once_still_gives_a_whole_graph(
    output: Literal["probabilities", "labels"], tmp_path: Path
) -> None:
    case = "paddleseg_os8_laterals"
    path = write_onnx(
        recognised(case), tmp_path, output=output, with_preprocess=True,
        options=Options((2, *SIZE), "fp16"),
    )  # fmt: skip
    found = run(path, pixels())
    full = full_size(case)
    labels = found if output == "labels" else found.argmax(1)
    assert (labels == full.argmax(1)).mean() > 0.9  # float16, random logits close to each other


@pytest.mark.parametrize("case", ["wuhuikai_encnet", "paddleseg_os8_laterals"])
def test_half_precision_labels_are_the_arg_max_with_ties_to_the_lowest_class(
    case: str, tmp_path: Path
) -> None:
    network, half = recognised(case), Options(precision="fp16")
    logits = run(write_onnx(network, tmp_path, options=half), normalised(case))
    full = reference.resize(logits, SIZE, align_corners=network.conventions.align_corners)
    path = write_onnx(network, tmp_path, output="labels", options=half)
    found = run(path, normalised(case))
    assert found.dtype == np.uint8
    assert (found == full.argmax(1)).mean() > 0.999  # the runtime interpolates in another order
    model = onnx.load(path)
    weights = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    (head,) = [node for node in model.graph.node if node.name == "head.classifier.conv"]
    for name in head.input:  # all classes get one score everywhere
        if name in weights:
            position = next(each for each in model.graph.initializer if each.name == name)
            position.CopyFrom(onnx.numpy_helper.from_array(0 * weights[name], name))
    (product,) = [node for node in model.graph.node if node.name == head.input[0]]
    position = next(each for each in model.graph.initializer if each.name == product.input[1])
    position.CopyFrom(
        onnx.numpy_helper.from_array(0 * weights[product.input[1]], product.input[1])
    )
    onnx.save(model, path)
    assert (run(path, normalised(case)) == 0).all()


def test_only_in_half_precision_are_biases_apart_from_convolutions(tmp_path: Path) -> None:
    for precision, most in (("fp32", 3), ("fp16", 2)):
        options = Options(precision=precision)  # type: ignore[arg-type]
        path = write_onnx(recognised("wuhuikai_encnet"), tmp_path, options=options)
        convolutions = [n for n in onnx.load(path).graph.node if n.op_type == "Conv"]
        assert max(len(node.input) for node in convolutions) == most
