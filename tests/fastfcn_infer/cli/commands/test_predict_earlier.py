"""Runs into folders that hold results already: what is left alone, refused, and never taken as input."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fastfcn_infer.artifact.manifest import ClassInfo
from fastfcn_infer.cli.main import main
from fastfcn_infer.system.record import to_json
from models import tiny_artifact, tiny_model

ALL = "labels,labels-raw,overlay,color,json"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two models and a picture, which is the current one."""
    tiny_artifact(tmp_path / "tiny")
    tiny_artifact(tmp_path / "other", replace(tiny_model(), name="other"))
    classes = tuple(ClassInfo(f"mine {n}", (n, n, n)) for n in range(3))
    (tmp_path / "mine.json").write_text(to_json(classes))
    write(tmp_path / "in" / "a.png", 0)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, seed: int) -> None:
    path.parent.mkdir(exist_ok=True)
    picture = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())


def predict(*words: str) -> int:
    model = [] if "-m" in words else ["-m", "tiny"]
    return main(["predict", *model, "--threads", "1", *words])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


CHANGES: list[tuple[list[str], str]] = [
    (["-m", "other"], "model tiny, now other; other files of the model"),
    (["--procedure", "tiles"], "procedure whole, now tiles"),
    (["--mirror", "horizontal"], "procedure whole, now custom"),
    (["--classes", "mine.json"], "other names or colours"),
]


@pytest.mark.parametrize("kind", ALL.split(","))
@pytest.mark.parametrize(("words", "said"), CHANGES, ids=[said for _, said in CHANGES])
def test_results_that_this_run_would_make_otherwise_are_an_error_that_names_force(
    here: Path, capsys: pytest.CaptureFixture[str], kind: str, words: list[str], said: str
) -> None:
    assert predict("in", "-o", "out", "--save", kind) == 0
    before = contents(here / "out")
    write(here / "in" / "b.png", 1)
    assert predict("in", "-o", "out", "--save", kind, *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "--force" in error
    assert contents(here / "out") == before  # no folder of two kinds of results
    assert predict("in", "-o", "out", "--save", kind, *words, "--force") == 0
    assert predict("in", "-o", "out", "--save", kind, *words) == 0
    assert "left alone: 2" in capsys.readouterr().out


def test_a_model_of_the_same_name_with_other_weights_is_another_model(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("in", "-o", "out") == 0
    shutil.rmtree(here / "tiny")
    tiny_artifact(here / "tiny", replace(tiny_model(), notes=("changed",)))
    assert predict("in", "-o", "out") == 2
    assert "other files of the model" in capsys.readouterr().err


def test_another_depth_is_another_way(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("in", "-o", "out") == 0
    assert predict("in", "-o", "out", "--depth", "12") == 2
    assert "depth None, now 12" in capsys.readouterr().err


def test_a_result_of_another_picture_of_the_same_name_is_not_left_alone(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("in", "-o", "out") == 0
    write(here / "in" / "a.png", 5)
    assert predict("in", "-o", "out") == 2
    assert "out/a_labels.png: other picture" in capsys.readouterr().err


def test_what_changes_no_label_may_differ(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("in", "-o", "out", "--backend", "onnx_runtime") == 0
    assert predict("in", "-o", "out", "--threads", "2", "--max-pixels", "9999") == 0
    assert "left alone: 1" in capsys.readouterr().out


@pytest.mark.parametrize("way", ["folder", "glob", "recursive"])
def test_results_in_the_same_folder_are_no_input_and_are_counted(
    here: Path, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    (here / "in" / "photo_labels.png").write_bytes((here / "in" / "a.png").read_bytes())
    source = "in/*.[pj][np]g" if way == "glob" else "in"
    target = here / ("in/out" if way == "recursive" else "in")
    words = [source, "-o", str(target), "--save", ALL]
    words += ["--recursive"] if way == "recursive" else []
    assert predict(*words) == 0
    before = contents(target)
    for _ in range(2):
        capsys.readouterr()
        assert predict(*words) == 0
        out = capsys.readouterr().out
        assert out.startswith("0 of 2 pictures segmented\n")  # a picture by its content is one
        assert "Skipped 8 files, results of earlier runs: a_color.png, " in out
        assert contents(target) == before


def test_files_that_are_no_pictures_by_their_names_are_counted_and_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("film.mp4", "README", "notes.txt", ".hidden"):
        (here / "in" / name).write_text("x")
    assert predict("in", "-o", "out") == 0
    assert capsys.readouterr().out == (
        "1 of 1 pictures segmented\nSkipped 3 files, not pictures: README, film.mp4, notes.txt\n"
    )
    (here / "in" / "a.png").unlink()
    assert predict("in", "-o", "out2") == 2
    assert "Skipped 3 files, not pictures" in capsys.readouterr().err


def test_other_readers_read_the_results_as_before_and_the_provenance_from_the_pictures(
    here: Path,
) -> None:
    pillow = pytest.importorskip("PIL.Image")
    assert predict("in", "-o", "out", "--save", ALL) == 0
    expected = json.loads((here / "out" / "a.json").read_text())["provenance"]
    for path in (here / "out").glob("*.[pj][np]g"):
        with pillow.open(path) as opened:
            found = opened.info.get("fastfcn") or opened.info["comment"].partition(b"\0")[2]
        assert json.loads(found) == expected
        assert cv2.imread(str(path)) is not None
    assert expected["model"] == "tiny"
    assert len(expected["picture_sha256"]) == 64
