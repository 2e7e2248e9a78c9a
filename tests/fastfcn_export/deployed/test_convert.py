import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from deployments import ENDS, FREE, TINY, put_converter_on_path, unpack
from fastfcn_export import Request, export
from fastfcn_export.__main__ import main
from fastfcn_export.target.target import Options
from fastfcn_infer import Segmenter
from fastfcn_infer.errors import BackendError, BackendMissing, CheckpointError, VerificationError
from fastfcn_infer.inference.replay import replay

OFF = Request(verify=False)
needs_paddle = pytest.mark.skipif(
    importlib.util.find_spec("paddle") is None, reason="Paddle Inference is the judge"
)


@pytest.fixture(autouse=True)
def _converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_converter_on_path(tmp_path / "bin", monkeypatch)


@pytest.mark.parametrize("case", TINY)
def test_labels_at_the_picture_s_size_are_those_of_paddleseg_s_own_inference(
    tmp_path: Path, case: str
) -> None:
    expected = unpack(case, tmp_path / "deployed")
    export(tmp_path / "deployed", tmp_path / "out", OFF)
    with Segmenter.from_pretrained(tmp_path / "out", device="cpu") as segmenter:
        found = segmenter.predict(expected["picture"]).labels
    assert found.shape == expected["labels"].shape
    assert np.unique(expected["labels"]).size == 5  # else equal labels would say little
    assert (found == expected["labels"]).mean() > 0.999


@pytest.mark.parametrize("case", TINY)
def test_the_artifact_answers_logits_whatever_the_program_ends_in(
    tmp_path: Path, case: str
) -> None:
    unpack(case, tmp_path / "deployed")
    manifest = export(tmp_path / "deployed", tmp_path / "out", OFF)
    model = manifest.model
    assert (model.output.name, model.output.stride) == ("logits", 1)
    assert model.align_corners is False
    assert len(model.classes) == 5
    assert model.network.dialect == "paddleseg-deployed"
    assert model.network.output_stride is None
    end = ENDS[case]
    said = any(f"{end} at the end was left out" in sentence for sentence in model.network.assumed)
    assert said == (end != "none")
    graph = onnx.load(tmp_path / "out" / "model.onnx").graph
    kinds = [node.op_type for node in graph.node]
    assert "ArgMax" not in kinds and "Constant" not in kinds and kinds[-2] == "Resize"
    assert [value.name for value in graph.input] == ["image"]
    assert [value.name for value in graph.output] == ["logits"]
    if case in FREE:
        assert model.input.shape == (None, None, None)
    else:
        assert model.input.shape == (1, 64, 128)
        assert model.network.head == "tiny_liteseg"


def test_logits_are_those_of_paddleseg_s_own_network(tmp_path: Path) -> None:
    import onnxruntime

    expected = unpack("tiny_none", tmp_path / "deployed")
    export(tmp_path / "deployed", tmp_path / "out", OFF)
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
    (found,) = session.run(["logits"], {"image": expected["fed"][None]})
    worst = np.abs(found - expected["logits"]).max() / np.abs(expected["logits"]).max()
    assert worst < 1e-5


def test_the_lone_graph_describes_itself(tmp_path: Path) -> None:
    expected = unpack("tiny_softmax", tmp_path / "deployed")
    export(tmp_path / "deployed" / "deploy.yaml", tmp_path / "out", OFF)
    with Segmenter.from_pretrained(tmp_path / "out" / "model.onnx", device="cpu") as segmenter:
        assert (segmenter.predict(expected["picture"]).labels == expected["labels"]).mean() > 0.999


@needs_paddle
@pytest.mark.slow  # starts Paddle in a process of its own
@pytest.mark.filterwarnings("ignore:a picture of .* is shrunk")  # one case is of 64 x 64
@pytest.mark.parametrize("case", TINY)
def test_the_proof_compares_with_the_program_itself_and_leaves_a_self_test(
    tmp_path: Path, case: str
) -> None:
    unpack(case, tmp_path / "deployed")
    manifest = export(tmp_path / "deployed", tmp_path / "out")
    record = manifest.verification
    assert record is not None
    assert record.reference.startswith("Paddle Inference 3")
    assert record.worst_difference < 1e-5
    assert record.label_agreement > 0.999
    with Segmenter.from_pretrained(tmp_path / "out", device="cpu") as segmenter:
        assert replay(segmenter).agreement > 0.999


@needs_paddle
@pytest.mark.slow  # as above
@pytest.mark.parametrize("case", TINY)
def test_a_graph_that_is_not_the_program_is_refused(tmp_path: Path, case: str) -> None:
    unpack(case, tmp_path / "deployed")
    raw = tmp_path / "deployed" / "raw.onnx"
    model = onnx.load(raw)
    last = [node for node in model.graph.node if node.op_type == "Resize"][-1]
    factor = onnx.numpy_helper.from_array(np.asarray(1.001, np.float32), "factor")
    model.graph.initializer.append(factor)
    change = onnx.helper.make_node("Mul", [last.input[0], "factor"], ["changed"])
    last.input[0] = "changed"  # no label changes by this, only scores
    model.graph.node.insert(list(model.graph.node).index(last), change)
    onnx.save(model, raw)
    with pytest.raises(VerificationError, match="does not compute what its network computes"):
        export(tmp_path / "deployed", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_paddle_a_proof_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack("tiny_none", tmp_path / "deployed")
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "paddle" else found(name)
    )
    with pytest.raises(BackendMissing, match="--verify off"):
        export(tmp_path / "deployed", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_a_converter_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack("tiny_none", tmp_path / "deployed")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BackendMissing, match=r"pip install .*\[paddle2onnx\]"):
        export(tmp_path / "deployed", tmp_path / "out", OFF)


def test_what_the_converter_says_when_it_fails_is_passed_on(tmp_path: Path) -> None:
    unpack("tiny_none", tmp_path / "deployed")
    (tmp_path / "deployed" / "raw.onnx").unlink()
    with pytest.raises(BackendError, match=r"(?s)could not.*raw\.onnx"):
        export(tmp_path / "deployed", tmp_path / "out", OFF)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Request(formats=("paddle",), verify=False), "--format paddle"),
        (Request(dialect="mmseg", verify=False), "--dialect"),
        (Request(output_stride=8, verify=False), "--output-stride"),
        (Request(output="labels", verify=False), "--output labels"),
        (Request(accept_own_size=True, verify=False), "--accept-own-size"),
        (Request(with_preprocess=True, verify=False), "--with-preprocess"),
        (Request(options=Options((1, 64, 64)), verify=False), "--shape"),
        (Request(options=Options(precision="fp16"), verify=False), "--precision fp16"),
    ],
)
def test_what_an_exported_program_fixes_cannot_be_asked_for(
    tmp_path: Path, request_: Request, said: str
) -> None:
    unpack("tiny_none", tmp_path / "deployed")
    with pytest.raises(ValueError, match=f"{said}: not possible for a model"):
        export(tmp_path / "deployed", tmp_path / "out", request_)


def test_a_yaml_that_contradicts_the_program_is_believed_less_and_that_is_said(
    tmp_path: Path,
) -> None:
    unpack("tiny_none", tmp_path / "deployed")
    yaml = tmp_path / "deployed" / "deploy.yaml"
    yaml.write_text(yaml.read_text().replace("output_op: none", "output_op: argmax"))
    manifest = export(tmp_path / "deployed", tmp_path / "out", OFF)
    (sentence,) = manifest.model.network.assumed
    assert "'argmax'" in sentence and "'none'" in sentence


@pytest.mark.parametrize(
    ("case", "transforms", "undone"),
    [
        ("tiny_fastfcn", [], None),
        ("tiny_fastfcn", ["{type: ResizeByShort, short_size: 64}"], "resizing"),
        ("tiny_fastfcn", ["{type: Padding, target_size: [400, 300]}"], "padding"),
        ("tiny_softmax", [], "resizing and padding"),
        ("tiny_argmax", [], "resizing"),
    ],
)
def test_what_the_artifact_undoes_and_the_deploy_script_does_not_is_said(
    tmp_path: Path, case: str, transforms: list[str], undone: str | None
) -> None:
    unpack(case, tmp_path / "deployed")
    (yaml,) = (tmp_path / "deployed").glob("*.y*ml")
    more = "".join(f"  - {item}\n" for item in transforms)
    yaml.write_text(yaml.read_text().replace("  transforms:\n", f"  transforms:\n{more}"))
    notes = export(tmp_path / "deployed", tmp_path / "out", OFF).model.notes
    said = "of the transforms is undone: labels have the size of the picture"
    assert [note.split(",")[0] for note in notes] == ([f"{undone} {said}"] if undone else [])


def test_a_program_of_a_fixed_size_says_what_becomes_of_other_sizes(tmp_path: Path) -> None:
    unpack("tiny_argmax", tmp_path / "deployed")
    yaml = tmp_path / "deployed" / "inference.yml"
    resize = "  - target_size:\n    - 128\n    - 64\n    type: Resize\n"
    assert resize in yaml.read_text()
    yaml.write_text(yaml.read_text().replace(resize, ""))
    (note,) = export(tmp_path / "deployed", tmp_path / "out", OFF).model.notes
    assert note.startswith("the input is fixed to 64 x 128 pixels")


def test_names_of_classes_are_the_user_s_then_the_yaml_s_then_numbers(tmp_path: Path) -> None:
    unpack("tiny_none", tmp_path / "deployed")
    yaml = tmp_path / "deployed" / "deploy.yaml"
    given = tmp_path / "classes.json"
    given.write_text(json.dumps([{"name": f"own {i}", "color": [i, 0, 0]} for i in range(5)]))
    text = yaml.read_text()
    for labels, request, first in [
        ("", OFF, "class 0"),
        ("label_list: [a, b, c, d]\n", OFF, "class 0"),
        ("label_list: [a, b, c, d, e]\n", OFF, "a"),
        ("label_list: [a, b, c, d, e]\n", Request(classes=given, verify=False), "own 0"),
    ]:
        yaml.write_text(text + labels)
        manifest = export(tmp_path / "deployed", tmp_path / "out", request, force=True)
        assert manifest.model.classes[0].name == first


def test_a_network_that_converts_at_a_fixed_size_only_is_refused_with_the_way_out(
    tmp_path: Path,
) -> None:
    """What paddle2onnx says of PP-LiteSeg's adaptive pools where height and width are free."""
    unpack("tiny_none", tmp_path / "deployed")
    command = tmp_path / "bin" / "paddle2onnx"
    said = "[ERROR][Paddle2ONNX] [OP: pd_op.pool2d] Adaptive only support static input shape."
    lines = "\n".join([said, *["C++ Traceback"] * 30])
    command.write_text(f"#!/bin/sh\necho '{lines}'\nexit 134\n")
    with pytest.raises(BackendError, match=r"(?s)static input shape.*--input_shape 1 3 HEIGHT"):
        export(tmp_path / "deployed", tmp_path / "out", OFF)


def test_a_size_that_the_program_does_not_accept_is_an_error(tmp_path: Path) -> None:
    unpack("tiny_argmax", tmp_path / "deployed")
    yaml = tmp_path / "deployed" / "inference.yml"
    yaml.write_text(yaml.read_text().replace("- 128", "- 160"))
    with pytest.raises(CheckpointError, match="64 x 160, but the program accepts 64 x 128"):
        export(tmp_path / "deployed", tmp_path / "out", OFF)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            "- {type: Resize, target_size: [96, 64]}\n- {type: Padding, target_size: [90, 64]}",
            "64 x 96 before it is padded to the canvas of 64 x 90",
        ),
        ("- {type: Normalize, mean: [1.0e+300]}", "normalised values smaller"),
    ],
)
def test_transforms_that_a_manifest_cannot_hold_are_a_fault_of_the_model(
    tmp_path: Path, steps: str, said: str
) -> None:
    unpack("tiny_none", tmp_path / "deployed")
    yaml = tmp_path / "deployed" / "deploy.yaml"
    head, _, _ = yaml.read_text().partition("  transforms:")
    lines = "".join(f"  {line}\n" for line in steps.splitlines())
    yaml.write_text(f"{head}  transforms:\n{lines}")
    with pytest.raises(CheckpointError, match=said):
        export(tmp_path / "deployed", tmp_path / "out", OFF)


def test_the_command_takes_a_folder_and_says_what_it_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unpack("tiny_argmax", tmp_path / "deployed")
    out = tmp_path / "out"
    arguments: list[Any] = [tmp_path / "deployed", "-o", out, "--verify", "off"]
    assert main([*map(str, arguments)]) == 0
    said = capsys.readouterr().out
    assert "network  tiny_liteseg, 5 classes" in said
    assert "not verified (--verify off)" in said
    assert main([*map(str, arguments), "--json", "--force"]) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["producer"]["paddle2onnx"] == "2.1.0"
    assert main([str(tmp_path / "bin"), "-o", str(out), "--verify", "off", "--force"]) == 6
    assert "neither deploy.yaml" in capsys.readouterr().err
