"""Walk through JPEG, PNG, WebP, BMP and GIF files from end to end, without decoding pixels.

Each function takes the whole file and returns its `Header`. A truncated file is noticed here:
decoders accept many such files and fill the rest with grey. `Header.stored` leaves
out what is not needed to decode the first picture, so that no decoder ever sees it: text, profiles,
further frames, what follows the end.

Running past the end of the data (`struct.error`, `IndexError`) means that the file was cut off;
`header.read_header` turns both, and `DamagedError`, into messages.
"""

import re
import struct
import zlib
from dataclasses import dataclass

from fastfcn_infer.picture import exif


class DamagedError(ValueError):
    """The file is not what its first bytes say; the message explains why."""


@dataclass(frozen=True)
class Header:
    """What a picture file says about itself before any decoder has run."""

    format: str
    width: int  # pixels, as stored: not yet turned upright
    height: int
    orientation: int  # as in EXIF, 1..8
    stored: bytes | memoryview  # the file of one picture that the decoder is given


# A marker, but for stuffed zeros, restarts (D0..D7) and fill bytes (FF), which entropy-coded data contain.
_JPEG_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])", re.DOTALL)
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Real files have about ten; each one makes the decoder pass over the whole picture again.
_JPEG_MOST_SCANS = 100


def jpeg(data: bytes) -> Header:
    """Walk from marker to marker; what follows the end marker (a second picture, a film) is ignored."""
    size = orientation = None
    scans, at = 0, 2
    while found := _JPEG_MARKER.search(data, at):
        code, at = found[1][0], found.end()
        if code == 0xD9:
            break
        if code in (0x01, 0xD8):
            continue
        (length,) = struct.unpack_from(">H", data, at)
        if code in _JPEG_FRAMES and size is None:
            size = struct.unpack_from(">HH", data, at + 3)
        elif code == 0xDA:
            scans += 1
        elif code == 0xE1 and orientation is None and data[at + 2 : at + 8] == b"Exif\0\0":
            orientation = exif.orientation(data[at + 8 : at + length])
        at += length
    else:
        raise DamagedError("it has no end-of-image marker: it was cut off")
    if size is None or scans == 0:
        raise DamagedError(
            "it has no pixels: a frame and a scan were expected before the end marker"
        )
    if scans > _JPEG_MOST_SCANS:
        raise DamagedError(f"it has {scans} scans; at most {_JPEG_MOST_SCANS} are decoded")
    return Header("JPEG", size[1], size[0], orientation or 1, memoryview(data)[:at])


def png(data: bytes) -> Header:
    """Check the sum of every chunk and keep those with pixels; an animation keeps its default picture."""
    view = memoryview(data)
    kept = [view[:8]]
    orientation, at, kind = 1, 8, b""
    while kind != b"IEND":
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 12 + length
        (expected,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(view[at + 4 : end - 4]) != expected:
            raise DamagedError(f"the checksum of its chunk {kind!r} is wrong")
        if (kind == b"IHDR") != (at == 8):
            raise DamagedError(f"its chunk {kind!r} is out of place")
        if kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
            kept.append(view[at:end])
        elif kind == b"eXIf":
            orientation = exif.orientation(data[at + 8 : end - 4])
        at = end
    width, height = struct.unpack_from(">II", data, 16)
    return Header("PNG", width, height, orientation, b"".join(kept))


def webp(data: bytes) -> Header:
    """Walk over the RIFF chunks; the size is that of the canvas, if there is one."""
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    if end > len(data):
        raise DamagedError(f"it has {len(data)} of {end} bytes: it was cut off")
    canvas = size = None
    orientation, at = 1, 12
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        body, at = at + 8, at + 8 + length + length % 2
        if body + length > end:
            raise DamagedError(f"its chunk {kind!r} is longer than the file")
        if kind == b"VP8X":
            canvas = _three_bytes(data, body + 4) + 1, _three_bytes(data, body + 7) + 1
        elif kind in (b"VP8 ", b"VP8L", b"ANMF"):
            size = size or _webp_size(kind, data, body)
        elif kind == b"EXIF":
            content = data[body : body + length]
            orientation = exif.orientation(content.removeprefix(b"Exif\0\0"))
    if size is None:
        raise DamagedError("it has no pixels: a VP8, VP8L or ANMF chunk was expected")
    width, height = canvas or size
    return Header("WebP", width, height, orientation, memoryview(data)[:end])


def _webp_size(kind: bytes, data: bytes, body: int) -> tuple[int, int]:
    if kind == b"ANMF":
        return _three_bytes(data, body + 6) + 1, _three_bytes(data, body + 9) + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, body + 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, body + 6)
    return width & 0x3FFF, height & 0x3FFF


def _three_bytes(data: bytes, at: int) -> int:
    low, high = struct.unpack_from("<HB", data, at)
    return int(low + (high << 16))


def bmp(data: bytes) -> Header:
    """Compare the length with what the header says; rows may run upwards or downwards."""
    (file_length, start, head) = struct.unpack_from("<I4xII", data, 2)
    if head == 12:
        width, height, bits = struct.unpack_from("<HH2xH", data, 18)
        compression = 0
    else:
        width, height, bits, compression = struct.unpack_from("<ii2xHI", data, 18)
    if compression in (0, 3, 6):
        end = start + (width * bits + 31) // 32 * 4 * abs(height)
    elif compression in (1, 2):
        end = max(file_length, start + struct.unpack_from("<I", data, 34)[0])
    else:
        raise DamagedError(f"its compression {compression} is not known")
    if end > len(data):
        raise DamagedError(f"it has {len(data)} of {end} bytes: it was cut off")
    return Header("BMP", width, abs(height), 1, data)


def gif(data: bytes) -> Header:
    """Walk over all blocks to the trailer and keep the first frame.

    The frame's control block is left out: it holds the transparent colour, and colours are used as
    they are stored.
    """
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    head = at = 13 + _gif_palette(flags)
    first = None
    while data[at] != 0x3B:
        begin = at
        if data[at] == 0x2C:
            left, top, w, h, flags = struct.unpack_from("<HHHHB", data, at + 1)
            if left + w > width or top + h > height:
                raise DamagedError(f"a frame of {w} x {h} leaves the canvas of {width} x {height}")
            at = _gif_blocks_end(data, at + 11 + _gif_palette(flags))
            first = first or data[begin:at]
        elif data[at] == 0x21:
            at = _gif_blocks_end(data, at + 2)
        else:
            raise DamagedError(f"byte {at} begins no block")
    if first is None:
        raise DamagedError("it has no frame")
    return Header("GIF", width, height, 1, data[:head] + first + b";")


def _gif_palette(flags: int) -> int:
    return int(3 * (2 << (flags & 7))) if flags & 0x80 else 0


def _gif_blocks_end(data: bytes, at: int) -> int:
    while length := data[at]:
        at += 1 + length
    return at + 1
