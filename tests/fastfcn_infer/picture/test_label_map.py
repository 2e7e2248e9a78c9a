import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from fastfcn_infer.errors import ImageError
from fastfcn_infer.picture.label_map import encode_labels, read_label_file


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(values: NDArray[np.integer], bits: int, *, palette: bool, extra: bytes = b"") -> bytes:
    """Pack (H, W) into `bits` each; Pillow writes not all depths."""
    height, width = values.shape
    rows = b""
    for row in values:
        binary = "".join(f"{value:0{bits}b}" for value in row)
        binary += "0" * (-len(binary) % 8)
        rows += b"\0" + int(binary, 2).to_bytes(len(binary) // 8, "big")
    header = struct.pack(">IIBBBBB", width, height, bits, 3 if palette else 0, 0, 0, 0)
    colors = bytes((5 * value + 9) % 256 for value in range(3 << bits)) if palette else b""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + (chunk(b"PLTE", colors) if palette else b"")
        + extra
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def read(data: bytes, folder: Path) -> NDArray[np.uint8 | np.uint16]:
    (folder / "labels.png").write_bytes(data)
    return read_label_file(folder / "labels.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("labels")


@given(seed=st.integers(0, 1 << 16), width=st.integers(1, 20), height=st.integers(1, 5))
@pytest.mark.parametrize("palette", [True, False])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_every_depth_is_read_as_pillow_reads_it(
    bits: int, palette: bool, seed: int, width: int, height: int, folder: Path
) -> None:
    values = np.random.default_rng(seed).integers(0, 1 << bits, (height, width))
    data = png(values, bits, palette=palette)
    labels = read(data, folder)
    assert np.array_equal(labels, np.asarray(Image.open(io.BytesIO(data))))
    assert palette is False or np.array_equal(labels, values)


def test_sixteen_bits_of_grey_keep_all_their_bits(folder: Path) -> None:
    values = np.array([[0, 1, 256, 65535]])
    data = png(values, 16, palette=False)
    labels = read(data, folder)
    assert np.array_equal(labels, values)
    assert np.array_equal(labels, np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("palette", [True, False])
def test_a_transparent_colour_and_other_chunks_change_nothing(palette: bool, folder: Path) -> None:
    values = np.arange(12).reshape(3, 4)
    transparent = bytes(range(12)) if palette else b"\0\3"
    extra = chunk(b"tRNS", transparent) + chunk(b"tEXt", b"Comment\0PLTE")
    assert np.array_equal(read(png(values, 8, palette=palette, extra=extra), folder), values)


def test_a_palette_that_pillow_packed_into_four_bits_is_read(folder: Path) -> None:
    image = Image.new("P", (5, 3))
    image.putpalette(bytes(range(256)) * 3)
    image.putdata(list(range(15)))
    image.save(folder / "labels.png", bits=4)
    assert (folder / "labels.png").read_bytes()[24:26] == b"\4\3"
    assert np.array_equal(read_label_file(folder / "labels.png"), np.arange(15).reshape(3, 5))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_colours_are_refused(mode: str, folder: Path) -> None:
    Image.new(mode, (4, 3)).save(folder / "labels.png")
    with pytest.raises(ImageError, match=r"labels\.png hold .*Turn colours into class numbers"):
        read_label_file(folder / "labels.png")


def test_other_kinds_of_files_are_refused(folder: Path) -> None:
    Image.new("L", (4, 3)).save(folder / "labels.jpg")
    with pytest.raises(ImageError, match=r"are a JPEG file; PNG was expected"):
        read_label_file(folder / "labels.jpg")
    (folder / "labels.png").write_text("road")
    with pytest.raises(ImageError, match="looks like text"):
        read_label_file(folder / "labels.png")
    with pytest.raises(ImageError, match=r"nothing\.png cannot be opened: No such file"):
        read_label_file(folder / "nothing.png")
    with pytest.raises(ImageError, match="cannot be opened: Is a directory"):
        read_label_file(folder)


def test_a_file_cut_off_anywhere_is_refused(folder: Path) -> None:
    data = png(np.arange(60).reshape(6, 10), 8, palette=True)
    for length in {*range(0, len(data), 31), *range(len(data) - 20, len(data))}:
        with pytest.raises(ImageError):
            read(data[:length], folder)


def test_a_file_that_lacks_rows_is_refused(folder: Path) -> None:
    data = png(np.arange(60).reshape(6, 10), 8, palette=True)
    start, end = data.index(b"IDAT") - 4, data.index(b"IEND") - 4
    for rows in (0, 3):
        content = zlib.compress(b"".join(b"\0" + bytes(range(10)) for _ in range(rows)))
        with pytest.raises(ImageError):
            read(data[:start] + chunk(b"IDAT", content) + data[end:], folder)


def test_a_size_beyond_the_limit_is_refused_before_it_is_decoded(folder: Path) -> None:
    header = struct.pack(">IIBBBBB", 1 << 20, 1 << 20, 8, 3, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"PLTE", bytes(3))
    data += chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match="more than the limit"):
        read(data, folder)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (37, 53)])
def test_labels_are_written_as_pillow_reads_them(size: tuple[int, int], folder: Path) -> None:
    random = np.random.default_rng(0)
    colors = random.integers(0, 256, (256, 3)).astype(np.uint8)
    noise = random.integers(0, 256, size).astype(np.uint8)
    areas = np.kron(noise, np.ones((8, 8), np.uint8))[: size[0], : size[1]]
    for labels in (noise, areas, np.sort(noise, axis=0)):
        path = folder / "labels.png"
        path.write_bytes(encode_labels(labels, colors))
        with Image.open(path) as image:
            assert image.mode == "P"
            np.testing.assert_array_equal(np.asarray(image), labels)
            np.testing.assert_array_equal(np.asarray(image.convert("RGB")), colors[labels])
        np.testing.assert_array_equal(read_label_file(path), labels)


def test_labels_of_large_areas_take_few_bytes() -> None:
    rows, columns = np.mgrid[:480, :640]
    labels = ((rows - 200) ** 2 + (columns - 300) ** 2 < 150**2).astype(np.uint8)
    assert len(encode_labels(labels, np.zeros((2, 3), np.uint8))) < labels.size / 100
