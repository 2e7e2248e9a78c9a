"""``fastfcn predict`` of a video: an annotated video, a label map for each frame, and a report."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastfcn_infer.cli.main import main
from fastfcn_infer.inference.stream import video
from fastfcn_infer.inference.stream.film import Film
from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact

pytest.importorskip("av")
WORDS = ["-m", "tiny", "--threads", "1", "--quiet"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny model and a film of six frames, which is the current one."""
    tiny_artifact(tmp_path / "tiny")
    with Film(tmp_path / "film.mp4", Fraction(10)) as film:
        for seed in range(6):
            small = np.random.default_rng(seed).integers(0, 256, (5, 8, 3), np.uint8)
            film.add(np.kron(small, np.ones((16, 16, 1), np.uint8)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predict(*words: str) -> int:
    return main(["predict", "film.mp4", "-o", "out", *words, *WORDS])


def test_every_frame_gets_the_labels_that_it_has_by_itself(here: Path) -> None:
    assert predict("--save", "labels,overlay,json", "--every", "2") == 0
    frames = dict(video.frames(here / "film.mp4"))
    with Segmenter.from_pretrained("tiny", threads=1) as segmenter:
        for number in (0, 2, 4):
            found = np.asarray(Image.open(here / f"out/film_labels/{number:06}.png"))
            assert np.array_equal(found, segmenter.predict(frames[number]).labels)
    assert len(list((here / "out/film_labels").iterdir())) == 3
    overlay = here / "out/film_overlay.mp4"
    assert [frame.shape for _, frame in video.frames(overlay)] == [(80, 128, 3)] * 3
    assert video.rate(overlay) == 5  # every other of ten a second
    report = json.loads((here / "out/film.json").read_text())
    assert report["frames"] == 3
    assert sum(report["areas"].values()) == pytest.approx(1)
    assert 0 < report["flicker"] <= 1


def test_the_rate_and_smoothing_are_those_that_are_asked_for(here: Path) -> None:
    flicker = []
    for weight in ("0", "0.8"):
        assert (
            predict("--save", "overlay,json", "--fps", "7.5", "--smooth", weight, "--force") == 0
        )
        flicker.append(json.loads((here / "out/film.json").read_text())["flicker"])
    assert video.rate(here / "out/film_overlay.mp4") == Fraction(15, 2)
    assert flicker[1] < flicker[0]


def test_a_video_that_is_done_is_left_alone_and_a_broken_one_is_reported(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("--save", "overlay") == 0
    before = (here / "out/film_overlay.mp4").stat().st_mtime_ns
    assert predict("--save", "overlay", "--json") == 0
    assert json.loads(capsys.readouterr().out)["status"] == "exists"
    assert (here / "out/film_overlay.mp4").stat().st_mtime_ns == before
    (here / "film.mp4").write_bytes(b"rubbish")
    assert predict("--save", "overlay", "--force") == 3
    assert "film.mp4 cannot be opened as a video" in capsys.readouterr().err
    assert (here / "out/film_overlay.mp4").stat().st_mtime_ns == before


def test_wrong_numbers_are_refused_together(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("--every", "0", "--fps", "-1", "--smooth", "1") == 2
    said = capsys.readouterr().err
    assert all(word in said for word in ("--every 0", "--fps -1", "--smooth 1"))


def test_one_result_of_a_video_is_written_to_a_file_of_its_kind(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "film.mp4", "-o", "new/overlay.mp4", *WORDS]) == 0
    assert len(list(video.frames(here / "new/overlay.mp4"))) == 6
    for name in ("o.jpg", "o.png"):
        assert main(["predict", "film.mp4", "-o", name, *WORDS]) == 3
        assert f"cannot be written to {name}: give -o a folder" in capsys.readouterr().err
        assert not (here / name).exists()
