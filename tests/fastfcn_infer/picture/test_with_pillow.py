"""AVIF, JPEG 2000 and HEIC: the extra `formats`."""

import io
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from fastfcn_infer.errors import ImageError
from fastfcn_infer.picture.read import read_oriented, read_picture, read_size

SMOOTH = np.zeros((40, 60, 3), np.uint8)
SMOOTH[:, :30] = 200, 30, 90
SMOOTH[20:, 30:] = 20, 130, 190
NAMES = {"AVIF": "AVIF", "JPEG2000": "JPEG 2000", "HEIF": "HEIC"}
MODULES = {
    "AVIF": "PIL.AvifImagePlugin",
    "JPEG2000": "PIL.Jpeg2KImagePlugin",
    "HEIF": "pillow_heif.as_plugin",
}


def encode(format: str, pixels: Any = SMOOTH, mode: str = "RGB", **options: Any) -> bytes:
    image, file = Image.fromarray(pixels).convert(mode), io.BytesIO()
    if format == "HEIF":
        pytest.importorskip("pillow_heif").from_pillow(image).save(file, quality=95, **options)
    else:
        pytest.importorskip(MODULES[format])
        image.save(file, format, **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("format", NAMES)
def test_a_file_of_the_extra_is_read_as_about_its_pixels(format: str, mode: str) -> None:
    found = read_picture(encode(format, mode=mode))
    expected = np.asarray(Image.fromarray(SMOOTH).convert(mode).convert("RGB"))
    assert found.shape == expected.shape
    assert np.median(np.abs(found.astype(int) - expected)) <= 4


def test_jpeg_2000_without_loss_gives_back_the_pixels(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (33, 47, 3), np.uint8)
    for name in ("a.jp2", "a.j2k"):
        Image.fromarray(noise).save(tmp_path / name)
        np.testing.assert_array_equal(read_picture(tmp_path / name), noise)
        with (tmp_path / name).open("rb") as file:
            np.testing.assert_array_equal(read_picture(file), noise)


def test_an_orientation_is_honoured(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.avif"
    path.write_bytes(encode("AVIF", exif=exif))
    assert read_size(path) == ((40, 60), 6)
    found, orientation = read_oriented(path)
    assert orientation == 6
    np.testing.assert_array_equal(read_picture(path), found)
    expected = np.rot90(SMOOTH, -1)
    assert found.shape == expected.shape
    assert np.median(np.abs(found.astype(int) - expected)) <= 4


@pytest.mark.parametrize("share", [0.001, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("format", NAMES)
def test_a_file_that_was_cut_off_is_refused(format: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    data = encode(format, noise)
    with pytest.raises(ImageError):
        read_picture(data[: max(16, int(len(data) * share))])


@pytest.mark.parametrize("format", NAMES)
def test_a_large_picture_is_refused_before_it_is_decoded(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode(format)
    kind = {"AVIF": "AvifImageFile", "JPEG2000": "Jpeg2KImageFile", "HEIF": "HeifImageFile"}
    plugin = getattr(sys.modules[MODULES[format]], kind[format])
    monkeypatch.setattr(plugin, "load", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(ImageError, match=r"60 x 40 = 2,400 pixels, more than the limit of 2,399"):
        read_picture(data, max_pixels=2399)


@pytest.mark.parametrize("format", NAMES)
def test_without_the_extra_a_refusal_names_it(
    format: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(encode(format))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("OpenCV was asked"))
    monkeypatch.setitem(sys.modules, MODULES[format], None)
    for source in (path, path.read_bytes()):
        with pytest.raises(ImageError, match=rf"{NAMES[format]}.*pip install .*\[formats\]"):
            read_picture(source)
