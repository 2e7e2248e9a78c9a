"""What the log of a training writes for people and for programs."""

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from fastfcn_training.errors import TrainingError
from fastfcn_training.loop.log import TrainingLog


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]


def test_an_event_is_one_line_of_json_and_one_for_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with TrainingLog(tmp_path / "run", visible=True) as log:
        log.write("train", "going wéll", 7, loss=0.25, parts=(1.0, 2.0))
    (line,) = lines(tmp_path / "run")
    assert line.pop("time") > 1e9
    assert line == {"event": "train", "iteration": 7, "loss": 0.25, "parts": [1.0, 2.0]}
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "going wéll\n")


def test_what_is_no_number_is_null_so_that_the_line_stays_json(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, visible=False) as log:
        log.write("x", "", 1, kappa=float("nan"), iou=(0.5, float("inf")), memory=None)
    text = (tmp_path / "log.jsonl").read_text("utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text
    assert {"kappa": None, "iou": [0.5, None], "memory": None}.items() <= lines(tmp_path)[
        0
    ].items()


def test_a_silent_log_writes_for_programs_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with TrainingLog(tmp_path, visible=False) as log:
        log.message("hello")
        log.write("train", "hello", 1)
    assert capsys.readouterr().err == ""
    assert len(lines(tmp_path)) == 1


def test_a_log_without_a_folder_writes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with TrainingLog(None, visible=False) as log:
        log.write("train", "", 1, loss=1.0)
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_training_goes_on_in_the_same_file(tmp_path: Path) -> None:
    for number in (1, 2):
        with TrainingLog(tmp_path, visible=False) as log:
            log.write("train", "", number)
    assert [line["iteration"] for line in lines(tmp_path)] == [1, 2]


def test_half_a_line_of_a_killed_training_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(b'{"event": "train", "iterat')
    with TrainingLog(tmp_path, visible=False) as log:
        log.write("train", "", 5)
    first, second = (tmp_path / "log.jsonl").read_text("utf-8").splitlines()
    assert first == '{"event": "train", "iterat'
    assert json.loads(second)["iteration"] == 5


def test_a_line_is_on_the_disk_at_once(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, visible=False) as log:
        log.write("train", "", 5)
        assert len(lines(tmp_path)) == 1


def test_visualdl_gets_the_numbers_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[Any, ...]] = []

    class LogWriter:
        def __init__(self, logdir: str) -> None:
            told.append(("open", logdir))

        def add_scalar(self, tag: str, value: float, step: int) -> None:
            told.append((tag, value, step))

        def close(self) -> None:
            told.append(("close",))

    module = types.ModuleType("visualdl")
    module.LogWriter = LogWriter  # type: ignore[attr-defined]  # stands in for the package
    monkeypatch.setitem(sys.modules, "visualdl", module)
    with TrainingLog(tmp_path, visible=False) as log:
        log.write("train", "", 3, loss=0.5, best=True, memory=None)
    assert told == [("open", str(tmp_path / "visualdl")), ("train/loss", 0.5, 3), ("close",)]


def test_visualdl_that_cannot_be_imported_is_mentioned_and_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "visualdl", types.ModuleType("visualdl"))  # has no LogWriter
    with TrainingLog(tmp_path, visible=True) as log:
        log.write("train", "", 1, loss=0.5)
    assert "no log for VisualDL, which cannot be imported" in capsys.readouterr().err
    assert len(lines(tmp_path)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_a_run_has_one_writer_at_a_time(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, visible=False) as log:
        with pytest.raises(TrainingError, match=f"another training is writing to {tmp_path}"):
            TrainingLog(tmp_path, visible=False)
        log.write("train", "", 1)
    with TrainingLog(tmp_path, visible=False) as log:
        log.write("train", "", 2)
    assert [line["iteration"] for line in lines(tmp_path)] == [1, 2]
