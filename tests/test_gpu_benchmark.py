"""The benchmark for GPUs, on the processor and at a small size."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu
from benchmarks.random_checkpoint import SMALL as SMALL_NETWORK

pytest.importorskip("onnxruntime")
SMALL = [
    "--device",
    "cpu",
    "--network",
    SMALL_NETWORK,
    "--size",
    "64",
    "--batches",
    "1",
    "2",
    "--seconds",
    "0.01",
]
SMALL += ["--pictures", "32", "--forms", "float32", "float16, bytes to labels"]
FORMS = ("float32", "float16, bytes to labels")


def run(folder: Path, *more: str) -> tuple[int, dict[str, Any]]:
    code = gpu.main([*SMALL, "--output", str(folder / "gpu.json"), *more])
    return code, json.loads((folder / "gpu.json").read_text())


def test_a_part_measures_and_a_part_that_fails_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = gpu.Part("gpu_parts", "golden", 60)
    monkeypatch.setattr(gpu, "PARTS", (*gpu.PARTS[3:4], broken))
    code, found = run(tmp_path, "--golden", str(tmp_path / "no" / "such"))
    rows = found["parts"]["network"]["rows"]
    assert [(row["form"], row["batch"]) for row in rows] == [(f, n) for f in FORMS for n in (1, 2)]
    assert all(row["per_second"] > 0 for row in rows)
    assert code == 1
    assert found["faults"] == ["golden: " + found["parts"]["golden"]["error"]]
    assert "FAULT golden: " in capsys.readouterr().out


@pytest.mark.slow
def test_all_parts_run_on_a_processor_and_find_us_exact(tmp_path: Path) -> None:
    golden = tmp_path / "data" / "golden"
    golden.mkdir(parents=True)
    for path in [
        *gpu.GOLDEN.glob("peer_paddleseg_r18vd_os16_lateral.*"),
        gpu.GOLDEN.parents[1] / "fill.py",
    ]:
        place = golden.parents[1] if path.suffix == ".py" else golden
        (place / path.name).write_bytes(path.read_bytes())
    code, found = run(tmp_path, "--golden", str(golden))
    assert found["faults"] == []
    assert code == 0
    assert [case["precision"] for case in found["parts"]["golden"]["cases"]] == ["fp32", "fp16"]
    assert len(found["parts"]["embedded"]["pictures"]) == 6
    assert [row["form"] for row in found["parts"]["callers"]["rows"]] == list(FORMS)
    for row in found["parts"]["callers"]["rows"]:
        assert min(row["one"], row["eight"], row["stream"]) > 0
    assert found["parts"]["tensorrt"]["rows"] == []
    assert "not run: Device tensorrt is not available" in found["parts"]["tensorrt"]["note"]


def test_of_a_part_that_was_stopped_while_it_wrote_the_last_whole_record_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(command: list[str], **_: object) -> None:
        raise subprocess.TimeoutExpired(command, 60, output=b'{"rows": [1]}\n{"rows": [1, 2')

    monkeypatch.setattr(subprocess, "run", stop)
    found = gpu.run_part(gpu.PARTS[0], {})
    assert found == {"rows": [1], "note": "stopped after 30 s"}


def test_what_differs_too_much_is_a_fault() -> None:
    case = {"name": "psp", "precision": "fp32", "difference": 2e-4, "labels": 1.0}
    half = {"name": "psp", "precision": "fp16", "difference": 2e-2, "labels": 0.98}
    nan = {"name": "fcn", "precision": "fp32", "difference": float("nan"), "labels": 1.0}
    picture = {"picture": "street", "agreement": 0.99}
    parts = {"golden": {"cases": [case, half, nan]}, "embedded": {"pictures": [picture]}}
    assert len(gpu.faults(parts)) == 4
    assert gpu.faults({"golden": {"cases": [case | {"difference": 1e-5}]}}) == []


def test_targets_are_compared_with_what_was_measured_only() -> None:
    assert all(row["met"] is None for row in gpu.targets({}))
    alone = [
        {"form": "float16", "batch": 8, "per_second": 1200.0},
        {"form": "float16", "batch": 1, "per_second": 500.0},
    ]
    through = [
        {"form": "bytes", "network": "float16", "one": 310.0, "eight": 1.0, "stream": 900.0}
    ]
    compiled = [{"batch": 8, "per_second": 800.0}]
    found = gpu.targets(
        {"network": {"rows": alone}, "callers": {"rows": through}, "compiled": {"rows": compiled}}
    )
    assert [row["met"] for row in found] == [True, True, True, None, False, True]
    assert found[4]["measured"] == 0.75
