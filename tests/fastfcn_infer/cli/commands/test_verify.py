import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import EMBEDDED, fastfcn
from exports import save_checkpoint, tensors_of
from fastfcn_export import Request, export
from fastfcn_infer.artifact.add_variant import add_variant
from fastfcn_infer.artifact.artifact import GOLDEN_LABELS, open_artifact
from fastfcn_infer.artifact.checked_file import hash_file
from fastfcn_infer.artifact.golden import Replay
from fastfcn_infer.artifact.manifest import FileFacts, read_manifest
from fastfcn_infer.artifact.onnx_metadata import copy_described
from fastfcn_infer.cli.main import main
from fastfcn_infer.inference import replay as module
from fastfcn_infer.picture.label_map import read_label_file
from fastfcn_infer.runtime.backends import open_vino
from fastfcn_infer.runtime.tuned_profile import (
    Choice,
    TunedProfile,
    installed_versions,
    this_machine,
    write_profile,
)
from models import VARIANT, tiny_artifact, tiny_onnx


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EMBEDDED, tmp_path / "model"))


def verify(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = main(["verify", *map(str, words)])
    return code, *capsys.readouterr()


def test_the_embedded_model_gives_its_exact_labels_on_this_machine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = verify(capsys, EMBEDDED, "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["passed"] is True
    assert report["agreement"] >= report["required"] == 0.999
    assert report["files"] == 3
    assert report["backend"]
    code, out, err = verify(capsys, EMBEDDED)
    assert (code, err) == (0, "")
    assert out.endswith("\nverified\n")


def test_labels_that_are_not_those_of_the_export_are_exit_code_4(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    # The golden labels of another network, honestly sealed.
    checkpoint = save_checkpoint(tmp_path, "paddleseg", tensors_of("paddleseg_os32"))
    export(checkpoint, tmp_path / "other", Request(output_stride=32))
    shutil.copy(tmp_path / "other" / GOLDEN_LABELS, folder / GOLDEN_LABELS)
    reseal(folder, GOLDEN_LABELS, hash_file(folder / GOLDEN_LABELS))
    code, out, err = verify(capsys, folder, "--json")
    assert (code, err) == (4, "")
    report = json.loads(out)
    assert report["passed"] is False
    assert report["agreement"] < 0.999
    code, out, _ = verify(capsys, folder)
    assert code == 4
    assert "NOT verified" in out


def reseal(folder: Path, name: str, facts: FileFacts) -> None:
    path = folder / "manifest.json"
    data = json.loads(path.read_bytes())
    data["files"][name] = {"size": facts.size, "sha256": facts.sha256}
    path.write_text(json.dumps(data))
    assert read_manifest(path.read_bytes(), "x").files[name] == facts


def add(folder: Path, *, right: bool) -> None:
    """Add a graph that calls itself int8: the one in float32 again, or one of random labels."""
    found = open_artifact(folder)
    graph = folder.parent / "graph.onnx"
    model = replace(found.model, precision="int8")
    if right:
        with (folder / "model.onnx").open("rb") as source, graph.open("wb") as target:
            copy_described(source, target, model)
    else:
        tiny_onnx(graph, model)
    add_variant(found, "int8", graph, VARIANT)


def test_every_graph_of_an_artifact_is_replayed_and_has_a_line(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    add(folder, right=True)
    code, out, _ = verify(capsys, folder)
    assert code == 0
    lines = [line for line in out.splitlines() if line.startswith("golden")]
    assert [line.split()[1] for line in lines] == ["fp32:", "int8:"]
    assert [line.rpartition(" ")[2] for line in lines] == ["99.9%", "95.0%"]
    code, out, _ = verify(capsys, folder, "--precision", "int8", "--json")
    report = json.loads(out)
    assert (code, report["precision"], report["variants"]) == (0, "int8", [])
    assert report["agreement"] > report["required"] == 0.95


def test_the_runtime_that_was_tuned_is_the_one_that_is_verified_in_every_precision(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    add(folder, right=True)
    artifact = open_artifact(folder)
    both = {each: Choice("onnx_runtime", 1, 1, 0.1) for each in ("fp32", "int8")}
    tuned = TunedProfile(
        1, "model", artifact.fingerprint, this_machine(), installed_versions(), "2026-01-02", (64, 64),
        tuple(both), "int8", both, (),
    )  # fmt: skip
    write_profile(tmp_path / "cache", tuned)
    code, out, _ = verify(capsys, folder, "--json", "--cache-dir", tmp_path / "cache")
    report = json.loads(out)
    found = [report, *report["variants"]]
    assert code == 0
    assert [(each["precision"], each["backend"]) for each in found] == [
        ("fp32", "onnx_runtime"),
        ("int8", "onnx_runtime"),
    ]


def test_a_graph_in_int8_of_other_labels_is_exit_code_4_and_the_rest_is_told(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    add(folder, right=False)
    code, out, _ = verify(capsys, folder)
    assert code == 4
    assert "golden   fp32: 100.000% of the labels agree" in out
    assert re.search(r"(?s)golden   int8: NOT verified: .*% of the golden picture's pixels", out)
    code, out, _ = verify(capsys, folder, "--json")
    report = json.loads(out)
    assert (code, report["passed"]) == (4, False)
    assert [each["passed"] for each in report["variants"]] == [False]
    assert verify(capsys, folder, "--precision", "int8")[0] == 4
    assert verify(capsys, folder, "--precision", "fp32")[0] == 0
    assert main(["predict", str(folder / "golden" / "input.png"), "-m", str(folder), "-o",
                 str(folder.parent / "out.png"), "--precision", "int8"]) == 4  # fmt: skip
    assert not (folder.parent / "out.png").exists()


def test_bfloat16_is_replayed_if_it_is_asked_for(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    pytest.importorskip("openvino")
    if open_vino.refusal("bf16") is not None:
        assert verify(capsys, folder, "--precision", "bf16")[0] == 5
        return
    code, out, _ = verify(capsys, folder, "--precision", "bf16", "--json")
    report = json.loads(out)
    assert (code, report["precision"], report["required"]) == (0, "bf16", 0.995)
    path = folder / GOLDEN_LABELS
    labels = read_label_file(path)
    labels[:10] = (labels[:10] + 1) % 11  # 10 of some hundreds of rows
    Image.fromarray(labels.astype(np.uint8)).save(path)
    reseal(folder, GOLDEN_LABELS, hash_file(path))
    code, out, _ = verify(capsys, folder, "--precision", "bf16")
    assert code == 4
    assert re.search(
        r"(?s)bf16: NOT verified: .*OpenVINO .* does not compute this network right", out
    )


@pytest.mark.parametrize("name", ["model.onnx", "golden/input.png", "golden/labels.png"])
def test_one_changed_byte_is_exit_code_6_and_named(
    capsys: pytest.CaptureFixture[str], folder: Path, name: str
) -> None:
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1
    (folder / name).write_bytes(data)
    code, out, err = verify(capsys, folder, "--json")
    assert (code, err) == (6, "")
    assert f"{name}: changed" in json.loads(out)["message"]


def test_what_carries_no_golden_picture_is_exit_code_6_and_says_what_to_do(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tiny_artifact(tmp_path / "tiny")
    shutil.copy(tmp_path / "tiny" / "model.onnx", tmp_path / "lone.onnx")
    for path in (tmp_path / "tiny", tmp_path / "lone.onnx"):
        code, out, err = verify(capsys, path)
        assert (code, out) == (6, "")
        assert "no golden picture" in err


@pytest.mark.parametrize("name", ["gone", "net.pdparams"])
def test_what_is_no_artifact_is_exit_code_6(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    (tmp_path / "net.pdparams").write_text("x")
    code, out, _ = verify(capsys, tmp_path / name, "--json")
    assert code == 6
    assert json.loads(out)["error"] == "ArtifactError"


def test_a_runtime_that_is_not_there_is_exit_code_5(capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(capsys, EMBEDDED, "--json", "--device", "cuda:77")[0] == 5


@pytest.mark.parametrize("inside", ["model.onnx", "golden/labels.png", "golden"])
def test_a_part_of_an_artifact_is_refused_with_the_folder_to_give(
    capsys: pytest.CaptureFixture[str], inside: str
) -> None:
    code, _, err = verify(capsys, EMBEDDED / inside)
    assert code == 6
    assert f"Give that folder: fastfcn verify {EMBEDDED}\n" in err


def test_what_only_lies_in_an_artifacts_folder_is_no_part_of_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tiny_artifact(tmp_path / "tiny")
    (tmp_path / "tiny" / "mine.png").write_text("mine")
    tiny_artifact(tmp_path / "tiny" / "inner")
    for name in ("mine.png", "gone.onnx", "inner"):
        assert verify(capsys, tmp_path / "tiny" / name)[0] == 6
        err = verify(capsys, tmp_path / "tiny" / name)[2]
        assert "is a part of" not in err


def test_the_share_is_printed_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "replay", lambda segmenter: Replay(0.99888, 0.999))
    code, out, _ = verify(capsys, EMBEDDED)
    assert code == 4
    assert "99.888% of the labels agree" in out


def test_from_a_shell_the_embedded_model_verifies() -> None:
    ended = fastfcn("verify", EMBEDDED)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith("\nverified\n")
