"""A picture that the procedure shrinks much is said, once, with what to do."""

import warnings
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from command_line import python
from fastfcn_infer.artifact.procedure import Procedure, Resize
from fastfcn_infer.inference.views import reduction
from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact, tiny_model

SHRINKS = Procedure("whole", Resize("short_side", 32, align_corners=False))
FREE = (None, None)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    tiny_artifact(tmp_path / "tiny", replace(tiny_model(), procedure=SHRINKS))
    return tmp_path / "tiny"


def picture(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.zeros((height, width, 3), np.uint8)


def test_beyond_four_times_it_is_said_once_by_a_segmenter_with_both_sizes(model: Path) -> None:
    with Segmenter.from_pretrained(model, threads=1) as segmenter:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            segmenter(picture(128, 160))  # exactly four times
            segmenter(picture(400, 640), "tiles")
        with pytest.warns(RuntimeWarning, match=r"400 x 640 .* 12\.5 times, to 32 x 51.*tiles"):
            segmenter(picture(400, 640))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            segmenter(picture(400, 640))
    with (
        Segmenter.from_pretrained(model, threads=1) as another,
        pytest.warns(RuntimeWarning, match="shrunk"),
    ):
        another(picture(640, 400))


def test_a_run_says_it_once_on_standard_error(model: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture(200, 300))
    words = ("-m", "fastfcn_infer", "predict", tmp_path, "-o", tmp_path / "out", "-m", model)
    ended = python(*words, env={"PYTHONWARNINGS": "default"})
    assert ended.returncode == 0
    assert ended.stderr.count("shrunk") == 1
    assert "--procedure tiles" in ended.stderr


@pytest.mark.parametrize(
    ("procedure", "shape", "factor"),
    [
        (Procedure("whole", None), FREE, None),
        (Procedure.preset("tiles"), FREE, None),
        (SHRINKS, FREE, 10.0),
        (replace(SHRINKS, scales=(0.5, 2.0), kind="custom"), FREE, 5.0),
        (Procedure("whole", None), (80, 80), 8.0),  # a graph of fixed shape shrinks, too
        (Procedure("whole", Resize("short_side", 640, align_corners=False)), FREE, None),
    ],
)
def test_the_factor_is_that_of_the_largest_view(
    procedure: Procedure, shape: tuple[int | None, int | None], factor: float | None
) -> None:
    found = reduction(procedure, shape, (320, 640))
    assert (None if found is None else found.factor) == (
        None if factor is None else pytest.approx(factor, rel=0.01)
    )
