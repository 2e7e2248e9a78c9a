import io
import struct
import zlib
from time import perf_counter

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from damaged_pictures import DAMAGED
from fastfcn_infer.errors import ImageError
from fastfcn_infer.picture.header import read_header
from fastfcn_infer.picture.read import read_picture
from odd_pictures import (
    IMAGE,
    ODD,
    RGB,
    SAMPLES,
    encode,
    png_chunk,
    tiff,
    two_frames,
)


@pytest.mark.parametrize("name", ODD)
def test_the_size_is_known_before_decoding(name: str) -> None:
    data = ODD[name].data
    header = read_header(data, name)
    assert (header.height, header.width) == ODD[name].expected.shape[:2]
    assert header.orientation == 1
    assert header.format == name.split()[0].rstrip(",").replace("Big", "") or name[0] == "1"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_known_before_decoding(orientation: int, order: str) -> None:
    data = tiff(2, 8, 3, [RGB.tobytes()], order=order, more={274: (orientation,)})
    assert read_header(data, "x").orientation == orientation
    exif = Image.Exif()
    exif.endian = order
    exif[0x0112] = orientation
    for format in ("JPEG", "PNG", "WEBP"):
        data = encode(IMAGE, format, exif=exif)
        assert read_header(data, "x").orientation == orientation


def test_no_decoder_sees_a_second_picture_or_text() -> None:
    text = PngInfo()
    text.add_text("Comment", "secret" * 1000, zip=False)
    for format in ("GIF", "PNG", "TIFF", "MPO"):
        one = read_header(encode(IMAGE, format), format).stored
        two = read_header(encode(IMAGE, format, **two_frames()), format).stored
        if format == "TIFF":  # pages are reached through a pointer, which is gone
            assert len(cv2.imdecodemulti(np.frombuffer(two, np.uint8), cv2.IMREAD_COLOR)[1]) == 1
        else:
            assert len(two) <= len(one) + 300
        assert not any(kind in bytes(two) for kind in (b"acTL", b"fcTL", b"fdAT"))
    assert b"secret" not in bytes(read_header(encode(IMAGE, "PNG", pnginfo=text), "x").stored)


OTHER_FILES = {
    b"<!DOCTYPE html><html><body>404</body></html>": "a web page",
    b"\n  <html lang='en'><svg></svg></html>": "a web page",
    b"<svg xmlns='http://www.w3.org/2000/svg'/>": "an SVG",
    b"<?xml version='1.0'?><!-- made by hand --><svg/>": "an SVG",
    b"<?xml version='1.0'?><note/>": "XML",
    b"%PDF-1.7 ...": "a PDF",
    b"%!PS-Adobe-3.0 EPSF-3.0": "a PostScript",
    b"\xc5\xd0\xd3\xc6" + bytes(40): "a PostScript",
    b"\0\0\0\x18ftypheic\0\0\0\0": "a HEIC",
    b"\0\0\0\x18ftypmif1\0\0\0\0": "a HEIC",
    b"\0\0\0\x1cftypavif\0\0\0\0": "an AVIF",
    b"\0\0\0\x18ftypmp42\0\0\0\0": "a film",
    b"\x1a\x45\xdf\xa3\x9f\x42\x86": "a film",
    b"RIFF\0\0\1\0AVI LIST": "a film",
    b"\0\0\0\x0cjP  \r\n\x87\n": "a JPEG 2000",
    b"\xff\x4f\xff\x51\0\x2f": "a JPEG 2000",
    b"\0\0\0\x0cJXL \r\n\x87\n": "a JPEG XL",
    b"\xff\x0a\xfa\x7f": "a JPEG XL",
    b"8BPS\0\1": "a Photoshop",
    b"PK\x03\x04\x14\0": "a ZIP archive",
    b"\x1f\x8b\x08\0": "a compressed archive",
    b"7z\xbc\xaf\x27\x1c": "a compressed archive",
    b"\x93NUMPY\x01\0": "a NumPy array",
    b"\x76\x2f\x31\x01\2\0\0\0": "an OpenEXR",
    b"#?RADIANCE\n": "a Radiance",
    b"SIMPLE  =                    T": "a FITS",
    b"P6\n2 2\n255\n" + bytes(12): "a netpbm",
    b"\0\0\1\0\1\0": "an icon",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n": "a Git LFS pointer",
    bytes(2000): "nothing but zero bytes",
    b"BM is how many sentences begin that are no bitmaps": "text",
    b"Dear madam, ...\r\n": "text",
    b'{"error": "not found"}': "text",
    b"GIF": "text",
    b"RIFF\0\0\0\0WAVEfmt ": "an unknown format",
    b"\x89PNG\r\n\x1a": "an unknown format",
    b"\xff\xd8": "an unknown format",
    b"\0": "nothing but zero bytes",
    b"\xfe\xed\xfa\xce" * 4: "an unknown format",
}


@pytest.mark.parametrize("data", OTHER_FILES, ids=lambda data: repr(data[:12]))
def test_another_file_is_refused_by_what_it_looks_like(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("a decoder ran"))
    with pytest.raises(ImageError, match=f"looks like {OTHER_FILES[data]}") as caught:
        read_header(data, "The file")
    assert "Expected one of BMP, GIF, JPEG, PNG, TIFF, WebP" in str(caught.value)


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused_by_its_format(name: str) -> None:
    with pytest.raises(ImageError, match=name.split()[0]):
        read_picture(DAMAGED[name])


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("PNG with a flipped bit", "the checksum of its chunk b'IDAT' is wrong"),
        ("JPEG with a thousand scans", "it has 1001 scans"),
        ("TIFF with a tag twice", "tag 256 occurs twice"),
        ("TIFF with a strip missing", "it lists 1 of 4 strips or tiles"),
        ("TIFF of 12 bits", r"its pixels are grey of \[12\] bits"),
    ],
)
def test_a_fault_is_found_before_any_decoder_runs(name: str, fault: str) -> None:
    with pytest.raises(ImageError, match=fault):
        read_header(DAMAGED[name], name)


def test_the_first_exif_data_of_a_photograph_count() -> None:
    first, second = Image.Exif(), Image.Exif()
    first[0x0112], second[0x0112] = 6, 3
    data = encode(IMAGE, "JPEG", exif=first)
    other = encode(IMAGE, "JPEG", exif=second)
    at = other.index(b"\xff\xe1")
    segment = other[at : at + 2 + struct.unpack_from(">H", other, at + 2)[0]]
    end = data.index(b"\xff\xdb")
    assert read_header(data[:end] + segment + data[end:], "x").orientation == 6


def test_there_are_enough_bad_files() -> None:
    assert len(OTHER_FILES) + len(DAMAGED) >= 60


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_that_was_cut_anywhere_is_refused(name: str) -> None:
    data = SAMPLES[name]
    assert read_header(data, name).width
    cuts = sorted({*range(1, 20), *np.linspace(20, len(data) - 1, 60, dtype=int).tolist()})
    accepted = []
    for cut in (cut for cut in cuts if cut < len(data)):
        try:
            read_picture(data[:cut])
        except ImageError:
            continue
        accepted.append(cut)
    assert accepted == []
    assert len(cuts) >= 40


def test_a_cut_photograph_of_several_megabytes_is_refused_everywhere() -> None:
    pixels = cv2.blur(np.random.default_rng(1).integers(0, 256, (900, 1200, 3), np.uint8), (5, 5))
    data = encode(Image.fromarray(pixels), "JPEG", quality=95)
    for cut in np.linspace(1, len(data) - 1, 200, dtype=int):
        with pytest.raises(ImageError):
            read_header(data[:cut], "x")


def test_a_message_names_the_file_the_fault_and_the_remedy() -> None:
    with pytest.raises(ImageError) as caught:
        read_header(SAMPLES["PNG"][:-30], "street.png")
    assert str(caught.value) == (
        f"street.png is a PNG file that was cut off: it ends after {len(SAMPLES['PNG']) - 30} "
        "bytes, before its end mark. Copy or download it again."
    )
    with pytest.raises(ImageError, match=r"street.png is empty \(0 bytes\)"):
        read_header(b"", "street.png")


def test_a_walk_over_hostile_bytes_ends_in_an_image_error_or_a_header() -> None:
    random = np.random.default_rng(0)
    starts = [*SAMPLES.values(), *(odd.data for odd in ODD.values())]
    for _ in range(3000):
        data = bytearray(starts[random.integers(len(starts))])
        for _ in range(random.integers(1, 6)):
            data[random.integers(len(data))] = random.integers(256)
        try:
            header = read_header(bytes(data), "x")
        except ImageError:
            continue
        assert header.width > 0 < header.height
        assert 1 <= header.orientation <= 8


def test_the_time_to_refuse_grows_with_the_length_only() -> None:
    hostile = {
        "FF bytes": b"\xff\xd8" + b"\xff" * 2_000_000,
        "comments": b"<?xml" + b"<!-- " * 800,
        "empty chunks": b"\x89PNG\r\n\x1a\n" + png_chunk(b"tEXt", b"") * 100_000,
        "zlib": b"\x89PNG\r\n\x1a\n" + zlib.compress(bytes(1_000_000)),
    }
    for name, data in hostile.items():
        begin = perf_counter()
        with pytest.raises(ImageError):
            read_header(data, name)
        assert perf_counter() - begin < 2


def test_pillow_finds_the_same_size() -> None:
    for name, data in SAMPLES.items():
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (read_header(data, name).width, read_header(data, name).height)
