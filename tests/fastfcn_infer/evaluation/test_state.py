"""A state is continued by the evaluation it belongs to and refused by every other."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from camvid_tree import camvid_artifact, camvid_model, camvid_tree
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.procedure import Procedure, Resize
from fastfcn_infer.data.dataset import open_dataset
from fastfcn_infer.errors import EvaluationError
from fastfcn_infer.evaluation.metrics import Confusion
from fastfcn_infer.evaluation.state import Run, Tally, describe_run, read_state, write_state
from models import tiny_artifact, tiny_onnx

MADE_BY = {"backend": "onnx_runtime", "precision": "fp32"}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    dataset = open_dataset("camvid", camvid_tree(tmp_path / "camvid"), "test")
    artifact = open_artifact(camvid_artifact(tmp_path / "tiny"))
    return describe_run(artifact, artifact.model.procedure, MADE_BY, dataset)


def counts(seed: int) -> Confusion:
    return Confusion.from_counts(np.random.default_rng(seed).integers(0, 10**12, (11, 11)))


def test_a_state_comes_back_as_it_was_written(run: Run, tmp_path: Path) -> None:
    tally = Tally(counts(1), 5, {"p1": "broken → file"}, 1.25)
    write_state(tmp_path / "state.json", run, tally)
    found = read_state(tmp_path / "state.json", run, 11)
    assert found is not None
    assert found.confusion == tally.confusion
    assert (found.seen, found.failed, found.seconds) == (5, {"p1": "broken → file"}, 1.25)
    assert found.counted == 4


def test_where_there_is_no_file_nothing_was_counted(run: Run, tmp_path: Path) -> None:
    assert read_state(tmp_path / "state.json", run, 11) is None


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("model", "other"),
        ("model_sha256", "0"),
        ("dataset", "ade20k"),
        ("split", "val"),
        ("folder", "elsewhere"),
        ("pictures", 7),
        ("names_sha256", "0"),
        ("procedure", Procedure("whole", Resize("short_side", 480, align_corners=False))),
        ("backend", "open_vino"),
        ("version", "0"),
        ("precision", "bf16"),
    ],
)
def test_a_state_of_another_run_is_refused_and_the_message_says_what_differs(
    run: Run, tmp_path: Path, part: str, value: Any
) -> None:
    other = replace(run, **{part: value})
    write_state(tmp_path / "state.json", other, Tally(counts(1)))
    with pytest.raises(EvaluationError, match=f"\n- {part}: .* then, .* now\n.*--fresh"):
        read_state(tmp_path / "state.json", run, 11)
    assert other.key != run.key


def test_the_same_model_as_a_folder_and_elsewhere_is_the_same_run(
    run: Run, tmp_path: Path
) -> None:
    dataset = open_dataset("camvid", tmp_path / "camvid", "test")
    copied = open_artifact(camvid_artifact(tmp_path / "copy"))
    assert describe_run(copied, copied.model.procedure, MADE_BY, dataset) == run


def test_another_procedure_is_another_run(run: Run, tmp_path: Path) -> None:
    dataset = open_dataset("camvid", tmp_path / "camvid", "test")
    copied = open_artifact(camvid_artifact(tmp_path / "copy"))
    assert describe_run(copied, Procedure.preset("tiles"), MADE_BY, dataset) != run


def test_another_graph_is_another_run(run: Run, tmp_path: Path) -> None:
    dataset = open_dataset("camvid", tmp_path / "camvid", "test")
    tiny_artifact(tmp_path / "other", replace(camvid_model(), align_corners=True))
    procedure = camvid_model().procedure
    other = describe_run(open_artifact(tmp_path / "other"), procedure, MADE_BY, dataset)
    assert (other.model, other.model_sha256 != run.model_sha256) == (run.model, True)
    tiny_onnx(tmp_path / "one.onnx", camvid_model())
    tiny_onnx(tmp_path / "two.onnx", replace(camvid_model(), align_corners=True))
    one, two = (
        describe_run(open_artifact(tmp_path / name), procedure, MADE_BY, dataset)
        for name in ("one.onnx", "two.onnx")
    )
    assert one.model_sha256 != two.model_sha256


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-20],
        lambda text: "{}",
        lambda text: edited(text, format_version=2),
        lambda text: edited(text, counts=[[1, 2], [3]]),
        lambda text: edited(text, counts=[[-1] * 11] * 11),
        lambda text: edited(text, counts=[[10**30] * 11] * 11),
        lambda text: edited(text, counts=[[0] * 3] * 3),
        lambda text: edited(text, counts=[]),
        lambda text: edited(text, seen=7),
        lambda text: edited(text, seen=-1),
        lambda text: edited(text, seen=0),
    ],
)
def test_damaged_states_are_refused(
    run: Run, tmp_path: Path, damage: Callable[[str], str]
) -> None:
    path = tmp_path / "state.json"
    write_state(path, run, Tally(counts(1), 5, {"p1": "bad"}, 1.0))
    path.write_text(damage(path.read_text()))
    with pytest.raises(EvaluationError, match="Delete it"):
        read_state(path, run, 11)


def edited(text: str, **parts: Any) -> str:
    return json.dumps(json.loads(text) | parts)


def test_a_tally_counts_a_picture_once_after_it_had_failed() -> None:
    tally = Tally(Confusion(11)).failing(0, "p0", "bad", 1.0).counting(1, "p1", counts(1), 1.0)
    assert (tally.seen, tally.counted, dict(tally.failed)) == (2, 1, {"p0": "bad"})
    mended = tally.counting(0, "p0", counts(2), 1.0)
    assert (mended.seen, mended.counted, dict(mended.failed)) == (2, 2, {})
    assert mended.confusion == counts(1) + counts(2)
    assert mended.seconds == 3.0
    assert tally.confusion == counts(1)
