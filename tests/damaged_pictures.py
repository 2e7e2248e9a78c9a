"""Files of the six formats, each with one fault."""

import struct
from collections.abc import Iterator

from odd_pictures import (
    HEIGHT,
    IMAGE,
    RGB,
    SAMPLES,
    WIDTH,
    bmp,
    encode,
    png,
    png_chunk,
    png_rows,
    tiff,
)


def _patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _damaged_png() -> Iterator[tuple[str, bytes]]:
    rows, good = png_rows(RGB), SAMPLES["PNG"]
    yield "PNG with a flipped bit", _patched(good, 60, bytes([good[60] ^ 1]))
    yield "PNG without width", png(0, HEIGHT, rows, 8, 2)
    yield "PNG without height", png(WIDTH, 0, rows, 8, 2)
    yield "PNG without pixels", good[:33] + png_chunk(b"IEND", b"")
    yield "PNG with too few rows", png(WIDTH, HEIGHT, rows[:400], 8, 2)
    yield "PNG of an unknown kind", png(WIDTH, HEIGHT, rows, 8, 5)
    yield "PNG with 3 bits", png(WIDTH, HEIGHT, rows, 3, 0)
    yield "PNG with palette missing", png(WIDTH, HEIGHT, png_rows(RGB[..., 0]), 8, 3)
    yield "PNG with two headers", good[:33] + good[8:33] + good[33:]
    yield "PNG that begins with another chunk", good[:8] + png_chunk(b"CgBI", b"") + good[8:]
    yield "PNG whose pixels are not compressed", good[:33] + png_chunk(b"IDAT", rows) + good[-12:]


def _damaged_jpeg() -> Iterator[tuple[str, bytes]]:
    jpeg = SAMPLES["JPEG"]
    frame = jpeg.index(b"\xff\xc0")
    yield "JPEG without a frame", _patched(jpeg, frame + 1, b"\xfe")
    yield "JPEG without height", _patched(jpeg, frame + 5, b"\0\0")
    yield "JPEG without scans", b"\xff\xd8\xff\xe0\0\2" + jpeg[frame : frame + 19] + b"\xff\xd9"
    yield "JPEG with nothing", b"\xff\xd8\xff\xd9"
    scan = jpeg.index(b"\xff\xda")
    yield "JPEG with a thousand scans", jpeg[:-2] + jpeg[scan:-2] * 1000 + b"\xff\xd9"
    yield "JPEG with 12 bits", _patched(jpeg, frame + 4, b"\x0c")


def _damaged_others() -> Iterator[tuple[str, bytes]]:
    webp, gif = SAMPLES["WebP"], SAMPLES["GIF"]
    yield "WebP without pixels", b"RIFF" + struct.pack("<I", 4) + b"WEBP"
    yield "WebP with a chunk that is too long", _patched(webp, 16, b"\xff\xff\xff\x7f")
    yield "WebP that lies about its size", _patched(webp, 26, b"\x40\0\x40\0")
    yield "BMP of unknown compression", bmp(2, 2, 24, bytes(16), rle=9)
    yield "BMP of negative width", bmp(-2, 2, 24, bytes(16))
    yield "BMP without rows", bmp(2, 0, 24, b"")
    yield "BMP of 7 bits", bmp(2, 2, 7, bytes(16))
    yield "GIF without a frame", gif[: 13 + 3 * 16] + b";"
    yield "GIF with an unknown block", _patched(gif, gif.index(b",", 13), b"?")
    yield "GIF whose frame leaves the canvas", _patched(gif, 6, b"\1\0\1\0")


def _damaged_tiff() -> Iterator[tuple[str, bytes]]:
    flat = RGB.tobytes()
    yield "TIFF of version 44", _patched(SAMPLES["TIFF"], 2, b"\x2c\0")
    yield "TIFF without width", tiff(2, 8, 3, [flat], more={256: (0,)})
    yield "TIFF with two widths", tiff(2, 8, 3, [flat], more={256: (WIDTH, WIDTH)})
    yield "TIFF of CIELAB", tiff(8, 8, 3, [flat])
    yield "TIFF of an unknown compression", tiff(2, 8, 3, [flat], more={259: (50000,)})
    yield "TIFF of 12 bits", tiff(1, 12, 1, [flat])
    yield "TIFF of signed numbers", tiff(1, 16, 1, [flat], more={339: (2,)})
    yield "TIFF of 32-bit whole numbers", encode(IMAGE.convert("I"), "TIFF")
    yield "TIFF of 16 bits, channels apart", tiff(2, 16, 3, [flat] * 3, more={284: (2,)})
    yield "TIFF of 16 bits with white 0", tiff(0, 16, 1, [flat])
    yield "TIFF of channels that differ", tiff(2, 8, 3, [flat], more={258: (8, 8, 16)})
    yield "TIFF of five channels", tiff(2, 8, 5, [flat * 2])
    yield "TIFF with short strips", tiff(2, 8, 3, [flat[:-1]])
    yield "TIFF with a strip missing", tiff(2, 8, 3, [flat], more={278: (4,)})
    yield "TIFF with strips of no rows", tiff(2, 8, 3, [flat], more={278: (0,)})
    yield "TIFF with empty strips", tiff(2, 8, 3, [b""])
    yield (
        "TIFF with a short tile",
        tiff(2, 8, 3, [flat], more={322: (32,), 323: (32,)}, tiled=True),
    )
    big = SAMPLES["BigTIFF"]
    yield "TIFF whose directory lies far beyond the end", _patched(big, 8, b"\xff" * 8)
    yield "TIFF whose directory is the header", _patched(SAMPLES["TIFF"], 4, b"\0\0\0\0")
    alpha = tiff(2, 8, 4, [flat * 2], more={338: (1,)})
    at = alpha.index(struct.pack("<HHI", 338, 3, 1)) + 4
    yield "TIFF that lists billions of alpha channels", _patched(alpha, at, b"\xff\xff\xff\xff")
    twice = tiff(2, 8, 3, [flat], more={339: (1, 1, 1)})
    at = twice.index(struct.pack("<HHI", 339, 3, 3))
    yield "TIFF with a tag twice", _patched(twice, at, struct.pack("<HHIHH", 256, 3, 1, 9, 0))


DAMAGED = dict([*_damaged_png(), *_damaged_jpeg(), *_damaged_others(), *_damaged_tiff()])
