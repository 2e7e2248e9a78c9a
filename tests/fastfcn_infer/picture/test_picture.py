import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastfcn_infer.errors import ImageError
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
    assert np.asarray(picture) is PIXELS
    assert np.array(picture) is not PIXELS
    assert np.asarray(picture, np.float32).dtype == np.float32
    assert picture.size == (5, 7)
    assert repr(picture) == "Picture(5 x 7)"


def test_a_notebook_shows_at_most_1024_pixels_a_side() -> None:
    for shape, shown in {(5, 7): (7, 5), (3000, 1500): (512, 1024), (1, 5000): (1024, 1)}.items():
        png = Picture(np.zeros((*shape, 3), np.uint8))._repr_png_()
        assert Image.open(io.BytesIO(png)).size == shown
