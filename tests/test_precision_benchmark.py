"""The benchmark of precisions, with a network of one layer."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import precision
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.runtime.backends import open_vino
from models import add_tiny_variant, tiny_artifact

pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")


def test_every_precision_is_compared_with_float32_of_the_same_runtime_or_has_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "environment", dict)
    monkeypatch.setattr(precision, "PAUSE", 0.0)
    for name in ("with", "without"):
        tiny_artifact(tmp_path / name)
    add_tiny_variant(tmp_path / "with")
    artifacts = {name: open_artifact(tmp_path / name) for name in ("with", "without")}
    found = precision.speed(artifacts, 3)
    names = {
        f"{n}, {b}, {p}"
        for n in artifacts
        for b in precision.BACKENDS
        for p in precision.PRECISIONS
    }
    assert {*found["seconds"], *found["not_run"]} == names
    assert not {*found["seconds"]} & {*found["not_run"]}
    assert "holds no graph in it" in found["not_run"]["without, open_vino, int8"]
    assert "with, open_vino, int8" in found["times_faster_than_fp32"]
    assert "with, open_vino, fp32" not in found["times_faster_than_fp32"]
    refused = open_vino.refusal("bf16")
    assert found["not_run"].get("with, open_vino, bf16") is None or refused is not None
    assert all(row["turns"] == 3 for row in found["times_faster_than_fp32"].values())


def test_a_loss_of_mean_iou_is_a_fault_by_precision() -> None:
    def results(**lost: float) -> dict[str, Any]:
        return {
            "accuracy": {"rows": {f"open_vino, {name}": {"lost": n} for name, n in lost.items()}}
        }

    assert precision.faults({}) == []
    assert precision.faults(results(bf16=0.0004, int8=0.003, fp32=0.0)) == []
    (fault,) = precision.faults(results(bf16=0.0006, int8=0.003))
    assert fault.startswith("open_vino, bf16 loses 0.0006")
    assert len(precision.faults(results(bf16=0.0006, int8=0.005))) == 2
