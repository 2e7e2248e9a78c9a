import copy
import io
import pickle
import sys
import types
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
from PIL import Image

from fastfcn_infer.errors import BackendMissing, ImageError
from fastfcn_infer.picture.picture import Picture

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
SMOOTH = np.full((40, 60, 3), (200, 30, 90), np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".PNG"])
def test_lossless_suffixes_give_back_the_pixels_in_order(suffix: str, tmp_path: Path) -> None:
    Picture(PIXELS).save(tmp_path / f"a{suffix}")
    assert (np.asarray(Image.open(tmp_path / f"a{suffix}")) == PIXELS).all()


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_lossy_suffixes_give_back_about_the_pixels(suffix: str, tmp_path: Path) -> None:
    Picture(SMOOTH).save(str(tmp_path / f"a{suffix}"))
    found = np.asarray(Image.open(tmp_path / f"a{suffix}").convert("RGB"))
    assert np.abs(found.astype(int) - SMOOTH).max() <= 4


@pytest.mark.parametrize("name", ["a", "a.gif", "a.txt", "png"])
def test_another_suffix_is_refused_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.png, \.jpg"):
        Picture(PIXELS).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_too_large_for_its_format_is_refused_and_the_old_file_stays(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.webp"
    path.write_text("old")
    with pytest.raises(ImageError, match=r"16400 x 1"):
        Picture(np.zeros((16400, 1, 3), np.uint8)).save(path)
    assert path.read_text() == "old"


def test_numpy_sees_the_pixels_without_a_copy() -> None:
    picture = Picture(PIXELS)
    assert np.shares_memory(np.asarray(picture), PIXELS)
    assert type(np.asarray(picture)) is np.ndarray
    assert type(picture.array) is np.ndarray
    assert np.asarray(picture, np.float32).dtype == np.float32
    assert repr(picture) == "Picture(5 x 7)"


def test_pillow_and_opencv_take_it_as_the_array_that_it_is(tmp_path: Path) -> None:
    picture = Picture(PIXELS)
    image = Image.fromarray(picture)
    assert (image.size, image.mode) == ((7, 5), "RGB")
    np.testing.assert_array_equal(np.asarray(image), PIXELS)
    assert cv2.imwrite(str(tmp_path / "a.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), PIXELS)
    assert cv2.resize(picture, (14, 10)).shape == (10, 14, 3)


def test_it_becomes_a_pillow_image_that_is_a_copy() -> None:
    picture = Picture(PIXELS.copy())
    image = picture.to_pil()
    picture[:] = 0
    assert image.size == (7, 5)
    np.testing.assert_array_equal(np.asarray(image), PIXELS)


def test_parts_and_results_of_arithmetic_are_no_pictures() -> None:
    picture = Picture(PIXELS)
    assert type(picture / 2) is np.ndarray
    assert type(picture == 3) is np.ndarray
    assert picture.mean() == PIXELS.mean()
    assert repr(picture[0]) == repr(PIXELS[0])
    for part in (picture[..., 0], picture[:0]):
        assert cast("Picture", part)._repr_png_() is None
    for part in (picture[..., 0], picture.astype(float)):
        with pytest.raises(ValueError, match="is no picture"):
            cast("Picture", part).encode(".png")
    assert str(picture) == "Picture(5 x 7)"
    assert str(picture[0]) == str(PIXELS[0])
    with pytest.raises(ValueError, match=r"uint8 \(H, W, 3\) was expected"):
        Picture(PIXELS[..., 0])


def test_it_survives_pickling_and_copying() -> None:
    for again in (pickle.loads(pickle.dumps(Picture(PIXELS))), copy.deepcopy(Picture(PIXELS))):
        assert repr(again) == "Picture(5 x 7)"
        np.testing.assert_array_equal(again, PIXELS)


def test_it_is_shown_in_the_viewer_or_says_that_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[Any] = []

    def show(image: Any) -> bool:
        shown.append(image)
        return True

    monkeypatch.setattr("PIL.ImageShow.show", show)
    Picture(PIXELS).show()
    np.testing.assert_array_equal(np.asarray(shown[0]), PIXELS)
    monkeypatch.setattr("PIL.ImageShow.show", lambda image: False)
    with pytest.raises(OSError, match="no program that shows pictures"):
        Picture(PIXELS).show()


def test_in_a_notebook_it_is_displayed_there(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    shell = types.SimpleNamespace(kernel=1)
    display = types.SimpleNamespace(display=shown.append)
    notebook = types.SimpleNamespace(get_ipython=lambda: shell, display=display)
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    Picture(PIXELS).show()
    assert [repr(each) for each in shown] == ["Picture(5 x 7)"]


def test_without_pillow_a_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(BackendMissing, match=r"pip install .*\[formats\]"):
        Picture(PIXELS).to_pil()


def test_a_notebook_shows_at_most_1024_pixels_a_side() -> None:
    for shape, shown in {(5, 7): (7, 5), (3000, 1500): (512, 1024), (1, 5000): (1024, 1)}.items():
        png = Picture(np.zeros((*shape, 3), np.uint8))._repr_png_()
        assert png is not None
        assert Image.open(io.BytesIO(png)).size == shown
