import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from command_line import content
from exports import save_checkpoint, tensors_of
from fastfcn_export import Options, Request, convert, export
from fastfcn_export.target import fusion
from fastfcn_infer import Segmenter, __version__
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.class_table import class_table
from fastfcn_infer.artifact.manifest import read_manifest
from fastfcn_infer.artifact.onnx_metadata import read_model_of
from fastfcn_infer.errors import (
    ArtifactError,
    BackendMissing,
    CheckpointError,
    UnknownClassTable,
    VerificationError,
)
from fastfcn_infer.inference.replay import replay
from fastfcn_infer.runtime import backend
from fastfcn_infer.system.record import to_json
from networks import CASES

pytest.importorskip("onnxruntime")

QUICK = "paddleseg_os32"
STRIDE = 32
UNPROVEN = Request(output_stride=STRIDE, verify=False)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return save_checkpoint(folder, "paddleseg", tensors_of(QUICK))


@pytest.mark.parametrize("case", ["wuhuikai_encnet", QUICK, "ncpaddle_fcn", "mmseg_psp"])
def test_the_artifact_of_every_dialect_opens_predicts_and_passes_its_self_test(
    case: str, tmp_path: Path
) -> None:
    dialect, _, stride = CASES[case]
    checkpoint = save_checkpoint(tmp_path, dialect, tensors_of(case))
    made = export(checkpoint, tmp_path / "out", Request(output_stride=stride))
    artifact = open_artifact(tmp_path / "out")
    assert artifact.manifest == made
    assert set(made.files) == {"model.onnx", "golden/input.png", "golden/labels.png"}
    assert made.verification is not None
    with Segmenter.from_pretrained(tmp_path / "out", device="cpu") as segmenter:
        found = replay(segmenter)
        assert found.passed
        assert found.agreement >= 0.999


@pytest.mark.parametrize(
    "request_",
    [
        Request(output="labels", with_preprocess=True, accept_own_size=True),
        Request(output="labels", options=Options((2, 96, 128)), accept_own_size=True),
        Request(output="probabilities"),
        Request(with_preprocess=True, options=Options((1, 200, 330))),
        Request(options=Options(precision="fp16")),
    ],
    ids=str,
)
def test_an_artifact_made_with_other_options_passes_its_self_test_too(
    request_: Request, tmp_path: Path
) -> None:
    checkpoint = save_checkpoint(tmp_path, "wuhuikai", tensors_of("wuhuikai_encnet"))
    export(checkpoint, tmp_path / "out", request_)
    with Segmenter.from_pretrained(tmp_path / "out", device="cpu") as segmenter:
        assert replay(segmenter).passed


def test_half_precision_has_to_label_the_picture_as_float32_does(tmp_path: Path) -> None:
    checkpoint = save_checkpoint(tmp_path, "wuhuikai", tensors_of("wuhuikai_encnet"))
    half = Request(options=Options(precision="fp16"))
    refused = r"required: 100\.00%.*accept less: --min-agreement"
    with pytest.raises(VerificationError, match=refused):
        export(checkpoint, tmp_path / "out", replace(half, min_agreement=1.0))
    assert not (tmp_path / "out").exists()

    proof = export(checkpoint, tmp_path / "out", half).verification

    assert proof is not None
    assert 0.995 <= proof.label_agreement < 1
    assert proof.required_agreement == 0.98  # of fastfcn verify, on any GPU


@pytest.mark.parametrize(
    ("precision", "share", "message"),
    [
        ("fp32", 0.9, "is for half precision and for int8"),
        ("fp16", 95, r"95.*a share from 0 to 1"),
    ],
)
def test_an_agreement_that_cannot_be_required_is_refused(
    precision: Literal["fp32", "fp16"], share: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Request.of(precision=precision, min_agreement=share)


def test_the_manifest_says_where_everything_came_from(checkpoint: Path, tmp_path: Path) -> None:
    made = export(checkpoint, tmp_path / "fine", UNPROVEN)
    assert made.source.name == "model.pdparams"
    assert made.source.size == checkpoint.stat().st_size
    assert made.source.sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert made.producer["fastfcn-infer"] == __version__
    assert {"numpy", "onnx"} <= set(made.producer)
    assert made.model.name == "fine"
    assert made.model.network.dialect == "paddleseg"
    text = (tmp_path / "fine" / "manifest.json").read_bytes()
    assert read_manifest(text, "") == made
    assert read_manifest(to_json(made), "") == made


def test_the_onnx_file_carries_the_same_description_and_works_alone(
    checkpoint: Path, tmp_path: Path
) -> None:
    made = export(checkpoint, tmp_path / "out", UNPROVEN)
    alone = (tmp_path / "out" / "model.onnx").rename(tmp_path / "alone.onnx")
    assert read_model_of(alone) == made.model
    assert open_artifact(alone).model == made.model


def test_without_verification_there_is_no_record_and_no_golden_picture(
    checkpoint: Path, tmp_path: Path
) -> None:
    made = export(checkpoint, tmp_path / "out", UNPROVEN)
    assert made.verification is None
    assert set(made.files) == {"model.onnx"}
    assert set(content(tmp_path / "out")) == {"manifest.json", "model.onnx"}


def test_two_exports_of_one_checkpoint_are_the_same_bytes(
    checkpoint: Path, tmp_path: Path
) -> None:
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        export(checkpoint, tmp_path / place / "out", UNPROVEN)
    assert content(tmp_path / "a" / "out") == content(tmp_path / "b" / "out")


def test_what_was_assumed_is_in_the_manifest(checkpoint: Path, tmp_path: Path) -> None:
    assumed = export(checkpoint, tmp_path / "a", Request(verify=False)).model.network
    told = export(checkpoint, tmp_path / "b", UNPROVEN).model.network
    assert (assumed.output_stride, told.output_stride) == (8, 32)
    assert "output stride 8 " in assumed.assumed[0]
    assert told.assumed == ()


def test_an_artifact_that_is_there_is_refused_before_any_work(
    checkpoint: Path, tmp_path: Path
) -> None:
    export(checkpoint, tmp_path / "out", UNPROVEN)
    before, stages = content(tmp_path / "out"), list[str]()
    with pytest.raises(FileExistsError):
        export(tmp_path / "no such file", tmp_path / "out", report=stages.append)
    assert stages == []
    assert content(tmp_path / "out") == before


def test_force_replaces_an_artifact_whole(checkpoint: Path, tmp_path: Path) -> None:
    export(checkpoint, tmp_path / "out", Request(output_stride=STRIDE))
    made = export(checkpoint, tmp_path / "out", UNPROVEN, force=True)
    assert open_artifact(tmp_path / "out").manifest == made
    assert set(content(tmp_path / "out")) == {"manifest.json", "model.onnx"}
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}


def test_force_never_deletes_what_is_not_an_artifact(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError):
        export(checkpoint, checkpoint.parent, UNPROVEN, force=True)
    assert set(content(checkpoint.parent)) == {"model.pdparams"}


def test_stages_are_reported_in_their_order(checkpoint: Path, tmp_path: Path) -> None:
    stages = list[str]()
    export(checkpoint, tmp_path / "out", Request(output_stride=STRIDE), report=stages.append)
    assert stages == ["read", "write onnx", "verify onnx", "seal"]


def fail_to_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    right = fusion.fold_norm
    monkeypatch.setattr(
        fusion, "fold_norm", lambda *given: tuple(1.01 * array for array in right(*given))
    )


def test_a_graph_that_is_not_the_network_is_not_written(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_to_verify(monkeypatch)
    with pytest.raises(VerificationError, match="Nothing was written"):
        export(checkpoint, tmp_path / "out", Request(output_stride=STRIDE))
    assert {path.name for path in tmp_path.iterdir()} == {"in"}


def test_a_failed_export_leaves_the_old_artifact(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(checkpoint, tmp_path / "out", UNPROVEN)
    before = content(tmp_path / "out")
    fail_to_verify(monkeypatch)
    with pytest.raises(VerificationError):
        export(checkpoint, tmp_path / "out", Request(output_stride=STRIDE), force=True)
    assert content(tmp_path / "out") == before
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_export_that_is_cut_short_leaves_nothing(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def stop(*_: object) -> None:
        raise error

    monkeypatch.setattr(convert, "prove", stop)
    with pytest.raises(type(error)):
        export(checkpoint, tmp_path / "out", Request(output_stride=STRIDE))
    assert {path.name for path in tmp_path.iterdir()} == {"in"}


def test_without_a_runtime_the_export_says_what_to_install(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "installed", lambda name: False)
    with pytest.raises(BackendMissing, match="pip install"):
        export(checkpoint, tmp_path / "out", Request(output_stride=STRIDE))
    assert {path.name for path in tmp_path.iterdir()} == {"in"}


@pytest.mark.parametrize("formats", [("tflite",), (), ("onnx", "tflite")])
def test_an_unknown_format_is_refused_with_the_known_ones(
    formats: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"unknown format .*; known: .*onnx"):
        export("no such file", tmp_path / "out", Request(formats=formats))
    assert list(tmp_path.iterdir()) == []


def with_classes(count: int, folder: Path) -> Path:
    tensors: dict[str, Any] = tensors_of(QUICK)
    for name in ("cls_seg.weight", "cls_seg.bias", "fcn_head.conv.weight", "fcn_head.conv.bias"):
        tensors[name] = np.resize(tensors[name], (count, *tensors[name].shape[1:]))
    tensors["se_layer.weight"] = np.resize(tensors["se_layer.weight"], (12, count))
    tensors["se_layer.bias"] = np.resize(tensors["se_layer.bias"], count)
    return save_checkpoint(folder, "paddleseg", tensors)


def test_classes_come_from_a_named_table(tmp_path: Path) -> None:
    checkpoint = with_classes(19, tmp_path)
    made = export(checkpoint, tmp_path / "out", Request(classes="cityscapes", verify=False))
    assert made.model.classes == class_table("cityscapes")


def test_classes_come_from_a_file(checkpoint: Path, tmp_path: Path) -> None:
    table = [{"name": f"thing {i}", "color": [i, 0, 255]} for i in range(6)]
    path = tmp_path / "things.json"
    path.write_text(json.dumps(table))
    made = export(checkpoint, tmp_path / "out", Request(classes=path, verify=False))
    assert [(c.name, list(c.color)) for c in made.model.classes] == [
        (entry["name"], entry["color"]) for entry in table
    ]


def test_a_table_of_the_wrong_length_is_refused_with_the_tables_that_fit(tmp_path: Path) -> None:
    checkpoint = with_classes(19, tmp_path)
    with pytest.raises(CheckpointError) as caught:
        export(checkpoint, tmp_path / "out", Request(classes="ade20k", verify=False))
    text = str(caught.value)
    assert "The network has 19 classes, but ade20k has 150." in text
    assert "Tables of 19 classes: cityscapes." in text


def test_a_class_table_that_is_not_there_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UnknownClassTable, match=r"no class table 'nowhere\.json'; expected one of ade20k"
    ):
        export(checkpoint, tmp_path / "out", Request(classes="nowhere.json", verify=False))
    with pytest.raises(ArtifactError, match=r"nowhere\.json cannot be opened: No such file"):
        export(checkpoint, tmp_path / "out", Request(classes=Path("nowhere.json"), verify=False))


def test_a_fault_of_the_checkpoint_names_its_file_once(tmp_path: Path) -> None:
    tensors = tensors_of(QUICK)
    del tensors["cls_seg.bias"]
    checkpoint = save_checkpoint(tmp_path, "paddleseg", tensors)
    with pytest.raises(CheckpointError, match=r"missing: cls_seg\.bias \(6,\)") as caught:
        export(checkpoint, tmp_path / "out", UNPROVEN)
    assert str(caught.value).count("model.pdparams") == 1
    with pytest.raises(CheckpointError, match="does not exist") as caught:
        export(tmp_path / "gone.pth", tmp_path / "out", UNPROVEN)
    assert str(caught.value).count("gone.pth") == 1


def test_everything_asked_for_is_in_the_description(checkpoint: Path, tmp_path: Path) -> None:
    request = Request(
        output="labels", with_preprocess=True, output_stride=16,
        options=Options((1, 64, 96), "fp16"), verify=False,
    )  # fmt: skip
    model = export(checkpoint, tmp_path / "out", request).model
    assert (model.input.name, model.input.shape) == ("pixels", (1, 64, 96))
    assert (model.output.name, model.output.stride) == ("labels", 1)
    assert model.precision == "fp16"
    assert model.network.output_stride == 16


def test_keywords_ask_for_what_a_request_asks_for() -> None:
    asked = Request.of(classes="camvid", output_stride=32, shape=(1, 64, 96), precision="fp16")
    options = Options((1, 64, 96), "fp16")
    assert asked == Request(classes="camvid", output_stride=32, options=options)
    with pytest.raises(TypeError, match="colour"):
        Request.of(colour="red")  # type: ignore[call-arg]
