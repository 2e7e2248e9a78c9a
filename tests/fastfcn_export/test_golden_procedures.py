"""Whole procedures against the recorded ones of the original code and of PaddleSeg."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fill
from exports import save_checkpoint
from fastfcn_export import Request, export
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.procedure import Procedure, Windows
from fastfcn_infer.inference.pipeline import Job
from fastfcn_infer.runtime.backend import open_backend

SCORES = 1e-4  # of the largest value of the merged map
LABELS = 0.999  # share of the pixels

HERE = Path(__file__).parents[1] / "data" / "golden"
BESIDE = Path(__file__).parents[3] / "shared" / "golden"  # more cases lie here on some machines

# ResNet-50 in full, through many views.
pytestmark = pytest.mark.slow


def cases() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in (HERE, BESIDE):
        for path in sorted(folder.glob("proc_*.json")):
            found.setdefault(path.stem, path)
    return found


def procedure_of(case: dict[str, Any]) -> tuple[Procedure, int]:
    """The procedure that a case was recorded with, and the step between its recorded scores."""
    if case["dialect"] == "paddleseg":
        crop, stride = case["crop"], case["stride"]
        windows = Windows((crop["height"], crop["width"]), (stride["height"], stride["width"]))
        return Procedure.preset("paddleseg-slide", windows=windows), 8
    preset = Procedure.preset("fastfcn-ms")
    assert preset.resize is not None
    crop_size = case["crop_size"]
    return (
        replace(
            preset,
            kind="custom",
            resize=replace(preset.resize, size=case["base_size"]),
            windows=Windows(crop_size, int(crop_size * case["stride_rate"]), "pad"),
            scales=tuple(case["scales"]),
            mirror="horizontal" if case["flip"] else "none",
        ),
        16,
    )


@pytest.mark.parametrize("name", cases())
def test_a_procedure_gives_the_scores_and_labels_of_the_code_that_defines_it(
    name: str, tmp_path: Path
) -> None:
    path = cases()[name]
    case, recorded = json.loads(path.read_text()), np.load(path.with_suffix(".npz"))
    weights: dict[str, NDArray[Any]] = {
        tensor: fill.tensor(tensor, shape, kind) for tensor, shape, kind in case["tensors"]
    }
    checkpoint = save_checkpoint(tmp_path, case["dialect"], weights)
    stride = case["network"]["output_stride"]
    export(checkpoint, tmp_path / "model", Request(output_stride=stride, verify=False))
    artifact = open_artifact(tmp_path / "model")
    seen = case["picture"]
    picture = fill.picture(seen["seed"], seen["height"], seen["width"])
    procedure, step = procedure_of(case)
    backend = open_backend("onnx_runtime", artifact, device="cpu", threads=2)
    job = Job([picture], artifact.model, procedure=procedure)
    outputs: dict[int, NDArray[Any]] = {}
    for call in job.calls:
        for part, output in job.split(call, backend.run(job.batch(call))):
            outputs[part.view] = output
    backend.close()
    scores = job.scores(0, outputs)
    merged = scores.tile(slice(0, seen["height"]), slice(0, seen["width"]))[:, ::step, ::step]
    expected = recorded["scores"]
    assert np.abs(merged - expected).max() <= SCORES * np.abs(expected).max()
    found = job.label(0, outputs)
    assert (found == recorded["labels"]).mean() >= LABELS
