"""Checkpoints go round whole, are kept and deleted as promised, and name what is damaged."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("safetensors")

from fastfcn_export.dialect.trained import Trained, read_trained
from fastfcn_infer.artifact.manifest import ClassInfo
from fastfcn_infer.errors import CheckpointError
from fastfcn_training.checkpoint.files import (
    Best,
    Checkpoint,
    LossScale,
    Progress,
    checkpoints,
    clean,
    load_checkpoint,
    open_checkpoint,
    save_checkpoint,
)
from small_trainings import COLOURS, NETWORK, RECIPE

WEIGHTS: dict[str, NDArray[Any]] = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.asarray([1.5], np.float32),
}
STATE = {"a.weight|velocity_0": np.ones((2, 3), np.float32)}


def trained(iteration: int) -> Trained:
    classes = tuple(ClassInfo(f"class {i}", colour) for i, colour in enumerate(COLOURS))
    thirds = (0.3, 0.3, 0.3)
    return Trained(
        1, NETWORK, classes, True, thirds, thirds, thirds, "made train", iteration, "fastfcn"
    )


def checkpoint(iteration: int, best: int | None = None, **options: Any) -> Checkpoint:
    score = None if best is None else Best(0.5, best)
    progress = Progress(RECIPE, iteration, 1, score, **options)
    return Checkpoint(progress, {n: a + iteration for n, a in WEIGHTS.items()}, STATE)


def save(run: Path, iteration: int, best: int | None = None, *, keep: int = 2) -> Path:
    return save_checkpoint(run, checkpoint(iteration, best), trained(iteration), keep=keep)


def kept(run: Path) -> list[int]:
    return [int(folder.name) for folder in checkpoints(run)]


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    scale = LossScale(1024.0, 7, 0)
    given = checkpoint(1200, best=900, samples=33, loss_scale=scale)
    folder = save_checkpoint(tmp_path, given, trained(1200), keep=1)
    assert folder == tmp_path / "checkpoints" / "001200"
    found = load_checkpoint(folder)
    assert replace(found.progress, sha256={}) == given.progress
    for ours, theirs in ((found.weights, given.weights), (found.optimiser, given.optimiser)):
        assert ours.keys() == theirs.keys()
        for name, array in ours.items():
            assert array.dtype == theirs[name].dtype
            assert np.array_equal(array, theirs[name])


def test_tensors_that_are_views_are_stored_as_they_look(tmp_path: Path) -> None:
    wide = np.arange(12, dtype=np.float32).reshape(3, 4)
    given = Checkpoint(Progress(RECIPE, 1, 1, None), {"x": wide.T[::2]}, {})
    found = load_checkpoint(save_checkpoint(tmp_path, given, trained(1), keep=1))
    assert np.array_equal(found.weights["x"], wide.T[::2])


def test_the_model_in_it_says_what_it_is(tmp_path: Path) -> None:
    assert read_trained(save(tmp_path, 40) / "model.safetensors") == trained(40)


def test_the_last_ones_and_the_best_are_kept(tmp_path: Path) -> None:
    for iteration, best in ((10, 10), (20, 20), (30, 20), (40, 20), (50, 50), (60, 50)):
        save(tmp_path, iteration, best)
    assert kept(tmp_path) == [50, 60]
    save(tmp_path, 70, 50)
    assert kept(tmp_path) == [50, 60, 70]
    save(tmp_path, 80, 50, keep=1)
    assert kept(tmp_path) == [50, 80]


def test_many_iterations_are_ordered_by_number(tmp_path: Path) -> None:
    for iteration in (999_999, 1_000_000, 1_000_001):
        save(tmp_path, iteration)
    assert kept(tmp_path) == [1_000_000, 1_000_001]


def test_a_training_that_went_back_keeps_what_it_saves(tmp_path: Path) -> None:
    # Resumed from 20, because the later ones were damaged.
    for iteration in (10, 20, 30, 40):
        save(tmp_path, iteration, keep=9)
    (tmp_path / "checkpoints" / "000030" / "model.safetensors").unlink()
    save(tmp_path, 25, keep=2)
    assert kept(tmp_path) == [20, 25, 30, 40]
    folder = save(tmp_path, 30, keep=2)
    assert kept(tmp_path) == [25, 30, 40]
    assert load_checkpoint(folder).progress.iteration == 30


def test_nothing_is_left_of_what_was_deleted(tmp_path: Path) -> None:
    for iteration in (10, 20, 20, 30):
        save(tmp_path, iteration, keep=1)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["000030"]


def test_other_files_in_a_checkpoint_s_folder_are_never_deleted(tmp_path: Path) -> None:
    note = save(tmp_path, 10) / "notes.txt"
    note.write_text("the best so far?")
    artifact = save(tmp_path, 20) / "artifact" / "model.onnx"
    artifact.parent.mkdir()
    artifact.write_bytes(b"graph")
    backup = tmp_path / "checkpoints" / "000005" / "pytorch_model.bin"
    backup.parent.mkdir()
    backup.write_bytes(b"another program's")
    for iteration in (30, 40):
        save(tmp_path, iteration, keep=1)
    assert kept(tmp_path) == [40]
    assert note.read_text() == "the best so far?"
    assert sorted(path.name for path in artifact.parent.parent.iterdir()) == ["artifact"]
    assert artifact.read_bytes() == b"graph"
    assert backup.read_bytes() == b"another program's"


def test_a_checkpoint_beside_other_files_is_replaced_without_touching_them(tmp_path: Path) -> None:
    note = save(tmp_path, 10) / "notes.txt"
    note.write_text("mine")
    (note.parent / "progress.json").write_bytes(b"{")
    folder = save(tmp_path, 10)
    assert load_checkpoint(folder).progress.iteration == 10
    assert note.read_text() == "mine"


def test_what_killed_trainings_left_is_cleaned_away_and_nothing_else(tmp_path: Path) -> None:
    folder = save(tmp_path, 10)
    left = folder.with_name(f".000020.{'0' * 16}.partial")
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    (tmp_path / f".fastfcn.{'1' * 16}.partial").write_bytes(b"half")
    (tmp_path / "log.jsonl").write_bytes(b"{}\n")
    clean(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "log.jsonl"]
    assert [path.name for path in folder.parent.iterdir()] == ["000010"]


def test_there_is_nothing_to_clean_where_there_is_nothing(tmp_path: Path) -> None:
    clean(tmp_path / "new")
    assert not (tmp_path / "new").exists()


NAMES = ("model.safetensors", "optimiser.safetensors", "progress.json")


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = save(tmp_path, 10)
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_was_cut_is_named(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, 10) / name
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(path.parent)


@pytest.mark.parametrize("name", NAMES[:2])
def test_one_bit_that_fell_over_is_found(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, 10) / name
    data = bytearray(path.read_bytes())
    data[-3] ^= 1  # within the last tensor: the file stays a good one of other values
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=f"{name} is damaged: its SHA-256"):
        load_checkpoint(path.parent)


def test_a_recipe_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, 10) / "progress.json"
    data = json.loads(path.read_bytes())
    data["recipe"]["batch"] = 0
    data["more"] = 1
    path.write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match=r"batch is 0.*more: unknown"):
        load_checkpoint(path.parent)


def test_checkpoints_from_before_there_were_hashes_can_be_read(tmp_path: Path) -> None:
    path = save(tmp_path, 10) / "progress.json"
    data = json.loads(path.read_bytes())
    for name in ("sha256", "loss_scale", "samples"):
        del data[name]
    path.write_text(json.dumps(data))
    assert load_checkpoint(path.parent).progress == Progress(RECIPE, 10, 1, None)


def test_a_run_is_opened_at_its_last_checkpoint(tmp_path: Path) -> None:
    for iteration in (10, 20):
        folder = save(tmp_path, iteration)
    assert open_checkpoint(tmp_path).progress.iteration == 20
    assert open_checkpoint(folder.with_name("000010")).progress.iteration == 10


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CheckpointError, match="holds no checkpoint of a training"):
            open_checkpoint(folder)


def test_of_a_run_with_damaged_checkpoints_the_last_whole_one_is_named(tmp_path: Path) -> None:
    for iteration in (10, 20, 30, 40):
        save(tmp_path, iteration, keep=9)
    for iteration in (30, 40):
        (tmp_path / "checkpoints" / f"{iteration:06d}" / "progress.json").write_bytes(b"{")
    with pytest.raises(CheckpointError) as refused:
        open_checkpoint(tmp_path)
    assert str(Path("000040") / "progress.json") in str(refused.value)
    assert f"Resume from {tmp_path / 'checkpoints' / '000020'}." in str(refused.value)


def test_of_a_run_without_any_whole_checkpoint_that_is_said(tmp_path: Path) -> None:
    for iteration in (10, 20):
        (save(tmp_path, iteration) / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="None of the older ones is intact"):
        open_checkpoint(tmp_path)
