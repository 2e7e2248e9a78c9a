"""Rasters too wide for the memory are labelled in strips of columns, with the same labels."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from command_line import SEARCH_PATH
from fastfcn_infer import ImageError, Procedure, Segmenter, Windows
from fastfcn_infer.inference.raster import journal, memory
from fastfcn_infer.inference.raster.journal import Progress
from fastfcn_infer.inference.views import plan
from models import tiny_artifact, tiny_model
from rasters import PLACE, labels_of, names_in, open_dataset, photograph, write_tiff

SMALL = Procedure(windows=Windows(64, 40), mirror="horizontal")


@pytest.fixture
def in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every raster be divided into strips of 512 columns."""
    monkeypatch.setattr(memory, "_layouts", lambda best, views, width: [(best, 512)])


@pytest.mark.parametrize(
    "procedure",
    [
        "tiles",
        "paddleseg-slide",
        SMALL,
        Procedure(windows=Windows((80, 48), (33, 40), "pad"), mirror="horizontal"),
        Procedure(windows=Windows(64, 40), mirror="both"),
        Procedure(windows=Windows(70, 30, "shift", "gaussian"), merge="exp"),
        Procedure(windows=Windows(64, 40), merge="probabilities", mirror="vertical"),
        Procedure(windows=Windows(600, 500), merge="exp"),
    ],
)
def test_every_procedure_gives_the_labels_of_the_whole_width(
    procedure: str | Procedure, segmenter: Segmenter, tmp_path: Path
) -> None:
    path = write_tiff(tmp_path / "a.tif", photograph(211, 1700), photometric="rgb")
    whole = segmenter.predict_raster(path, tmp_path / "whole.tif", procedure)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "_layouts", lambda best, views, width: [(best, 512)])
        found = segmenter.predict_raster(path, tmp_path / "strips.tif", procedure)
    assert (whole.strip, found.strip) == (None, 512)
    expected = labels_of(tmp_path / "whole.tif")
    np.testing.assert_array_equal(labels_of(tmp_path / "strips.tif"), expected)
    assert found.areas() == whole.areas()
    assert len(np.unique(expected)) > 1


@pytest.mark.parametrize("width", [511, 512, 513, 1024, 1025, 1600])
def test_every_width_is_covered(
    width: int, segmenter: Segmenter, in_strips: None, tmp_path: Path
) -> None:
    picture = photograph(90, width)
    path = write_tiff(tmp_path / "a.tif", picture, photometric="rgb", blockysize=7)
    segmenter.predict_raster(path, tmp_path / "labels.tif", SMALL)
    np.testing.assert_array_equal(
        labels_of(tmp_path / "labels.tif"), segmenter.predict(picture, SMALL).labels
    )


def test_pixels_without_data_are_marked_in_every_strip(
    segmenter: Segmenter, in_strips: None, tmp_path: Path
) -> None:
    picture = photograph(90, 1200)
    picture[20:40, 500:530] = 0
    picture[:, 1190:] = 0
    path = write_tiff(tmp_path / "a.tif", picture, photometric="rgb", nodata=0)
    result = segmenter.predict_raster(path, tmp_path / "labels.tif", SMALL)
    empty = (picture == 0).all(2)
    np.testing.assert_array_equal(labels_of(tmp_path / "labels.tif") == result.nodata, empty)


class StopError(Exception):
    """The run ends here."""


@pytest.mark.parametrize("rows", [1, 200, 300, 500, 659])
def test_an_interrupted_run_continues_in_the_strip_where_it_was(
    rows: int, segmenter: Segmenter, in_strips: None, tmp_path: Path
) -> None:
    path = write_tiff(tmp_path / "a.tif", photograph(220, 1400), photometric="rgb", **PLACE)
    clean = segmenter.predict_raster(path, tmp_path / "clean.tif", SMALL)
    append = journal.Progress.append

    def stopping(self: Progress, labels: NDArray[Any]) -> None:
        append(self, labels)
        if self.rows >= rows:
            raise StopError

    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "labels.tif"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal.Progress, "append", stopping)
        with pytest.raises(StopError):
            segmenter.predict_raster(path, target, SMALL)
    found = segmenter.predict_raster(path, target, SMALL)
    assert rows <= found.resumed <= 660
    assert target.read_bytes() == clean.path.read_bytes()
    assert names_in(tmp_path / "out") == ["labels.tif"]


def test_what_was_kept_of_another_division_is_not_used(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    path = write_tiff(tmp_path / "a.tif", photograph(220, 1400), photometric="rgb")
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "labels.tif"

    def stopping(self: Progress, labels: NDArray[Any]) -> None:
        append(self, labels)
        raise StopError

    append = journal.Progress.append
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "_layouts", lambda best, views, width: [(best, 512)])
        patch.setattr(journal.Progress, "append", stopping)
        with pytest.raises(StopError):
            segmenter.predict_raster(path, target, SMALL)
    with pytest.warns(RuntimeWarning, match=r"not used.*strip: 512 then, None now"):
        found = segmenter.predict_raster(path, target, SMALL)
    assert found.resumed == 0
    np.testing.assert_array_equal(labels_of(target), segmenter.predict(path, SMALL).labels)


CHILD = """
import sys
from pathlib import Path
import numpy as np
import rasterio.windows
from fastfcn_infer import Procedure, Segmenter, Windows

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

source, model, crop, allowed = sys.argv[1:]
windows = Procedure(windows=Windows(int(crop), int(crop) * 2 // 3))
with Segmenter.from_pretrained(model, threads=1, backend="onnx_runtime") as segmenter:
    segmenter.predict(np.zeros((33, 33, 3), np.uint8))
    before = peak()
    found = segmenter.predict_raster(source, source + ".labels.tif", windows, max_memory=int(allowed))
print(found.strip, peak() - before, found.memory)
"""


def label(source: Path, model: Path, crop: int, allowed: int) -> tuple[int, int, int]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, (source, model, crop, allowed))],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": SEARCH_PATH},
    )
    strip, peak, estimate = map(int, done.stdout.split())
    return strip, peak, estimate


def make(path: Path, height: int, width: int) -> Path:
    """Write noise in tiles, a part at a time."""
    profile = {"driver": "GTiff", "height": height, "width": width, "count": 3, "dtype": "uint8"}
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "photometric": "rgb"}
    with open_dataset(path, "w", **profile, **tiles) as dataset:
        part = np.random.default_rng(0).integers(0, 256, (3, height, 8192), np.uint8)
        for left in range(0, width, 8192):
            count = min(8192, width - left)
            window = ((0, height), (left, left + count))
            dataset.write(part[:, :, :count], window=window)
    return path


@pytest.mark.skipif(
    not Path("/proc/self/status").is_file(), reason="memory is measured as Linux tells it"
)
@pytest.mark.parametrize(
    ("height", "width", "crop"),
    [(70, 120_000, 128), pytest.param(600, 160_000, 480, marks=pytest.mark.slow)],
)
def test_the_memory_of_a_very_wide_raster_is_kept(
    height: int, width: int, crop: int, tmp_path: Path
) -> None:
    tiny_artifact(tmp_path / "tiny", tiny_model(20))
    allowed = 200 << 20
    source = make(tmp_path / "a.tif", height, width)
    strip, peak, estimate = label(source, tmp_path / "tiny", crop, allowed)
    assert strip < width
    assert peak <= estimate <= allowed


def test_strips_are_taken_only_where_the_whole_width_does_not_fit(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    path = make(tmp_path / "a.tif", 64, 40_000)
    windows = Procedure(windows=Windows(64, 64))
    enough = segmenter.plan_raster(path, windows)
    assert not any("strips" in note for note in enough.notes)
    less = segmenter.plan_raster(path, windows, max_memory=150 << 20)
    assert less.memory <= 150 << 20 < enough.memory
    assert any("strips of" in note for note in less.notes)
    with pytest.raises(ImageError, match=r"takes at least .* and 90MiB are allowed"):
        segmenter.plan_raster(path, windows, max_memory=90 << 20)


def test_the_widest_strip_that_fits_is_proposed_first() -> None:
    planned = plan(Procedure(windows=Windows(64, 64)), (None, None), (64, 5000))
    found = list(memory._layouts(4, planned, 5000))
    assert found[:3] == [(4, None), (2, None), (1, None)]
    assert found[3:7] == [(4, 2560), (4, 1536), (4, 1024), (4, 512)]
    assert found[-1] == (1, 512)
    assert list(memory._layouts(4, planned, 400)) == [(4, None), (2, None), (1, None)]
