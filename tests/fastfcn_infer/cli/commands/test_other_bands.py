"""The commands with a model of six bands."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fastfcn_infer import Segmenter, open_dataset
from fastfcn_infer.benchmark.workload import photograph
from fastfcn_infer.cli.main import main
from fastfcn_infer.evaluation.metrics import Confusion
from models import tiny_artifact, tiny_model
from rasters import PLACE, labels_of, write_tiff

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model of six bands, which is the current one."""
    tiny_artifact(tmp_path / "tiny", tiny_model(4, channels=6))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scene(seed: int = 0, size: tuple[int, int] = (40, 50)) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(0, 65536, (*size, 6), np.uint16)


def labels(picture: NDArray[np.uint16]) -> NDArray[np.uint8 | np.uint16]:
    with Segmenter.from_pretrained("tiny", threads=1, backend="onnx_runtime") as segmenter:
        return segmenter.predict(picture).labels


def predict(*words: str) -> int:
    return main(["predict", "-m", "tiny", "--threads", "1", "--backend", "onnx_runtime", *words])


def test_predict_labels_tiff_files_and_draws_what_people_can_see(here: Path) -> None:
    # Channels apart and of 16 bits, which OpenCV cannot read.
    tifffile.imwrite(here / "a.tif", scene().transpose(2, 0, 1), photometric="minisblack", planarconfig="separate")  # fmt: skip
    assert predict("a.tif", "-o", "out", "--save", "labels-raw,overlay,color,json") == 0
    found = cv2.imread(str(here / "out" / "a_labels_raw.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(found, labels(scene()))
    overlay = cv2.imread(str(here / "out" / "a_overlay.jpg"))
    assert overlay is not None
    assert overlay.shape == (40, 50, 3)
    assert predict("a.tif", "--dry-run") == 0


def test_predict_labels_rasters_with_a_place_on_the_ground(here: Path) -> None:
    write_tiff(here / "b.tif", scene(), **PLACE)
    assert predict("b.tif", "-o", "out") == 0
    np.testing.assert_array_equal(labels_of(here / "out" / "b_labels.tif"), labels(scene()))


def test_a_picture_of_other_bands_fails_alone(here: Path, capsys: Captured) -> None:
    (here / "in").mkdir()
    write_tiff(here / "in" / "a.tif", scene())
    write_tiff(here / "in" / "b.tif", scene()[:, :, :4])
    cv2.imwrite(str(here / "in" / "c.png"), np.zeros((40, 50, 3), np.uint8))
    assert predict("in", "-o", "out") == 3
    failed = capsys.readouterr().err
    assert "b.tif: the model takes 6 bands, the picture has 4" in failed
    assert "c.png: the model takes 6 bands, the picture has 3" in failed
    assert (here / "out" / "a_labels.png").exists()


def test_evaluate_reads_the_tiff_files_of_a_list(here: Path, capsys: Captured) -> None:
    root = here / "data"
    root.mkdir()
    classes = [{"name": f"class {i}", "color": [i, 128, 255]} for i in range(4)]
    (root / "classes.json").write_text(json.dumps(classes))
    expected = Confusion(4)
    for index in range(3):
        write_tiff(root / f"{index}.tif", scene(index), interleave="band")
        truth = np.random.default_rng(index).integers(0, 4, (40, 50), np.uint8)
        cv2.imwrite(str(root / f"{index}.png"), truth)
        expected.add(labels(scene(index)), truth)
    (root / "val.txt").write_text("".join(f"{i}.tif {i}.png\n" for i in range(3)))
    words = ["--dataset", "listed", "--root", "data", "--split", "val"]
    assert main(["evaluate", "tiny", *words, "--threads", "1"]) == 0
    assert "class 3" in capsys.readouterr().out
    with Segmenter.from_pretrained("tiny", threads=1, backend="onnx_runtime") as segmenter:
        found = segmenter.evaluate(open_dataset("listed", root, "val"))
    assert found.failed == {}
    assert found.confusion == expected


def test_benchmark_feeds_as_many_bands_as_the_model_takes(here: Path) -> None:
    words = ["--size", "64x64", "--batch", "2", "--seconds", "0.1", "--threads", "1"]
    assert main(["benchmark", "tiny", *words, "--backend", "onnx_runtime"]) == 0
    assert photograph((60, 80), tiny_model(channels=6).input).shape == (60, 80, 6)


def test_info_says_the_mean_of_every_band(here: Path, capsys: Captured) -> None:
    assert main(["info", "tiny"]) == 0
    assert "[0.5, 0.5, 0.5, 0.5, 0.5, 0.5]" in capsys.readouterr().out
