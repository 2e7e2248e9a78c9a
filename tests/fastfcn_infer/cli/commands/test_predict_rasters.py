import json
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Output
from fastfcn_infer.cli import labelling
from fastfcn_infer.cli.commands import predict as command
from fastfcn_infer.cli.main import main
from fastfcn_infer.inference.raster import journal
from fastfcn_infer.segmenter import Segmenter
from fastfcn_infer.system.install import install
from models import tiny_artifact, tiny_model
from rasters import PLACE, labels_of, names_in, open_dataset, photograph, write_tiff


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny model and a georeferenced raster, which is the current one."""
    tiny_artifact(tmp_path / "tiny")
    (tmp_path / "in").mkdir()
    write_tiff(tmp_path / "in" / "map.tif", photograph(600, 500), photometric="rgb", **PLACE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predict(*words: str) -> int:
    return main(["predict", "-m", "tiny", "--threads", "1", *words])


def expected(path: str, procedure: str) -> NDArray[Any]:
    with Segmenter.from_pretrained("tiny", threads=1) as segmenter:
        return segmenter.predict(path, procedure).labels


def test_a_georeferenced_tiff_is_labelled_as_a_raster(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("in", "-o", "out", "--save", "labels,json") == 0
    out, err = capsys.readouterr()
    assert out == "1 of 1 pictures segmented\n"
    assert err == (
        f"{Path('in/map.tif')}: 600 x 500 pixels (height x width), labelled as a raster with the "
        "procedure tiles\n"
    )
    assert names_in(here / "out") == ["map.json", "map_labels.tif"]
    labels = labels_of(here / "out" / "map_labels.tif")
    np.testing.assert_array_equal(labels, expected("in/map.tif", "tiles"))
    with open_dataset(here / "out" / "map_labels.tif") as dataset:
        assert dataset.crs == PLACE["crs"]
    facts = json.loads((here / "out" / "map.json").read_text())
    assert facts["size"] == [600, 500]
    for area in facts["areas"]:
        assert area["pixels"] == (labels == area["label"]).sum()


def test_a_small_plain_tiff_is_a_picture_as_before(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiff(here / "plain.tif", photograph(100, 90), photometric="rgb")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    assert predict("plain.tif", "-o", "out") == 0
    assert names_in(here / "out") == ["plain_labels.png"]


def test_a_large_plain_tiff_is_a_raster(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert labelling.LARGEST_PICTURE == 2048 * 2048
    monkeypatch.setattr(labelling, "LARGEST_PICTURE", 100 * 90 - 1)
    write_tiff(here / "plain.tif", photograph(100, 90), photometric="rgb")
    assert predict("plain.tif", "-o", "out", "--json") == 0
    assert names_in(here / "out") == ["plain_labels.tif"]


@pytest.mark.parametrize(
    ("words", "procedure"),
    [
        (["--crop", "128", "--stride", "100"], "custom"),
        (["--procedure", "paddleseg-slide"], "paddleseg-slide"),
    ],
)
def test_options_choose_the_windows_of_rasters(
    words: list[str], procedure: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("in", "-o", "out", *words) == 0
    assert f"with the procedure {procedure}" in capsys.readouterr().err
    with open_dataset(here / "out" / "map_labels.tif") as dataset:
        kept = json.loads(dataset.tags()["FASTFCN_PROCEDURE"])
    assert kept["kind"] == procedure
    assert kept["windows"]["crop"] == ([128, 128] if words[0] == "--crop" else [480, 480])


@pytest.mark.parametrize(
    "words", [["--procedure", "whole"], ["--procedure", "fastfcn"], ["--scales", "0.5"]]
)
def test_a_procedure_that_sees_the_whole_picture_labels_it_as_a_picture(
    words: list[str], here: Path
) -> None:
    assert predict("in", "-o", "out", *words, "--save", "labels,overlay") == 0
    assert names_in(here / "out") == ["map_labels.png", "map_overlay.jpg"]


def test_a_model_whose_output_allows_no_windows_labels_pictures(tmp_path: Path) -> None:
    model = tiny_model()
    with_labels = Segmenter.__new__(Segmenter)
    with_labels.procedure = model.procedure

    def of_rasters(model: object) -> Any:
        raise ValueError(str(Output("labels", 1)))

    with_labels.model = model
    assert command._windows(with_labels, of_rasters, named=False) is None
    with pytest.raises(ValueError, match="labels"):
        command._windows(with_labels, of_rasters, named=True)


def test_results_that_exist_are_kept_and_force_makes_them_again(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "out").mkdir()
    (here / "out" / "map_labels.tif").write_bytes(b"mine")
    assert predict("in", "-o", "out", "--json-list") == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["status"] == "exists"
    assert (here / "out" / "map_labels.tif").read_bytes() == b"mine"
    assert predict("in", "-o", "out", "--save", "json") == 3
    assert "--force makes both" in capsys.readouterr().err
    assert (here / "out" / "map_labels.tif").read_bytes() == b"mine"
    assert predict("in", "-o", "out", "--force", "--json-list") == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["written"] == [str(Path("out/map_labels.tif"))]
    assert labels_of(here / "out" / "map_labels.tif").shape == (600, 500)


def test_a_bad_raster_among_others_fails_alone(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "in" / "cut.tif").write_bytes((here / "in" / "map.tif").read_bytes()[:5000])
    (here / "in" / "other.tif").write_text('<VRTDataset rasterXSize="9" rasterYSize="9"/>')
    assert predict("in", "-o", "out") == 3
    out, err = capsys.readouterr()
    assert "1 of 3 pictures segmented" in out
    assert "cut off" in err
    assert f"failed: {Path('in/other.tif')}" in err
    assert names_in(here / "out") == ["map_labels.tif"]


def test_an_overlay_of_a_raster_is_refused_with_what_can_be_saved(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("in", "-o", "out", "--save", "overlay,labels") == 3
    assert "--save overlay is for pictures only" in capsys.readouterr().err
    assert not (here / "out").exists()


def test_without_the_extra_a_raster_says_what_to_install(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rasterio", None)
    assert predict("in", "-o", "out") == 3
    assert install("geo") in capsys.readouterr().err


def test_too_little_memory_is_refused_with_what_is_needed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("in", "-o", "out", "--max-memory", "10MiB") == 3
    error = capsys.readouterr().err
    needed = error.partition("--max-memory ")[2].split(")")[0]
    assert predict("in", "-o", "out", "--max-memory", needed) == 0
    assert predict("in", "-o", "out", "--max-memory", "much") == 2
    assert "no amount of memory" in capsys.readouterr().err


def test_ctrl_c_says_that_the_same_command_continues(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("in", "-o", "out", "--crop", "64", "--json-list")
    append = journal.Progress.append

    def interrupted(self: journal.Progress, labels: NDArray[Any]) -> None:
        append(self, labels)
        if self.rows > 200:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(journal.Progress, "append", interrupted)
        assert predict(*words) == 130
    err = capsys.readouterr().err
    assert "of 600 rows of" in err
    assert "the same call or command continues there" in err
    assert names_in(here / "out") == [".map_labels.tif.unfinished"]
    assert predict(*words) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["resumed_rows"] > 200
    assert names_in(here / "out") == ["map_labels.tif"]
    resumed = (here / "out" / "map_labels.tif").read_bytes()
    assert predict(*words, "--force") == 0
    assert (here / "out" / "map_labels.tif").read_bytes() == resumed
