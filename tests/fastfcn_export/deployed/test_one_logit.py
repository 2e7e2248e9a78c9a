from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from deployments import put_converter_on_path, unpack
from fastfcn_export import export
from fastfcn_infer import Segmenter
from fastfcn_infer.errors import CheckpointError

MIX = np.array([1, -2, 0.5, 1.5, -1], np.float32)  # of the five logits of the recorded program


@pytest.fixture(autouse=True)
def _converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_converter_on_path(tmp_path / "bin", monkeypatch)


def ending_in(folder: Path, *kinds: str, one: bool = True) -> dict[str, NDArray[Any]]:
    """Unpack a program that ends in logits, and append operators; the first makes one logit of five."""
    recorded = unpack("tiny_none", folder)
    model = onnx.load(folder / "raw.onnx")
    graph = model.graph
    value, helper = graph.output[0].name, onnx.helper
    if one:
        graph.initializer.append(onnx.numpy_helper.from_array(MIX.reshape(1, 5, 1, 1), "mix"))
        graph.node.append(helper.make_node("Conv", [value, "mix"], ["one"]))
        value = "one"
    graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0.5), "half"))
    for kind in kinds:
        more = {"Greater": ["half"]}.get(kind, [])
        options: dict[str, Any] = (
            {"to": 1} if kind == "Cast" else {"axis": 1} if kind == "ArgMax" else {}
        )
        graph.node.append(helper.make_node(kind, [value, *more], [f"after.{kind}"], **options))
        value = f"after.{kind}"
    number = onnx.TensorProto.INT64 if "ArgMax" in kinds else onnx.TensorProto.FLOAT
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(value, number, None))
    onnx.save(model, folder / "raw.onnx")
    return recorded


@pytest.mark.parametrize("kinds", [(), ("Sigmoid",), ("ArgMax",)])
def test_a_program_with_one_logit_labels_by_its_sigmoid_whatever_it_ends_in(
    kinds: tuple[str, ...], tmp_path: Path
) -> None:
    recorded = ending_in(tmp_path / "in", *kinds)
    logit = np.tensordot(MIX, recorded["logits"][0], 1)  # at the size that was fed
    threshold = 1 / (1 + np.exp(-float(np.quantile(logit, 0.7))))
    made = export(tmp_path / "in", tmp_path / "out", verify=False, threshold=threshold)
    assert [entry.name for entry in made.model.classes] == ["background", "foreground"]
    import onnxruntime

    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
    (found,) = session.run(["logits"], {"image": recorded["fed"][None]})
    wanted = 1 / (1 + np.exp(-logit)) > threshold
    assert (found[0].argmax(0) == wanted).mean() > 0.999
    assert wanted.mean() == pytest.approx(0.3, abs=0.01)
    with Segmenter.from_pretrained(tmp_path / "out", device="cpu") as segmenter:
        assert np.unique(segmenter.predict(recorded["picture"]).labels).size == 2


@pytest.mark.parametrize("kinds", [(), ("Sigmoid",), ("ArgMax",)])
def test_without_a_threshold_one_logit_is_refused(kinds: tuple[str, ...], tmp_path: Path) -> None:
    ending_in(tmp_path / "in", *kinds)
    with pytest.raises(CheckpointError, match=r"one logit.*--threshold"):
        export(tmp_path / "in", tmp_path / "out", verify=False)
    assert not (tmp_path / "out").exists()


def test_a_threshold_for_several_logits_is_refused(tmp_path: Path) -> None:
    ending_in(tmp_path / "in", one=False)
    with pytest.raises(ValueError, match="this one has 5"):
        export(tmp_path / "in", tmp_path / "out", verify=False, threshold=0.5)


def test_a_sigmoid_over_several_classes_is_refused_as_multi_label(tmp_path: Path) -> None:
    ending_in(tmp_path / "in", "Sigmoid", one=False)
    with pytest.raises(CheckpointError, match=r"sigmoid of 5 classes.*multi-label"):
        export(tmp_path / "in", tmp_path / "out", verify=False)


def test_the_arg_max_of_sigmoids_is_the_arg_max_of_the_logits(tmp_path: Path) -> None:
    recorded = ending_in(tmp_path / "in", "Sigmoid", "ArgMax", one=False)
    export(tmp_path / "in", tmp_path / "out", verify=False)
    with Segmenter.from_pretrained(tmp_path / "out", device="cpu") as segmenter:
        found = segmenter.predict(recorded["picture"]).labels
    assert (found == recorded["labels"]).mean() > 0.999


@pytest.mark.parametrize("one", [False, True])
def test_a_program_that_ends_in_masks_is_refused(one: bool, tmp_path: Path) -> None:
    ending_in(tmp_path / "in", "Sigmoid", "Greater", "Cast", one=one)
    with pytest.raises(CheckpointError, match="ends in a comparison"):
        export(tmp_path / "in", tmp_path / "out", verify=False, threshold=0.5 if one else None)
