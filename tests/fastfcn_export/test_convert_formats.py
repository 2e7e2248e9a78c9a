import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command_line import python
from exports import save_checkpoint, tensors_of
from fastfcn_export import Options, Request, export
from fastfcn_export.__main__ import main
from fastfcn_export.dialect.dialect import to_dialect
from fastfcn_export.target.random_weights import random_weights
from fastfcn_export.target.targets import reference
from fastfcn_export.verify import joined
from fastfcn_infer import Segmenter
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.manifest import Verification
from fastfcn_infer.errors import ArtifactError
from fastfcn_infer.inference.replay import replay
from fastfcn_infer.runtime.backend import backend_names, format_of, installed
from networks import CASES

pytest.importorskip("onnxruntime")
pytest.importorskip("paddle")

PADDLE = {"paddle/inference.json", "paddle/inference.pdiparams", "paddle/inference.yml"}
GOLDEN = {"golden/input.png", "golden/labels.png"}
BOTH = ("onnx", "paddle")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path, "paddleseg", tensors_of("paddleseg_os32"))


def test_both_formats_lie_in_one_artifact_under_one_manifest(
    checkpoint: Path, tmp_path: Path
) -> None:
    made = export(checkpoint, tmp_path / "out", Request(formats=BOTH, output_stride=32))
    artifact = open_artifact(tmp_path / "out")
    assert artifact.manifest == made
    assert artifact.formats == BOTH
    assert set(made.files) == {"model.onnx"} | PADDLE | GOLDEN
    for name, facts in made.files.items():
        content = (tmp_path / "out" / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (facts.size, facts.sha256)
    assert {"onnx", "paddle", "numpy"} <= set(made.producer)


@pytest.mark.parametrize("name", sorted(PADDLE))
def test_a_changed_file_of_the_program_is_found(
    name: str, checkpoint: Path, tmp_path: Path
) -> None:
    export(checkpoint, tmp_path / "out", Request(formats=("paddle",), verify=False))
    path = tmp_path / "out" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=name):
        open_artifact(tmp_path / "out")


def test_the_record_names_every_runtime_that_proved_a_format(
    checkpoint: Path, tmp_path: Path
) -> None:
    proof = export(checkpoint, tmp_path / "out", Request(formats=BOTH)).verification
    assert proof is not None
    fastest = next(n for n in backend_names() if installed(n) and format_of(n) == "onnx")
    assert fastest in proof.runtime
    assert "paddle_inference" in proof.runtime
    assert {fastest.replace("_", ""), "paddlepaddle"} <= set(proof.versions)


def test_the_reference_is_computed_once_for_all_formats(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = reference.logits
    sizes: list[tuple[int, ...]] = []
    stages: list[str] = []

    def counted(architecture: Any, weights: Any, image: Any) -> Any:
        sizes.append(image.shape)
        return logits(architecture, weights, image)

    monkeypatch.setattr(reference, "logits", counted)
    export(checkpoint, tmp_path / "out", Request(formats=BOTH), report=stages.append)
    assert len(sizes) == 1
    assert stages[-3:] == ["verify onnx", "verify paddle", "seal"]


def test_a_joined_record_has_the_worst_figures() -> None:
    records = [
        Verification("NumPy", runtime, "a picture", worst, 1e-4, agreement, 0.999, versions)
        for runtime, worst, agreement, versions in (
            ("one", 3e-6, 0.9995, {"a": "1", "n": "2"}),
            ("two", 2e-6, 0.9999, {"b": "3", "n": "2"}),
            ("three", 5e-6, 1.0, {"c": "4"}),
        )
    ]
    found = joined(records)
    assert found.runtime == "one and two and three"
    assert (found.worst_difference, found.label_agreement) == (5e-6, 0.9995)
    assert found.versions == {"a": "1", "b": "3", "c": "4", "n": "2"}
    assert joined(records[:1]) == records[0]


@pytest.mark.parametrize(
    "request_",
    [
        Request(formats=BOTH),
        Request(formats=BOTH, output="labels", with_preprocess=True, accept_own_size=True),
        Request(formats=BOTH, output="probabilities", options=Options((2, 96, 128))),
        Request(formats=BOTH, with_preprocess=True, options=Options((1, 200, 330))),
    ],
    ids=str,
)
def test_both_runtimes_give_the_same_labels_from_one_artifact(
    request_: Request, tmp_path: Path
) -> None:
    checkpoint = save_checkpoint(tmp_path, "wuhuikai", tensors_of("wuhuikai_encnet"))
    export(checkpoint, tmp_path / "out", request_)
    for backend in ("onnx_runtime", "paddle_inference"):
        with Segmenter.from_pretrained(tmp_path / "out", device="cpu", backend=backend) as opened:
            assert opened.runtime.backend == backend
            assert replay(opened).passed


@pytest.mark.parametrize("case", CASES)
def test_a_program_of_every_kind_is_proven(case: str, tmp_path: Path) -> None:
    dialect, _, stride = CASES[case]
    checkpoint = save_checkpoint(tmp_path, dialect, tensors_of(case))
    request = Request(formats=("paddle",), output_stride=stride)
    proof = export(checkpoint, tmp_path / "out", request).verification
    assert proof is not None
    assert 0 < proof.worst_difference <= 1e-5  # of the largest logit; measured 2e-6


def test_the_manifest_s_description_is_that_of_both_formats(
    checkpoint: Path, tmp_path: Path
) -> None:
    one = export(checkpoint, tmp_path / "a" / "out", Request(verify=False))
    both = export(checkpoint, tmp_path / "b" / "out", Request(formats=BOTH, verify=False))
    assert one.model == both.model
    assert one.files["model.onnx"] == both.files["model.onnx"]


def test_a_user_gets_both_formats_by_one_option(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([str(checkpoint), "-o", str(out), "--format", "onnx,paddle", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["files"]) == {"model.onnx"} | PADDLE | GOLDEN


def test_half_precision_in_paddle_is_refused_as_usage_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["none.pth", "-o", str(out), "--format", "onnx,paddle", "--precision", "fp16"]
    assert main(arguments) == 2
    assert "fp32 only" in capsys.readouterr().err
    assert not out.exists()


def test_the_exporter_is_imported_without_onnx_and_without_paddle() -> None:
    code = "import sys, fastfcn_export; print({'onnx', 'paddle'} & set(sys.modules))"
    assert python("-c", code).stdout.strip() == "set()"


def test_labels_of_more_than_256_classes_come_as_uint16_from_paddle(tmp_path: Path) -> None:
    dialect, architecture, stride = CASES["wuhuikai_fcn"]
    architecture = replace(architecture, classes=300)
    tensors = to_dialect(dialect, architecture, random_weights(architecture))
    checkpoint = save_checkpoint(tmp_path, dialect, tensors)
    request = Request(
        formats=("paddle",), output="labels", output_stride=stride, accept_own_size=True
    )
    export(checkpoint, tmp_path / "out", request)
    with Segmenter.from_pretrained(tmp_path / "out", device="cpu") as opened:
        assert opened.predict(np.zeros((40, 50, 3), np.uint8)).labels.dtype == np.uint16
        assert replay(opened).passed
