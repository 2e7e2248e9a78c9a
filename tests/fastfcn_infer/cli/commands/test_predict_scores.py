"""Groups of classes, certain pixels and confidence on the command line."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fastfcn_infer import Segmenter
from fastfcn_infer.cli.main import main
from fastfcn_infer.cli.result_options import parse_groups
from fastfcn_infer.picture.label_map import read_label_file
from models import tiny_artifact, tiny_model
from rasters import PLACE, labels_of, photograph, write_tiff

GROUPS = {"ab": ["class 0", 1]}
ASKED = ("--groups", "ab=class 0,1", "--min-confidence", "0.6")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny model and a picture, which is the current one."""
    tiny_artifact(tmp_path / "tiny", tiny_model(4))
    cv2.imwrite(str(tmp_path / "a.png"), photograph(60, 80))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predict(*words: str) -> int:
    return main(["predict", "-m", "tiny", "--threads", "1", *words])


def test_what_is_written_is_what_the_options_mean_in_python(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("a.png", "-o", "out", "--save", "labels,json,confidence,overlay", *ASKED) == 0
    with Segmenter.from_pretrained("tiny", threads=1) as segmenter:
        expected = segmenter.predict("a.png", keep="scores", groups=GROUPS, min_confidence=0.6)  # type: ignore[arg-type]
    labels = read_label_file(here / "out" / "a_labels.png")
    np.testing.assert_array_equal(labels, expected.labels)
    assert {255, 0} <= set(np.unique(labels))
    grey = cv2.imread("out/a_confidence.png", cv2.IMREAD_UNCHANGED)
    assert grey is not None
    assert grey.dtype == np.uint8
    np.testing.assert_allclose(grey / 255, expected.confidence(), rtol=0, atol=0.5001 / 255)
    facts = json.loads((here / "out" / "a.json").read_text(encoding="utf-8"))
    assert facts["names"] == ["ab", "class 2", "class 3"]
    assert facts["ignore_label"] == 255
    # The same again leaves everything alone; with other options it is refused.
    assert predict("a.png", "-o", "out", "--save", "labels", *ASKED) == 0
    assert predict("a.png", "-o", "out", "--save", "labels", *ASKED[:2]) == 2
    assert "least confidence (--min-confidence) 0.6, now None" in capsys.readouterr().err
    assert predict("a.png", "-o", "out", "--save", "labels", *ASKED[2:]) == 2
    assert "other groups of classes" in capsys.readouterr().err


def test_a_record_of_another_confidence_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("a.png", "-o", "out", "--resume", "done.jsonl", *ASKED) == 0
    assert predict("a.png", "-o", "out2", "--resume", "done.jsonl") == 2
    assert "least confidence (--min-confidence) 0.6, now None" in capsys.readouterr().err


def test_rasters_take_both_options_and_refuse_a_picture_of_confidence(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiff(here / "map.tif", photograph(100, 120), **PLACE)
    assert predict("map.tif", "-o", "out", *ASKED) == 0
    with Segmenter.from_pretrained("tiny", threads=1) as segmenter:
        expected = segmenter.predict("map.tif", "tiles", groups=GROUPS, min_confidence=0.6)  # type: ignore[arg-type]
    np.testing.assert_array_equal(labels_of(here / "out" / "map_labels.tif"), expected.labels)
    assert predict("map.tif", "-o", "out2", "--save", "confidence") == 3
    assert "--save confidence is for pictures" in capsys.readouterr().err


def test_the_frames_of_a_video_take_them(here: Path) -> None:
    av = pytest.importorskip("av")
    with av.open("film.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 80, 64, "yuv420p"
        for seed in range(2):
            frame = av.VideoFrame.from_ndarray(photograph(64, 80, seed), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert predict("film.mp4", "-o", "out", "--save", "labels,confidence", *ASKED) == 0
    frames = sorted((here / "out" / "film_labels").iterdir())
    assert len(frames) == len(list((here / "out" / "film_confidence").iterdir())) == 2
    assert (read_label_file(frames[0]) == 255).any()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ab", "'ab' is no group; NAME=CLASS,CLASS"),
        ("ab=", "'ab=' is no group"),
        ("=class 1", "is no group"),
        ("ab=class 1,,2", "is no group"),
        (" ; ", "empty"),
        ("ab=1;ab=2", "'ab' is there twice"),
        ("no.json", "no.json cannot be read"),
        ("list.json", "an object such as"),
        ("twice.json", "twice"),
        ("number.json", "an object such as"),
    ],
)
def test_groups_that_are_written_in_another_way_are_refused(
    text: str, said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "list.json").write_text('["a"]')
    (here / "twice.json").write_text('{"a": ["b"], "a": ["c"]}')
    (here / "number.json").write_text('{"a": [true]}')
    assert predict("a.png", "-o", "out", "--groups", text) == 2
    assert said in capsys.readouterr().err
    assert not (here / "out").exists()


def test_options_that_are_given_twice_count_twice(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["a.png", "-o", "out", "--save", "json", "--save", "labels", "--groups", "a=class 0"]
    assert predict(*words, "--groups", "b=class 1,2") == 0
    assert json.loads((here / "out" / "a.json").read_text())["names"] == ["a", "b", "class 3"]
    assert (here / "out" / "a_labels.png").exists()
    assert predict(*words, "--groups", "a=class 1") == 2
    assert "the group 'a' is there twice" in capsys.readouterr().err
    assert predict(*words, "--save", "") == 2
    assert "--save '': expected one or more of labels" in capsys.readouterr().err


def test_groups_are_read_from_text_and_from_a_file(tmp_path: Path) -> None:
    expected = {"vehicle": ["car", "bus"], "nature": ["tree", 9]}
    assert parse_groups(" vehicle = car, bus;nature=tree,9; ") == expected
    (tmp_path / "groups.json").write_text(json.dumps(expected))
    assert parse_groups(str(tmp_path / "groups.json")) == expected
