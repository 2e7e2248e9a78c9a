import io
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fastfcn_infer.errors import ImageError
from fastfcn_infer.picture.read import DEFAULT_MAX_PIXELS, read_picture
from odd_pictures import IMAGE, ODD, RGB, SAMPLES, encode, png, tiff

OPENCV = tuple(int(part) for part in cv2.__version__.split(".")[:2])
DOCUMENT = Path(__file__).parents[3] / "docs" / "pictures.md"


def distance(found: NDArray[Any], expected: NDArray[Any]) -> int:
    assert found.shape == expected.shape
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    return int(np.abs(found.astype(int) - expected).max())


@pytest.mark.parametrize("name", ODD)
def test_an_odd_picture_has_its_documented_result(name: str) -> None:
    odd = ODD[name]
    if odd.since > OPENCV:
        pytest.skip(f"OpenCV {odd.since} reads it")
    assert distance(read_picture(odd.data), odd.expected) <= odd.tolerance


@pytest.mark.parametrize("name", [name for name in ODD if ODD[name].pillow])
def test_an_odd_picture_has_the_same_result_by_way_of_pillow(name: str) -> None:
    odd = ODD[name]
    image = Image.open(io.BytesIO(odd.data))
    assert distance(read_picture(image), odd.expected) <= odd.tolerance


def test_the_document_names_every_odd_picture() -> None:
    text = DOCUMENT.read_text()
    assert [name for name in ODD if name not in text] == []
    assert len(ODD) >= 24


def _path(data: bytes, folder: Path) -> Any:
    path = folder / "wrong suffix.txt"
    path.write_bytes(data)
    return path


WAYS: dict[str, Callable[[bytes, Path], Any]] = {
    "path": _path,
    "string": lambda data, folder: str(_path(data, folder)),
    "bytes": lambda data, _: data,
    "bytearray": lambda data, _: bytearray(data),
    "memoryview": lambda data, _: memoryview(b"xx" + data)[2:],
    "file": lambda data, _: io.BytesIO(data),
    "PIL image": lambda data, _: Image.open(io.BytesIO(data)),
    "array": lambda data, _: np.array(
        ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    ),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_way_in_gives_the_same_upright_picture(
    format: str, orientation: int, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    data = encode(IMAGE, format, exif=exif, **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert upright.size == (IMAGE.size if orientation < 5 else IMAGE.size[::-1])
    for way in WAYS.values():
        assert distance(read_picture(way(data, tmp_path)), np.asarray(upright)) <= 1


@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    data = tiff(2, 8, 3, [RGB.tobytes()], more={274: (orientation,)})
    assert (read_picture(data) == RGB).all()
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert (read_picture(encode(IMAGE, "PNG", exif=exif)) == RGB).all()


def test_damaged_exif_does_not_spoil_a_photograph() -> None:
    data = encode(IMAGE, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read_picture(data).shape == RGB.shape


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from(["PNG", "TIFF", "BMP", "WEBP"]))
def test_lossless_files_of_every_size_give_back_their_pixels(
    height: int, width: int, format: str
) -> None:
    pixels = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    data = encode(
        Image.fromarray(pixels), format, **({"lossless": True} if format == "WEBP" else {})
    )
    assert (read_picture(data) == pixels).all()


# PIL images


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "LA", "PA", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"]
)
def test_a_pil_image_of_any_mode_is_read(mode: str) -> None:
    image = IMAGE.convert(mode)
    expected = np.asarray(image.convert("RGB"))
    assert distance(read_picture(image), expected) == 0


def test_pil_images_of_wide_modes_follow_the_rules_of_arrays() -> None:
    sixteen = np.arange(0, 65536, 7, dtype=np.uint16)[None]
    assert (read_picture(Image.fromarray(sixteen))[..., 2] == np.rint(sixteen / 257)).all()
    floats = np.linspace(0, 1, 50, dtype=np.float32)[None]
    assert (read_picture(Image.fromarray(floats))[..., 2] == np.rint(floats * 255)).all()


BAD_IMAGES: dict[str, Callable[[], Image.Image]] = {
    "32-bit": lambda: Image.new("I", (2, 2)),
    "float above one": lambda: Image.new("F", (2, 2), 7.0),
    "CIELAB": lambda: Image.new("LAB", (2, 2)),
    "no pixels": lambda: Image.new("RGB", (0, 2)),
    "cut off": lambda: Image.open(io.BytesIO(SAMPLES["JPEG"][:-20])),
    "cut off PNG": lambda: Image.open(io.BytesIO(SAMPLES["PNG"][:-40])),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_pil_image_is_refused(name: str) -> None:
    with pytest.raises(ImageError, match="PIL image of mode"):
        read_picture(BAD_IMAGES[name]())


def test_pillow_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "PIL.Image")
    with pytest.raises(ImageError, match="cannot be read from Image"):
        read_picture(IMAGE)


# Sources that are none


@pytest.mark.parametrize(
    "source", [None, 3, 1.5, [[1, 2]], ("a.jpg",), {}, object(), RGB.tolist()]
)
def test_a_wrong_type_is_refused(source: Any) -> None:
    with pytest.raises(ImageError, match=f"cannot be read from {type(source).__name__}"):
        read_picture(source)


def test_a_wrong_path_is_refused_by_name(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jpg"
    empty.touch()
    for source, fault in {
        tmp_path: "is a folder",
        tmp_path / "nothing.jpg": "No such file",
        empty: "is empty",
        Path("/dev/null"): "not a regular file",
    }.items():
        with pytest.raises(ImageError, match=fault) as caught:
            read_picture(source)
        assert str(source) in str(caught.value)
    with pytest.raises(ImageError, match="null"):
        read_picture("a\0b.jpg")
    with pytest.raises(ImageError, match="nothing is fetched"):
        read_picture("https://example.org/street.jpg")


def test_a_wrong_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "street.png"
    path.write_bytes(SAMPLES["PNG"])
    with path.open("rb") as file:
        assert (read_picture(file) == RGB).all()
        with pytest.raises(ImageError, match=r"street.png is at its end; call seek\(0\)"):
            read_picture(file)
    with pytest.raises(ImageError, match=r"cannot be read: .*closed file"):
        read_picture(file)
    with path.open(encoding="latin-1") as text, pytest.raises(ImageError, match="binary mode"):
        read_picture(text)  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="is empty"):
        read_picture(io.BytesIO())


# Bombs


def bombs() -> dict[str, bytes]:
    huge_gif = bytearray(SAMPLES["GIF"])
    huge_gif[6:10] = b"\xff\xff\xff\xff"
    frame = SAMPLES["JPEG"].index(b"\xff\xc0")
    huge_jpeg = bytearray(SAMPLES["JPEG"])
    huge_jpeg[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    return {
        "PNG of 100000 x 100000": png(100_000, 100_000, b"\0" * 40),
        "PNG of 20000 x 20000 that is really there": png(20_000, 20_000, b"\0" * 2501, 1),
        "GIF of 65535 x 65535": bytes(huge_gif),
        "JPEG of 65535 x 65535": bytes(huge_jpeg),
    }


@pytest.mark.parametrize("name", bombs())
def test_a_bomb_is_refused_before_any_decoder_runs(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bombs()[name]
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("the decoder ran"))
    tracemalloc.start()
    with pytest.raises(ImageError, match=f"more than the limit of {DEFAULT_MAX_PIXELS:,}"):
        read_picture(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000 + 5 * len(data)


@pytest.mark.parametrize("way", WAYS)
def test_the_limit_can_be_set_for_every_way_in(way: str, tmp_path: Path) -> None:
    data = SAMPLES["PNG"]
    pixels = RGB.shape[0] * RGB.shape[1]
    assert read_picture(WAYS[way](data, tmp_path), max_pixels=pixels).shape == RGB.shape
    with pytest.raises(ImageError, match=f"max_pixels={pixels}"):
        read_picture(WAYS[way](data, tmp_path), max_pixels=pixels - 1)


# What only shows while decoding


@pytest.mark.parametrize("answer", ["None", "error", "another size"])
def test_whatever_the_decoder_does_is_an_image_error(
    answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: Any) -> Any:
        if answer == "error":
            raise cv2.error("out of memory")
        return None if answer == "None" else np.zeros((3, 3), np.uint8)

    monkeypatch.setattr(cv2, "imdecode", decode)
    with pytest.raises(ImageError, match=r"PNG|contradicts itself"):
        read_picture(SAMPLES["PNG"])


def test_a_float_file_with_nan_is_refused() -> None:
    pixels = np.full(RGB.shape, np.nan, np.float32)
    with pytest.raises(ImageError, match="finite"):
        read_picture(tiff(2, 32, 3, [pixels.tobytes()], more={339: (3, 3, 3)}))
