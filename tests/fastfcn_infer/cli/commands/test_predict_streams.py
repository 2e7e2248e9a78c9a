"""``fastfcn predict`` with a picture from standard input, a result in one file, and JSON lines."""

import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from command_line import PHOTOGRAPH, python
from fastfcn_infer.cli.main import main
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact
from rasters import PLACE, labels_of, photograph, write_tiff

WORDS = ["-m", "tiny", "--threads", "1"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny model and three pictures, which is the current one."""
    tiny_artifact(tmp_path / "tiny")
    for index, name in enumerate("abc"):
        picture = np.random.default_rng(index).integers(0, 256, (40, 50, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predict(*words: str) -> int:
    return main(["predict", *WORDS, *words])


class Stream(io.BytesIO):
    terminal = False

    def isatty(self) -> bool:
        return self.terminal


def send(monkeypatch: pytest.MonkeyPatch, data: bytes, *, terminal: bool = False) -> None:
    stream = Stream(data)
    stream.terminal = terminal
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))


def stop_at(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C while the results of a picture are written."""
    real = Segmentation.save_each

    def stop(self: Segmentation, paths: Any) -> Any:
        if Path(str(self.source)).name == name:
            raise KeyboardInterrupt
        return real(self, paths)

    monkeypatch.setattr(Segmentation, "save_each", stop)


def labels_in(path: Path) -> Any:
    return np.asarray(Image.open(path))


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize(
    ("words", "written"),
    [
        (["-o", "out"], ["out/stdin_labels.png"]),
        (["-o", "out", "--save", "json,overlay"], ["out/stdin.json", "out/stdin_overlay.jpg"]),
        (["-o", "new/mask.png"], ["new/mask.png"]),
        (["-o", "mask.png", "--save", "labels-raw"], ["mask.png"]),
    ],
)
def test_a_picture_is_read_from_standard_input(
    here: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], written: list[str]
) -> None:
    before = files(here)
    send(monkeypatch, (here / "a.png").read_bytes())
    assert predict("-", *words) == 0
    assert sorted({*files(here)} - {*before}) == written
    if written[0].endswith(".png"):
        with Segmenter.from_pretrained("tiny", threads=1) as segmenter:
            expected = segmenter("a.png").labels
        assert np.array_equal(labels_in(here / written[0]), expected)


def test_a_pipe_of_a_shell_reaches_the_result(here: Path) -> None:
    code = (
        "import subprocess, sys\n"
        "with open(sys.argv[1], 'rb') as file:\n"
        "    words = [sys.executable, '-m', 'fastfcn_infer', 'predict', '-', '-o', 'over.jpg']\n"
        "    sys.exit(subprocess.run(words, stdin=file).returncode)\n"
    )
    ended = python("-c", code, PHOTOGRAPH, cwd=here)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert cv2.imread("over.jpg") is not None


def test_a_raster_on_standard_input_is_labelled_as_a_raster(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiff(here / "map.tif", photograph(100, 90), photometric="rgb", **PLACE)
    send(monkeypatch, (here / "map.tif").read_bytes())
    assert predict("-", "-o", "labels.tif") == 0
    assert capsys.readouterr().err.startswith("standard input: 100 x 90 pixels")
    assert labels_of(here / "labels.tif").shape == (100, 90)
    send(monkeypatch, (here / "map.tif").read_bytes())
    assert predict("-", "-o", "labels.png") == 3
    said = "is a raster, whose labels cannot be written to labels.png"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "standard input is empty"),
        (b"text", "standard input is not a picture that can be read: it looks like text"),
        (PHOTOGRAPH.read_bytes()[:5000], "standard input is"),
    ],
)
def test_what_is_no_picture_on_standard_input_is_refused_without_a_temporary_name(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    data: bytes,
    said: str,
) -> None:
    send(monkeypatch, data)
    assert predict("-", "-o", "out") == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"failed: standard input: {said}")
    assert "fastfcn-" not in line
    assert not (here / "out").exists()
    send(monkeypatch, data)
    assert predict("-", "--dry-run", "--json") == 3
    (failed,) = json.loads(capsys.readouterr().out)["failed"]
    assert failed["source"] == "standard input"
    assert failed["error"].startswith(said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-", "a.png", "-o", "out"], "give it alone"),
        (["-", "-", "-o", "out"], "give it alone"),
        (["-", "-o", "out"], "which is a terminal here"),
        (["a.png", "-o", "-"], "not written to standard output"),
        (["a.png", "b.png", "-o", "out.png"], "there are 2; give a folder"),
        (["a.png", "-o", "out.png", "--save", "labels,json"], "are 2 results; give a folder"),
        (["a.png", "-o", "out.jpg", "--save", "labels"], "is written to .png or .tif files"),
        (["a.png", "-o", "out.json", "--save", "overlay"], "is written to .jpg or "),
        (["a.png", "-o", "b.png"], "exists; give --force to replace it"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_the_model_is_opened(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    before = files(here)
    send(monkeypatch, b"", terminal=True)
    monkeypatch.setattr(Segmenter, "from_pretrained", None)
    assert predict(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("fastfcn predict: error: ")
    assert said in err
    assert files(here) == before


def test_a_closed_standard_input_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert predict("-", "-o", "out") == 2
    assert "which is closed here" in capsys.readouterr().err


def test_a_file_is_replaced_with_force_and_a_folder_of_that_name_stays_a_folder(
    here: Path,
) -> None:
    (here / "mask.png").write_text("mine")
    (here / "masks.png").mkdir()
    assert predict("a.png", "-o", "mask.png", "--force") == 0
    assert labels_in(here / "mask.png").shape == (40, 50)
    assert predict("a.png", "-o", "masks.png") == 0
    assert predict("a.png", "-o", "new.png/") == 0
    assert files(here / "masks.png") == files(here / "new.png") == ["a_labels.png"]


@pytest.mark.parametrize(("name", "shape"), [("o.jpg", (40, 50, 3)), ("o.webp", (40, 50, 3))])
def test_the_suffix_of_a_file_says_what_is_written(
    here: Path, name: str, shape: tuple[int, ...]
) -> None:
    assert predict("a.png", "-o", name) == 0
    picture = cv2.imread(name)
    assert picture is not None
    assert picture.shape == shape
    assert predict("a.png", "-o", "areas.json") == 0
    assert json.loads((here / "areas.json").read_text())["size"] == [40, 50]


@pytest.mark.parametrize(
    ("name", "save", "said"),
    [
        ("o.tif", "labels", "a.png is a picture, whose labels cannot be written to o.tif"),
        ("o.mp4", "overlay", "a.png is a picture, whose overlay cannot be written to o.mp4"),
    ],
)
def test_a_file_that_cannot_hold_the_result_is_refused_before_anything_is_labelled(
    here: Path, capsys: pytest.CaptureFixture[str], name: str, save: str, said: str
) -> None:
    before = files(here)
    assert predict("a.png", "-o", name, "--save", save) == 3
    assert said in capsys.readouterr().err
    assert files(here) == before


class Output(io.StringIO):
    """Standard output that remembers what had been flushed."""

    flushed = ""

    def flush(self) -> None:
        self.flushed = self.getvalue()


def test_json_is_a_line_for_each_picture_as_soon_as_it_is_done(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "b.png").write_text("text")
    stream, seen = Output(), []
    real = Segmentation.save_each

    def spy(self: Segmentation, paths: Any) -> Any:
        for _ in range(600 if self.source == "c.png" else 0):
            if stream.flushed.count("\n") < 2:
                time.sleep(0.1)
        seen.append((self.source, stream.flushed.count("\n")))
        return real(self, paths)

    monkeypatch.setattr(Segmentation, "save_each", spy)
    monkeypatch.setattr(sys, "stdout", stream)
    assert predict("a.png", "b.png", "c.png", "-o", "out", "--json", "--quiet") == 3
    assert seen == [("a.png", 0), ("c.png", 2)]  # the lines before were not waiting for c
    reports = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [report["source"] for report in reports] == ["a.png", "b.png", "c.png"]
    assert [report["status"] for report in reports] == ["done", "failed", "done"]
    assert reports[0]["written"] == ["out/a_labels.png"]


def test_after_ctrl_c_the_lines_of_the_pictures_that_are_done_are_there(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_at("c.png", monkeypatch)
    assert predict("a.png", "b.png", "c.png", "-o", "out", "--json") == 130
    out, err = capsys.readouterr()
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["done", "done"]
    assert err == "interrupted: 2 of 3 pictures are done; the same command continues there\n"


def test_failures_are_told_as_they_happen_and_not_lost_by_ctrl_c(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "a.png").write_text("text")
    stop_at("b.png", monkeypatch)
    assert predict("a.png", "b.png", "-o", "out") == 130
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("failed: a.png: ")
    assert last.startswith("interrupted: 1 of 2 pictures are done")
