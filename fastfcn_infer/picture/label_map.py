"""Label maps on disk: the numbers as they are stored, a palette's indices and never its colours."""

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.errors import ImageError
from fastfcn_infer.picture import matlab
from fastfcn_infer.picture.header import read_header
from fastfcn_infer.picture.read import DEFAULT_MAX_PIXELS
from fastfcn_infer.system.opencv import cv2
from fastfcn_infer.system.small_file import LargerFileError, read_small_file

_GREY, _PALETTE = 0, 3  # colour types of PNG
_KINDS = {2: "colours (RGB)", 4: "grey with transparency", 6: "colours with transparency (RGBA)"}
_HEADER = slice(8, 33)  # the first chunk: length, "IHDR", 13 bytes, checksum
_TYPE = 25  # the byte of the colour type
_UP = 2  # a filter of PNG
_MOST_BYTES = 1 << 28  # of the most pixels, in 16 bits
_LEVEL = 6  # of zlib; does not matter to runs, but 0 would mean none
_MEMORY = 6  # of zlib; with the usual 8 it takes a fifth longer, and files are no smaller


def read_label_file(path: Path) -> NDArray[np.uint8 | np.uint16]:
    """Read the numbers (H, W) of a label file.

    A PNG file, grey of 1, 2, 4, 8 or 16 bits or with a palette, is read as Pillow reads it, the
    library that others read labels with: the indices of a palette; grey of 1 bit as 0 and 1, grey of
    2 and 4 bits spread over 0..255. EXIF orientation is ignored. Of a MATLAB file,
    ``GTcls.Segmentation`` is read.

    Raises:
        ImageError: cannot be opened or decoded, is of another kind, or holds colours; says what to do.

    Source: PNG, third edition, 11.2.1 (colour types) and 13.12 (spreading of grey).
    """
    data = _bytes(path)
    if data.startswith(matlab.MAGIC):
        return _from_matlab(data, path)
    header = read_header(data, str(path))
    if header.format != "PNG":
        raise ImageError(
            f"the labels {path} are a {header.format} file; PNG was expected, grey or with a "
            "palette. Save them as PNG; labels that were ever a JPEG file are damaged."
        )
    if header.height * header.width > DEFAULT_MAX_PIXELS:
        raise ImageError(
            f"the labels {path} have {header.width} x {header.height} pixels, more than the limit "
            f"of {DEFAULT_MAX_PIXELS:,}"
        )
    return _from_png(bytes(header.stored), (header.height, header.width), path)


def read_label_size(path: Path) -> tuple[int, int]:
    """Read the height and width of a label file, if it is PNG from its header alone.

    Raises:
        ImageError: as `read_label_file`, of which only the kind of a PNG's pixels is not checked.
    """
    data = _bytes(path)
    if data.startswith(matlab.MAGIC):
        height, width = _from_matlab(data, path).shape
        return height, width
    header = read_header(data, str(path))
    return header.height, header.width


def _bytes(path: Path) -> bytes:
    try:
        return read_small_file(path, _MOST_BYTES)
    except OSError as error:
        raise ImageError(f"the labels {path} cannot be opened: {error.strerror}") from error
    except LargerFileError as error:
        raise ImageError(f"the labels {error}") from error


def _from_png(data: bytes, shape: tuple[int, int], path: Path) -> NDArray[np.uint8 | np.uint16]:
    bits, kind = data[_TYPE - 1], data[_TYPE]
    if kind not in (_GREY, _PALETTE):
        raise ImageError(
            f"the labels {path} hold {_KINDS.get(kind, f'an unknown kind of pixels, {kind}')}; one "
            "number per pixel was expected, grey or with a palette. Turn colours into class numbers."
        )
    values = _decode(_as_grey(data) if kind == _PALETTE else data)
    if values is None or values.shape != shape:
        raise ImageError(f"the labels {path} are a PNG file that is damaged inside; copy it again")
    if bits < 8 and (kind == _PALETTE or bits == 1):
        values = values // np.uint8(255 // (2**bits - 1))  # undo the decoder's spreading
    return values


def _from_matlab(data: bytes, path: Path) -> NDArray[np.uint8 | np.uint16]:
    try:
        values = matlab.read_struct_field(data, "GTcls", "Segmentation")
    except matlab.MatlabError as error:
        raise ImageError(f"the labels {path} are a MATLAB file, but {error}") from error
    labels: NDArray[np.uint8] = np.nan_to_num(values).clip(0, 255).astype(np.uint8)
    if values.ndim != 2 or not values.size or not np.array_equal(labels, values):
        raise ImageError(
            f"the labels {path} are {values.dtype} of shape {values.shape}; whole numbers "
            "0..255 for each pixel (H, W) were expected"
        )
    return labels


def _as_grey(png: bytes) -> bytes:
    """Declare the palette's indices to be grey: the decoder has no mode that returns indices."""
    chunk = bytearray(png[_HEADER])
    chunk[_TYPE - _HEADER.start] = _GREY
    chunk[-4:] = struct.pack(">I", zlib.crc32(chunk[4:-4]))
    at = _HEADER.stop
    while png[at + 4 : at + 8] == b"PLTE":
        at += 12 + int(struct.unpack_from(">I", png, at)[0])
    return png[: _HEADER.start] + bytes(chunk) + png[at:]


def _decode(png: bytes) -> NDArray[np.uint8 | np.uint16] | None:
    try:
        decoded = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    return None if decoded is None else np.asarray(decoded)


def encode_labels(
    labels: NDArray[np.uint8 | np.uint16], colors: NDArray[np.uint8] | None = None
) -> bytes:
    """Encode labels as a PNG file that is read back as the same labels.

    Args:
        labels: (H, W); uint8 becomes a palette picture, uint16 a 16-bit grey one, which cannot
            have colours.
        colors: (C, 3) RGB; with uint8 labels at most 256. None: grey, of 8 or 16 bits.

    Returns:
        The file.

    Source: PNG, third edition, 9.2 (filters) and 11.2 (chunks).
    """
    if colors is None or labels.dtype == np.uint16:
        done, encoded = cv2.imencode(".png", labels)
        if not done:
            raise ImageError(f"labels of shape {labels.shape} could not be encoded as PNG")
        return encoded.tobytes()
    height, width = labels.shape
    # Each row begins with its filter: 2, the difference from the row above. Labels are areas of one
    # number, so most differences are 0, and runs of them are all that is worth searching for: files
    # of CamVid are smaller than with a full search, in a quarter of the time.
    rows = np.full((height, 1 + width), _UP, np.uint8)
    rows[:1, 1:] = labels[:1]
    np.subtract(labels[1:], labels[:-1], out=rows[1:, 1:])
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS, _MEMORY, zlib.Z_RLE)
    packed = packer.compress(rows.data) + packer.flush()
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", colors[:256].tobytes()),
            _chunk(b"IDAT", packed),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
    )
