"""``fastfcn predict --dry-run`` says what would be done and writes nothing."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fastfcn_infer.cli.main import main
from models import tiny_artifact
from rasters import PLACE, photograph, write_tiff

SIZES = [(40, 60), (40, 60), (41, 60), (50, 50), (33, 90), (64, 64), (70, 35), (80, 36), (36, 80)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny model and pictures of several sizes, which is the current one."""
    tiny_artifact(tmp_path / "tiny")
    (tmp_path / "in").mkdir()
    for index, size in enumerate(SIZES):
        cv2.imwrite(str(tmp_path / "in" / f"{index}.png"), np.zeros((*size, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dry_run(*words: str) -> int:
    return main(["predict", "-m", "tiny", "--threads", "1", "--dry-run", *words])


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_it_plans_each_size_once_and_writes_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(here)
    assert dry_run("in", "-o", "out") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith(f"{Path('in/0.png')} and 1 more of this size\npicture        40 x 60")
    assert out.count("multiply-adds") == 6
    assert "... and 2 more sizes, of 2 pictures" in out
    assert "\n9 pictures: " in out
    assert files(here) == before


def test_the_output_folder_may_be_left_out_here_only(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dry_run("in/0.png") == 0
    assert main(["predict", "-m", "tiny", "in/0.png"]) == 2
    assert "-o DIR" in capsys.readouterr().err


def test_json_lists_every_plan_and_picture(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dry_run("in", "--json", "--procedure", "tiles") == 0
    data = json.loads(capsys.readouterr().out)
    assert sorted(tuple(plan["size"]) for plan in data["plans"]) == sorted(set(SIZES))
    assert sum(len(plan["sources"]) for plan in data["plans"]) == data["pictures"] == len(SIZES)
    times = [plan["seconds"] * len(plan["sources"]) for plan in data["plans"]]
    assert data["seconds"] == pytest.approx(sum(times))
    assert data["memory"] == max(plan["memory"] for plan in data["plans"])


def test_pictures_that_cannot_be_planned_are_listed_with_the_reason(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "in" / "bad.png").write_bytes(b"no picture")
    assert dry_run("in", "--max-pixels", "3000") == 3
    out, err = capsys.readouterr()
    assert "5 pictures: " not in out
    assert "bad.png is not a picture" in err
    assert "5.png has 64 x 64 = 4,096 pixels, more than the limit of 3,000" in err


def test_a_thousand_bad_pictures_are_summed_up(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "bad").mkdir()
    for index in range(1000):
        (here / "bad" / f"{index}.png").write_bytes(b"no picture")
    assert dry_run("bad") == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 7
    assert "... and 994 more cannot be planned" in err


def test_a_picture_that_is_turned_by_exif_is_planned_upright(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = pytest.importorskip("PIL.Image")
    exif = image.Exif()
    exif[0x0112] = 6
    image.new("RGB", (60, 40)).save(here / "turned.jpg", exif=exif)
    assert dry_run("turned.jpg") == 0
    assert "picture        60 x 40" in capsys.readouterr().out


def test_a_raster_is_planned_in_windows_at_the_memory_that_is_allowed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rasterio")
    write_tiff(here / "map.tif", photograph(600, 500), photometric="rgb", **PLACE)
    before = files(here)
    assert dry_run("map.tif", "--json") == 0
    (plan,) = json.loads(capsys.readouterr().out)["plans"]
    assert plan["procedure"]["kind"] == "tiles"
    assert plan["memory"] <= 1 << 30
    assert dry_run("map.tif", "--max-memory", "1MiB") == 3
    assert "takes at least" in capsys.readouterr().err
    assert files(here) == before
