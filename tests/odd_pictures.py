"""Pictures of every odd kind, written by Pillow or byte by byte, each with the pixels it must give."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HEIGHT, WIDTH = 16, 24
_y, _x = np.mgrid[0:HEIGHT, 0:WIDTH]
RGB: NDArray[np.uint8] = np.stack([_x * 10, _y * 15, (_x + _y) * 6], axis=-1).astype(np.uint8)
RGB16: NDArray[np.uint16] = (_x[..., None] * 2700 + _y[..., None] * 211 + [0, 5, 9]).astype("u2")
IMAGE = Image.fromarray(RGB)
OTHER = Image.fromarray(255 - RGB)


def encode(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.copy().save(file, format, **options)
    return file.getvalue()


def two_frames() -> dict[str, Any]:
    # A copy: saving leaves the options of one format in an image, and the next one trips over them.
    return {"save_all": True, "append_images": [OTHER.copy()]}


def judged_by_pillow(data: bytes) -> NDArray[np.uint8]:
    image = Image.open(io.BytesIO(data))
    return np.asarray(image.convert("RGBA" if image.mode == "P" else "RGB"))[..., :3]


def of_sixteen(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.rint(values / 257).astype(np.uint8)


def grey(values: NDArray[Any]) -> NDArray[Any]:
    return np.repeat(values[..., None], 3, axis=2)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def png(
    width: int, height: int, rows: bytes, bits: int = 8, kind: int = 0, more: bytes = b""
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", header),
            more,
            png_chunk(b"IDAT", zlib.compress(rows)),
            png_chunk(b"IEND", b""),
        )
    )


def png_rows(pixels: NDArray[Any]) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in pixels)


def bmp(
    width: int, height: int, bits: int, rows: bytes, palette: bytes = b"", rle: int = 0
) -> bytes:
    start = 54 + len(palette)
    head = struct.pack("<IHHI", start + len(rows), 0, 0, start)
    info = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, rle, 0, 0, 0, len(palette) // 4, 0
    )
    return b"BM" + head + info + palette + rows


def os2_bmp(width: int, height: int, rows: bytes) -> bytes:
    head = struct.pack("<IHHI", 26 + len(rows), 0, 0, 26)
    return b"BM" + head + struct.pack("<IHHHH", 12, width, height, 1, 24) + rows


def tiff(
    photometric: int,
    bits: int,
    channels: int,
    pieces: list[bytes],
    *,
    order: str = "<",
    more: dict[int, tuple[int, ...]] | None = None,
    tiled: bool = False,
) -> bytes:
    """A TIFF of WIDTH x HEIGHT; `more` holds further tags, each of 16-bit numbers."""
    where, lengths = (324, 325) if tiled else (273, 279)
    tags: dict[int, tuple[str, tuple[int, ...]]] = {
        256: ("H", (WIDTH,)),
        257: ("H", (HEIGHT,)),
        258: ("H", (bits,) * channels),
        259: ("H", (1,)),
        262: ("H", (photometric,)),
        277: ("H", (channels,)),
        lengths: ("I", tuple(map(len, pieces))),
    }
    if not tiled:
        tags[278] = ("H", (HEIGHT,))
    tags.update({tag: ("H", values) for tag, values in (more or {}).items()})
    positions = [8]
    for piece in pieces:
        positions.append(positions[-1] + len(piece))
    tags[where] = ("I", tuple(positions[:-1]))
    beyond = positions[-1]  # values that do not fit into an entry
    directory, loose = struct.pack(order + "H", len(tags)), b""
    for tag in sorted(tags):
        code, values = tags[tag]
        raw = struct.pack(f"{order}{len(values)}{code}", *values)
        if len(raw) > 4:
            inside = struct.pack(order + "I", beyond + len(loose))
            loose += raw
        else:
            inside = raw.ljust(4, b"\0")
        number = {"H": 3, "I": 4}[code]
        directory += struct.pack(order + "HHI", tag, number, len(values)) + inside
    first = struct.pack(order + "I", beyond + len(loose))
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + first + b"".join(pieces) + loose + directory + b"\0\0\0\0"


@dataclass(frozen=True)
class Odd:
    data: bytes
    expected: NDArray[np.uint8]
    tolerance: int = 0  # in 255ths
    since: tuple[int, int] = (4, 9)  # the first OpenCV that reads it
    pillow: bool = True  # Pillow reads it by the same rule


def _pillow(data: bytes, tolerance: int = 0, **more: Any) -> Odd:
    return Odd(data, judged_by_pillow(data), tolerance, **more)


def _with_alpha() -> Image.Image:
    image = IMAGE.copy()
    image.putalpha(Image.fromarray((_x * 10 % 256).astype(np.uint8)))
    return image


def _ycck(cmyk: bytes) -> bytes:
    data = bytearray(cmyk)
    data[data.index(b"Adobe") + 11] = 2  # the transform flag: YCCK in place of CMYK
    return bytes(data)


def _without_adobe(cmyk: bytes) -> bytes:
    at = cmyk.index(b"\xff\xee")
    (length,) = struct.unpack_from(">H", cmyk, at + 2)
    return cmyk[:at] + cmyk[at + 2 + length :]


def _odd_pictures() -> dict[str, Odd]:
    palette, alpha, one = IMAGE.quantize(16), _with_alpha(), IMAGE.convert("1")
    cmyk = encode(IMAGE.convert("CMYK"), "JPEG", quality=95)
    floats = RGB.astype(np.float32) / 255
    return {
        "PNG, 16-bit grey": Odd(
            png(WIDTH, HEIGHT, png_rows(RGB16[..., 0].astype(">u2")), 16, 0),
            grey(of_sixteen(RGB16[..., 0])),
        ),
        "PNG, 16-bit RGB": Odd(
            png(WIDTH, HEIGHT, png_rows(RGB16.astype(">u2")), 16, 2),
            of_sixteen(RGB16),
            pillow=False,
        ),
        "PNG, 16-bit RGB with alpha": Odd(
            png(WIDTH, HEIGHT, png_rows(RGB16[..., [0, 1, 2, 0]].astype(">u2")), 16, 6),
            of_sixteen(RGB16),
            pillow=False,
        ),
        "PNG, 2-bit grey": _pillow(png(4, 2, b"\0\x1b\0\xe4", 2, 0)),
        "PNG, 1 bit": _pillow(encode(one, "PNG")),
        "PNG, grey": _pillow(encode(IMAGE.convert("L"), "PNG")),
        "PNG, grey with alpha": _pillow(encode(alpha.convert("LA"), "PNG")),
        "PNG, RGB with alpha": _pillow(encode(alpha, "PNG")),
        "PNG, palette": _pillow(encode(palette, "PNG")),
        "PNG, palette, one colour transparent": _pillow(encode(palette, "PNG", transparency=3)),
        "PNG, palette with alpha": _pillow(
            encode(palette, "PNG", transparency=bytes(range(0, 160, 10)))
        ),
        "PNG, RGB, one colour transparent": _pillow(encode(IMAGE, "PNG", transparency=(0, 0, 0))),
        "PNG with gamma": _pillow(
            png(WIDTH, HEIGHT, png_rows(RGB), 8, 2, png_chunk(b"gAMA", struct.pack(">I", 100000)))
        ),
        "PNG, animated": Odd(encode(IMAGE, "PNG", **two_frames()), RGB),
        "PNG, animated, default picture apart": Odd(
            encode(IMAGE, "PNG", default_image=True, **two_frames()), RGB
        ),
        "JPEG, grey": _pillow(encode(IMAGE.convert("L"), "JPEG"), 1),
        "JPEG, progressive": _pillow(encode(IMAGE, "JPEG", progressive=True), 1),
        "JPEG, colour at half resolution": _pillow(encode(IMAGE, "JPEG", subsampling=2), 2),
        "JPEG, CMYK": _pillow(cmyk, 2),
        "JPEG, CMYK without Adobe's mark": _pillow(_without_adobe(cmyk), 2),
        "JPEG, YCCK": _pillow(_ycck(cmyk), 2),
        "JPEG, several pictures (MPO)": _pillow(encode(IMAGE, "MPO", **two_frames()), 1),
        "JPEG, a film behind it": _pillow(encode(IMAGE, "JPEG") + b"ftypmp42" * 50, 1),
        "WebP, lossy": _pillow(encode(IMAGE, "WEBP", quality=90), 1),
        "WebP, lossless with alpha": _pillow(encode(alpha, "WEBP", lossless=True, exact=True)),
        "WebP, animated": Odd(
            encode(IMAGE, "WEBP", lossless=True, **two_frames()), RGB, since=(4, 11)
        ),
        "GIF": _pillow(encode(palette, "GIF"), since=(4, 11)),
        "GIF, interlaced": _pillow(encode(palette, "GIF", interlace=1), since=(4, 11)),
        "GIF, one colour transparent": _pillow(
            encode(palette, "GIF", transparency=3), since=(4, 11)
        ),
        "GIF, animated": _pillow(
            encode(palette, "GIF", save_all=True, append_images=[OTHER.quantize(16)]),
            since=(4, 11),
        ),
        "BMP, 1 bit": _pillow(encode(one, "BMP")),
        "BMP, palette": _pillow(encode(palette, "BMP")),
        "BMP, palette, run lengths": _pillow(
            bmp(4, 2, 8, b"\4\1\0\0\4\2\0\0\0\1", bytes(range(64)) + bytes(960), rle=1)
        ),
        "BMP with alpha": _pillow(encode(alpha, "BMP")),
        "BMP, top row first": _pillow(bmp(2, -2, 24, bytes(range(16)))),
        "BMP, 16 bits": _pillow(bmp(2, 1, 16, struct.pack("<2H", 0x7C1F, 0x03E0)), 7),
        "BMP of OS/2": _pillow(os2_bmp(2, 2, bytes(range(16)))),
        "TIFF, grey": _pillow(encode(IMAGE.convert("L"), "TIFF")),
        "TIFF, grey with white 0": Odd(
            tiff(0, 8, 1, [RGB[..., 0].tobytes()]), grey(255 - RGB[..., 0])
        ),
        "TIFF, 1 bit": _pillow(encode(one, "TIFF")),
        "TIFF, fax compression": _pillow(encode(one, "TIFF", compression="group4")),
        "TIFF, palette": _pillow(encode(palette, "TIFF")),
        "TIFF, grey with alpha": _pillow(encode(alpha.convert("LA"), "TIFF")),
        "TIFF, RGB with alpha": Odd(encode(alpha, "TIFF"), RGB),
        "TIFF, RGB with alpha multiplied in": Odd(
            tiff(2, 8, 4, [np.asarray(alpha).tobytes()], more={338: (1,)}), RGB, pillow=False
        ),
        "TIFF, CMYK": _pillow(encode(IMAGE.convert("CMYK"), "TIFF"), 1),
        # Pillow before 13 takes the file that it wrote itself for a cut-off one.
        "TIFF, YCbCr": Odd(
            encode(IMAGE.convert("YCbCr"), "TIFF"),
            np.asarray(IMAGE.convert("YCbCr").convert("RGB")),
            tolerance=2,
            pillow=False,
        ),
        "TIFF, JPEG compression": _pillow(encode(IMAGE, "TIFF", compression="jpeg"), 2),
        "TIFF, LZW compression": _pillow(encode(IMAGE, "TIFF", compression="tiff_lzw")),
        "TIFF, deflate compression": _pillow(encode(IMAGE, "TIFF", compression="tiff_deflate")),
        "TIFF, several strips": Odd(
            tiff(
                2, 8, 3, [RGB[i : i + 3].tobytes() for i in range(0, HEIGHT, 3)], more={278: (3,)}
            ),
            RGB,
        ),
        "TIFF, channels apart": Odd(
            tiff(2, 8, 3, [RGB[..., i].tobytes() for i in range(3)], more={284: (2,)}), RGB
        ),
        "TIFF, 16-bit grey": Odd(
            tiff(1, 16, 1, [RGB16[..., 0].tobytes()]), grey(of_sixteen(RGB16[..., 0]))
        ),
        "TIFF, 16-bit RGB, big endian": Odd(
            tiff(2, 16, 3, [RGB16.astype(">u2").tobytes()], order=">"),
            of_sixteen(RGB16),
            pillow=False,
        ),
        "TIFF, float RGB": Odd(
            tiff(2, 32, 3, [floats.tobytes()], more={339: (3, 3, 3)}), RGB, pillow=False
        ),
        "TIFF, several pages": Odd(encode(IMAGE, "TIFF", **two_frames()), RGB),
        "BigTIFF": Odd(encode(IMAGE, "TIFF", big_tiff=True), RGB),
        "1 pixel": _pillow(encode(IMAGE.crop((3, 4, 4, 5)), "PNG")),
        "1 pixel wide": _pillow(encode(IMAGE.crop((3, 0, 4, HEIGHT)), "JPEG"), 1),
        "1 pixel high": _pillow(encode(IMAGE.crop((0, 3, WIDTH, 4)), "WEBP", lossless=True)),
    }


ODD = _odd_pictures()

_SAMPLES: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: encode(IMAGE, "JPEG", quality=95),
    "JPEG, progressive": lambda: encode(IMAGE, "JPEG", progressive=True),
    "PNG": lambda: encode(IMAGE, "PNG"),
    "WebP": lambda: encode(IMAGE, "WEBP", quality=90),
    "WebP, lossless": lambda: encode(IMAGE, "WEBP", lossless=True),
    "BMP": lambda: encode(IMAGE, "BMP"),
    "BMP, run lengths": lambda: ODD["BMP, palette, run lengths"].data,
    "TIFF": lambda: encode(IMAGE, "TIFF"),
    "TIFF, LZW": lambda: encode(IMAGE, "TIFF", compression="tiff_lzw"),
    "BigTIFF": lambda: encode(IMAGE, "TIFF", big_tiff=True),
    "GIF": lambda: encode(IMAGE.quantize(16), "GIF"),
}
SAMPLES = {name: make() for name, make in _SAMPLES.items()}
