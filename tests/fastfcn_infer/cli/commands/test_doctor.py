import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from command_line import EMBEDDED, fastfcn
from fastfcn_infer.artifact.add_variant import add_variant
from fastfcn_infer.artifact.artifact import Artifact, open_artifact
from fastfcn_infer.artifact.golden import Replay
from fastfcn_infer.cli import diagnosis
from fastfcn_infer.cli.main import main
from fastfcn_infer.errors import BackendError, DeviceUnavailable
from fastfcn_infer.runtime import backend, gpu, precision
from fastfcn_infer.runtime.backend import Backend, backend_names, format_of, installed
from fastfcn_infer.runtime.gpu import Gpu
from fastfcn_infer.segmenter import Segmenter
from fastfcn_infer.system.machine import versions
from models import VARIANT, tiny_artifact, tiny_onnx


def doctor(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = main(["doctor", *map(str, words)])
    return code, *capsys.readouterr()


def data(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict[str, Any]]:
    code, out, _ = doctor(capsys, *words, "--json")
    return code, json.loads(out)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_bytes(bytes(1234))
    monkeypatch.setenv("FASTFCN_CACHE", str(folder))
    monkeypatch.delenv("FASTFCN_OFFLINE", raising=False)
    return folder


def test_every_backend_is_listed_installed_or_with_the_line_that_installs_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "installed", lambda name: name == "onnx_runtime")
    code, found = data(capsys)
    assert code == 0
    listed = {each["name"]: each for each in found["backends"]}
    assert list(listed) == list(backend_names())
    assert "CPUExecutionProvider" in listed["onnx_runtime"]["providers"]
    for name, each in listed.items():
        assert each["installed"] == (name == "onnx_runtime")
        assert "pip install" in each["install"]
    _, text, _ = doctor(capsys)
    for name, each in listed.items():
        (line,) = [line for line in text.splitlines() if line.strip().startswith(f"{name} ")]
        assert each["installed"] or each["install"] in line


def test_a_runtime_that_cannot_be_imported_is_said_and_is_no_crash(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        RANK, FORMAT, DEVICES, EXTRA, REQUIRES = 1, "onnx", ("cpu",), "cpu", ("json",)

        @staticmethod
        def providers() -> list[str]:
            raise ImportError("libGL.so.1: cannot open shared object file")

    monkeypatch.setattr(backend, "_file", lambda name: Broken)
    code, out, _ = doctor(capsys)
    assert code == 0
    assert "installed, but it cannot be imported: ImportError: libGL.so.1" in out


def test_machine_and_cache_are_described(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    monkeypatch.setenv("FASTFCN_OFFLINE", "1")
    code, found = data(capsys)
    assert code == 0
    assert found["threads"] >= 1
    assert found["threads_reason"]
    assert found["python"]
    assert found["cpu"]
    assert (found["cache"], found["cache_bytes"]) == (str(own_cache), 1234)
    assert found["offline"] is True
    assert found["packages"]["numpy"]
    assert found["replayed"] == []
    _, text, err = doctor(capsys)
    assert err == ""
    assert "forbidden by FASTFCN_OFFLINE" in text
    assert f"{own_cache}, from FASTFCN_CACHE" in text


def test_gpus_are_named_or_the_reason_is_why_there_are_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = [Gpu("a device", "00", 12080), Gpu("another", "01", 13000), "the driver sees 2"]
    monkeypatch.setattr(diagnosis, "find_gpu", lambda index: there[index])
    _, text, _ = doctor(capsys)
    assert "cuda:0         a device, driver for CUDA 12.8\n" in text
    assert "cuda:1         another, driver for CUDA 13.0\n" in text
    assert "sees 2" not in text
    monkeypatch.setattr(diagnosis, "find_gpu", lambda index: "there is no NVIDIA driver here")
    _, found = data(capsys)
    assert found["gpus"] == []
    _, text, _ = doctor(capsys)
    assert "cuda           there is no NVIDIA driver here\n" in text


def test_what_tensorrt_lacks_is_listed_below_the_runtime_that_would_use_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "installed", lambda name: name == "onnx_runtime")
    monkeypatch.setattr(gpu, "find_gpu", lambda index: "there is no NVIDIA driver here")
    _, found = data(capsys)
    (runtime,) = [each for each in found["backends"] if each["installed"]]
    why = runtime["missing"]["tensorrt"].splitlines()
    assert any("needs a GPU, and there is no NVIDIA driver here" in line for line in why)
    assert any("TensorRT for RTX" in line for line in why)
    _, text, _ = doctor(capsys)
    assert [line for line in why if f"    {line}\n" not in text] == []


def test_known_problems_of_what_is_installed_are_told_with_what_is_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "versions", lambda: {"paddlepaddle": "3.3.1"})
    _, text, _ = doctor(capsys)
    assert "paddlepaddle 3.3.1: oneDNN stops" in text
    assert "-> the pass that fails, onednn_placement_pass, is deleted" in text
    monkeypatch.setattr(diagnosis, "versions", dict)
    _, text, _ = doctor(capsys)
    assert "no known problems" in text


@pytest.mark.parametrize("words", [[EMBEDDED], ["--replay"]])
def test_a_models_golden_picture_is_replayed_in_every_runtime_that_reads_it(
    capsys: pytest.CaptureFixture[str], words: list[str | Path]
) -> None:
    code, found = data(capsys, *words)
    assert code == 0
    replayed = {each["backend"]: each for each in found["replayed"]}
    assert list(replayed) == list(backend_names())
    for name, each in replayed.items():
        if installed(name) and format_of(name) == "onnx":
            assert each["passed"] is True
            assert each["agreement"] >= each["required"] == 0.999
        else:
            assert each["passed"] is None
            assert each["reason"]
    _, text, _ = doctor(capsys, *words)
    assert "verified: 100.000% of the labels agree (CPUExecutionProvider on cpu)" in text


def test_a_replay_in_a_precision_says_what_each_runtime_makes_of_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(EMBEDDED, tmp_path / "model"))
    graph = tmp_path / "graph.onnx"
    tiny_onnx(graph, replace(open_artifact(folder).model, precision="int8"))  # of random labels
    add_variant(open_artifact(folder), "int8", graph, VARIANT)

    code, found = data(capsys, folder, "--precision", "int8")

    replayed = {each["backend"]: each for each in found["replayed"]}
    assert code == 4
    assert replayed["onnx_runtime"]["reason"].startswith("WrongLabels: ")
    assert replayed["onnx_runtime"]["wrong_labels"] is True
    if installed("paddle_inference"):
        assert replayed["paddle_inference"]["passed"] is None
        assert (
            "Paddle Inference reads Paddle's own format" in replayed["paddle_inference"]["reason"]
        )
    assert data(capsys, folder, "--precision", "fp32")[0] == 0
    for words, said in (
        ([EMBEDDED, "--precision", "int8"], "holds no graph in it"),
        ([EMBEDDED, "--precision", "int7"], "'int7' is unknown"),
        (["--precision", "bf16"], "is for a replay"),
    ):
        code, _, err = doctor(capsys, *words)
        assert code == 2
        assert said in err


def test_labels_that_differ_in_one_runtime_are_exit_code_4(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if sum(installed(name) and format_of(name) == "onnx" for name in backend_names()) < 2:
        pytest.skip("needs two runtimes")

    def half_wrong(segmenter: Segmenter) -> Replay:
        right = segmenter.runtime.backend == "onnx_runtime"
        return Replay(1.0 if right else 0.5, 0.999)

    monkeypatch.setattr(diagnosis, "replay", half_wrong)
    code, out, _ = doctor(capsys, "--replay")
    assert code == 4
    assert "NOT verified: 50.000%" in out
    assert "verified: 100.000%" in out


@pytest.mark.parametrize("kind", [BackendError, DeviceUnavailable])
def test_a_runtime_that_fails_is_reported_and_does_not_stop_the_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: type[BackendError]
) -> None:
    original = backend.open_backend

    def fail(name: str, artifact: Artifact, **options: Any) -> Backend:
        if name == "open_vino":
            raise kind("it is broken")
        return original(name, artifact, **options)

    monkeypatch.setattr(backend, "open_backend", fail)
    monkeypatch.setattr(backend, "installed", lambda name: True)
    code, found = data(capsys, EMBEDDED)
    assert code == 5
    replayed = {each["backend"]: each for each in found["replayed"]}
    assert replayed["open_vino"]["reason"] == f"{kind.__name__}: it is broken"
    assert replayed["onnx_runtime"]["passed"] is True
    _, text, _ = doctor(capsys, EMBEDDED)
    assert f"FAILED: {kind.__name__}: it is broken" in text


def test_what_carries_no_golden_picture_is_exit_code_6(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tiny_artifact(tmp_path / "tiny")
    code, out, err = doctor(capsys, tmp_path / "tiny")
    assert (code, out) == (6, "")
    assert "no golden picture" in err


def test_from_a_shell_nothing_is_written_but_the_report() -> None:
    ended = fastfcn("doctor")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("fastfcn-infer  ")
    for name, version in versions().items():
        assert name in ended.stdout
        assert version in ended.stdout


@pytest.mark.parametrize("vnni", [True, False])
def test_each_precision_has_the_runtimes_that_compute_in_it_and_reasons_for_the_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, vnni: bool
) -> None:
    features = ("AVX2", "AVX512-VNNI") if vnni else ("AVX2",)
    for module in (diagnosis, precision):
        monkeypatch.setattr(module, "cpu_features", lambda: features)
    code, found = data(capsys)
    assert (code, found["cpu_features"]) == (0, list(features))
    told = {each["precision"]: each for each in found["precisions"]}
    assert list(told) == ["fp32", "tf32", "bf16", "fp16", "int8"]
    present = {each["name"] for each in found["backends"] if each["installed"]}
    for each in told.values():
        assert {*each["backends"], *each["refusals"]} == present
        assert not {*each["backends"]} & {*each["refusals"]}
    assert set(told["fp32"]["backends"]) == present
    assert told["bf16"]["backends"] == []
    assert "onnx_runtime" in told["int8"]["backends"]
    assert (told["int8"]["note"] is None) == vnni
    _, text, _ = doctor(capsys)
    assert "\nprecisions\n  fp32 " in text
    assert "  bf16   not here\n" in text
    for name, why in told["bf16"]["refusals"].items():
        assert f"not {name}: {why}" in text
