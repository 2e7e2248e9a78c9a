"""``fastfcn predict`` of a video: an annotated video, a label map for each frame, and a report."""

import argparse
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastfcn_infer.artifact.manifest import Output
from fastfcn_infer.cli import films
from fastfcn_infer.cli.main import main
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.inference.stream import video
from fastfcn_infer.inference.stream.film import Film
from fastfcn_infer.inference.stream.source import open_source
from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact, tiny_model

av = pytest.importorskip("av")
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
    frames = [frame.pixels for frame in video.frames(here / "film.mp4")]
    with Segmenter.from_pretrained("tiny", threads=1) as segmenter:
        for number in (0, 2, 4):
            found = np.asarray(Image.open(here / f"out/film_labels/{number:06}.png"))
            assert np.array_equal(found, segmenter.predict(frames[number]).labels)
    assert len(list((here / "out/film_labels").iterdir())) == 3
    overlay = here / "out/film_overlay.mp4"
    assert [frame.pixels.shape for frame in video.frames(overlay)] == [(80, 128, 3)] * 3
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


def test_label_maps_of_a_run_that_was_stopped_do_not_pass_as_results(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Segmentation.save

    def stop(self: Segmentation, path: Path, **options: Any) -> None:
        if self.frame == 3:
            raise KeyboardInterrupt
        real(self, path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Segmentation, "save", stop)
        assert predict() == 130
    assert not (here / "out/film_labels").exists()
    assert predict() == 0
    assert len(list((here / "out/film_labels").iterdir())) == 6


def test_results_of_other_frames_are_not_taken_for_these(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("--save", "labels,overlay", "--every", "3") == 0
    assert predict("--save", "labels,overlay") == 2
    said = capsys.readouterr().err
    assert said.count("frames between (--every) 3, now 1") == 2
    assert predict("--save", "labels,overlay", "--force") == 0
    assert len(list((here / "out/film_labels").iterdir())) == 6


def test_a_video_that_is_cut_off_fails_and_the_next_one_is_done(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [frame.pixels for frame in video.frames(here / "film.mp4")]
    with av.open(str(here / "cut.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 80, 128, "yuv420p"
        for frame in frames * 5:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    data = (here / "cut.avi").read_bytes()
    (here / "cut.avi").write_bytes(data[: len(data) // 2])
    assert main(["predict", "cut.avi", "film.mp4", "-o", "out", "--save", "overlay", *WORDS]) == 3
    assert "has 30 frames by its header" in capsys.readouterr().err
    assert [path.name for path in (here / "out").iterdir()] == ["film_overlay.mp4"]


def test_frames_of_the_annotated_video_are_shown_when_those_of_the_video_are(here: Path) -> None:
    times = [0, 0.04, 1.0, 1.5, 4.0]
    frames = [frame.pixels for frame in video.frames(here / "film.mp4")]
    with Film(here / "film.mp4", Fraction(25)) as film:
        for frame, time in zip(frames, times, strict=False):
            film.add(frame, time)
    assert predict("--save", "overlay") == 0
    shown = [frame.time for frame in video.frames(here / "out/film_overlay.mp4")]
    assert shown == pytest.approx(times, abs=1e-3)
    assert predict("--save", "overlay", "--fps", "10", "--force") == 0
    shown = [frame.time for frame in video.frames(here / "out/film_overlay.mp4")]
    assert shown == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=1e-3)


def test_another_rate_is_another_video_but_label_maps_are_the_same(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("--save", "overlay,labels", "--fps", "5") == 0
    assert predict("--save", "labels", "--fps", "7") == 0
    assert predict("--save", "overlay", "--fps", "7") == 2
    assert "frames a second (--fps) 5.0, now 7.0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--every", "2", "--smooth", "0.5"], "--every, --smooth: for videos, and there is none"),
        (["--fps", "2"], "--fps: for videos, and there is none"),
        (["--seconds", "2"], "--seconds is for a camera or an address"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    words: list[str], said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (16, 16)).save("a.png")
    assert main(["predict", "a.png", "-o", "out", *words, *WORDS]) == 2
    assert said in capsys.readouterr().err
    assert not (here / "out").exists()


def test_label_maps_of_a_video_are_not_taken_as_pictures_of_a_folder(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("in").mkdir()
    Image.new("RGB", (16, 16)).save("in/a.png")
    kinds = "labels,labels-raw,overlay,color,confidence,json"
    words = ["film.mp4", "in", "-o", "in", "--save", kinds, *WORDS]
    assert main(["predict", *words]) == 0
    found = [str(item.source) for item in open_source("in/**/*.png").items]
    assert found == ["in/a.png"]
    capsys.readouterr()
    assert main(["predict", "in", "-o", "out", "--recursive", "--json", *WORDS]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["source"] == "in/a.png"


def test_a_record_of_other_frames_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("--resume", "job.jsonl", "--every", "2") == 0
    assert predict("--resume", "job.jsonl") == 2
    assert "record of another job: frames between (--every) 2, now 1" in capsys.readouterr().err


def test_annotated_videos_are_not_taken_as_input_and_names_may_have_a_colon(here: Path) -> None:
    (here / "film.mp4").rename(here / "a:1.mp4")
    for _ in range(2):
        assert main(["predict", "*.mp4", "-o", ".", "--save", "overlay", *WORDS]) == 0
    assert sorted(path.name for path in here.glob("*.mp4")) == ["a:1.mp4", "a:1_overlay.mp4"]


def test_a_dry_run_plans_a_frame_and_a_limit_of_pixels_is_kept(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "film.mp4", "--dry-run", "--every", "2", "-m", "tiny"]) == 0
    out, err = capsys.readouterr()
    assert "picture        80 x 128, procedure whole" in out
    assert err == "film.mp4: 3 frames; the plan is that of one\n"
    assert predict("--max-pixels", "100") == 3
    assert "10240 pixels" in capsys.readouterr().err.replace(",", "")


@pytest.mark.parametrize("output", ["probabilities", "labels"])
def test_smoothing_needs_logits(output: Any) -> None:
    model = replace(tiny_model(), output=Output(output, 1))
    films.check_model(model, argparse.Namespace(smooth=0.0))
    films.check_model(tiny_model(), argparse.Namespace(smooth=0.5))
    with pytest.raises(
        ValueError, match=f"--smooth averages logits, and tiny .* --output {output}"
    ):
        films.check_model(model, argparse.Namespace(smooth=0.5))
