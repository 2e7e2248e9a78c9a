"""Read a picture from any source as (H, W, 3) uint8 RGB, upright.

Each unusual kind has one rule, the same for every source (`docs/pictures.md` has the whole table):

==============================  ===========================================================
EXIF orientation 1..8           turned upright; the result has the size of the upright picture
alpha, transparent colour       dropped; colours are used as they are stored
grey, 1 bit, palette            repeated to three channels; 0 and 255; looked up
16 bits                         ``round(value / 257)``; of fewer bits in 16, see `depth`
float                           ``round(value * 255)``; outside 0..1 or not finite: refused
CMYK, YCCK                      RGB by the decoder's simple formula; colour profiles are ignored
animation, several pages        the first frame or page; the others are not decoded
cut off, damaged                refused, never half grey
more pixels than `max_pixels`   refused before anything is decoded
==============================  ===========================================================
"""

import io
import os
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.errors import ImageError
from fastfcn_infer.picture import tiff, with_pillow
from fastfcn_infer.picture.bands import converted
from fastfcn_infer.picture.depth import eight_bits
from fastfcn_infer.picture.exif import ORIENTATION
from fastfcn_infer.picture.header import read_header, recognise
from fastfcn_infer.system.opencv import cv2

SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"),
    *with_pillow.SUFFIXES,
)
DEFAULT_MAX_PIXELS = 100_000_000
"""Above any phone's 50-megapixel photograph, below what the labels of a picture need in memory."""


class PillowImage(Protocol):
    """The part of `PIL.Image.Image` that is used; the SDK never imports Pillow itself."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""

    def load(self) -> Any:
        """Decode the pixels."""

    def getexif(self) -> Any:
        """Return the EXIF tags."""


class BinaryFile(Protocol):
    """A file opened for reading bytes."""

    def read(self) -> bytes:
        """Read to the end."""


PictureSource: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryFile
    | NDArray[Any]
    | PillowImage
)


@dataclass(frozen=True)
class Stored:
    """A picture as its file or PIL image holds it, before any rule of this package.

    Args:
        pixels: (H, W) or (H, W, channels), of any dtype.
        color: order of three or four channels.
        where: names it in messages.
        orientation: as in EXIF, 1..8.
    """

    pixels: NDArray[Any]
    color: Literal["rgb", "bgr"]
    where: str
    orientation: int


_DEPTHS = range(8, 17)  # bits that are stored in 16
_MOST_CHANNELS = 4  # of a TIFF that OpenCV decodes

_UPRIGHT: dict[int, Callable[[Any], Any]] = {
    2: lambda picture: cv2.flip(picture, 1),
    3: lambda picture: cv2.rotate(picture, cv2.ROTATE_180),
    4: lambda picture: cv2.flip(picture, 0),
    5: cv2.transpose,
    6: lambda picture: cv2.rotate(picture, cv2.ROTATE_90_CLOCKWISE),
    7: lambda picture: cv2.flip(cv2.transpose(picture), -1),
    8: lambda picture: cv2.rotate(picture, cv2.ROTATE_90_COUNTERCLOCKWISE),
}

_ON_ITS_SIDE = (5, 6, 7, 8)  # height and width are exchanged

_TO_RGB = {
    ("rgb", 4): cv2.COLOR_RGBA2RGB,
    ("bgr", 3): cv2.COLOR_BGR2RGB,
    ("bgr", 4): cv2.COLOR_BGRA2RGB,
}

_REFUSED_MODES = {
    "I": "which 32-bit integer means white is not known; convert it to 'L', or to 'I;16'",
    "LAB": "it has CIELAB colours; convert it to 'RGB' with PIL.ImageCms",
}


def check_reading(color: str, depth: int | None) -> None:
    """Refuse options of `read_picture` before there is a picture.

    Raises:
        ValueError: `color` is neither "rgb" nor "bgr", or `depth` is not 8 to 16.
    """
    if depth is not None and depth not in _DEPTHS:
        raise ValueError(f"depth is {depth!r}; 8 to 16 bits, or None, were expected")
    if color not in ("rgb", "bgr"):
        raise ValueError(f"color is {color!r}; 'rgb' or 'bgr' was expected")


def read_picture(
    source: PictureSource,
    *,
    color: Literal["rgb", "bgr"] = "rgb",
    depth: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> NDArray[np.uint8]:
    """Read a picture from any source.

    Args:
        source: a path; the bytes of a file; a file opened in binary mode, read from its position;
            a PIL image; or an array (H, W, 3), (H, W, 4) with alpha, (H, W) or (H, W, 1) grey, of
            dtype uint8, uint16, bool, or float in 0..1. JPEG, PNG, WebP, BMP, TIFF and, from
            OpenCV 4.11 on, GIF files are read, recognised by content; with the extra ``formats``
            also AVIF, JPEG 2000 and HEIC files.
        color: order of the channels of an array; files and PIL images know their own. Pictures of
            OpenCV are "bgr", and nothing can tell if they are taken for RGB.
        depth: bits, 8 to 16, that a picture of 16 bits uses: white is ``2**depth - 1``. None: all
            16, with a warning where no value needs more than 14, as the picture is then too dark.
        max_pixels: the largest picture to accept, height times width.

    Returns:
        (H, W, 3) uint8, RGB, upright, C-contiguous. `source` itself where it is such an array
        already; it is never changed.

    Raises:
        ImageError: what was wrong with the picture, what was expected and what to do.
        ValueError: `color` is neither "rgb" nor "bgr", or `depth` is not 8 to 16.
    """
    check_reading(color, depth)
    if isinstance(source, np.ndarray):
        return _from_array(source, color, depth, max_pixels)
    if is_pillow(source):
        return _three(of_pillow(source, max_pixels), depth)
    return _three(decoded(*load(source), max_pixels), depth)


def load(source: object) -> tuple[bytes, str]:
    """Return the bytes of a file, and its name for messages.

    Args:
        source: bytes, the path of a file that begins as a picture does, or an open file.

    Raises:
        ImageError: it cannot be read, or is none of these.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        return data, f"The picture ({len(data)} bytes)"
    if isinstance(source, str | os.PathLike):
        return _bytes_of(source), str(source)
    if hasattr(source, "read"):
        return _bytes_of_open_file(source)
    raise ImageError(
        f"A picture cannot be read from {type(source).__name__}: a path, bytes, a file opened in "
        "binary mode, a PIL image or a NumPy array (H, W, 3) was expected. Turn tensors into arrays."
    )


def read_oriented(path: Path) -> tuple[NDArray[np.uint8], int]:
    """Read a picture file as `read_picture` does.

    Returns:
        The picture (H, W, 3), upright, and the EXIF orientation, 1..8, of the file; see
        `turned_upright`.

    Raises:
        ImageError: as `read_picture`.
    """
    found = decoded(*load(path), DEFAULT_MAX_PIXELS)
    return _three(found, None), found.orientation


def read_size(path: Path, *, is_rgb: bool = True) -> tuple[tuple[int, int], int]:
    """Read the height and width of a picture file as it is stored, and its EXIF orientation, 1..8.

    Args:
        path: of the file.
        is_rgb: refuse a TIFF that `read_picture` cannot read; False: it is for a model of other than
            three channels.

    Raises:
        ImageError: it cannot be opened, is of no allowed format, cut off, or damaged.
    """
    data, where = _bytes_of(path), str(path)
    open_in_pillow = with_pillow.reader_of(data[:4096], where)
    if open_in_pillow is not None:
        image = open_in_pillow(data)
        return (image.height, image.width), image.getexif().get(ORIENTATION, 1)
    header = read_header(data, where, any_tiff=not is_rgb)
    return (header.height, header.width), header.orientation


def read_upright_size(
    path: Path, *, max_pixels: int = DEFAULT_MAX_PIXELS, is_rgb: bool = True
) -> tuple[int, int]:
    """Read the height and width that `read_picture` would return, without decoding the picture.

    Args:
        path: of the file.
        max_pixels: as of `read_picture`.
        is_rgb: as of `read_size`.

    Raises:
        ImageError: it cannot be opened, is of no allowed format, cut off, damaged, or too large.
    """
    (height, width), orientation = read_size(path, is_rgb=is_rgb)
    check_size(height, width, max_pixels, str(path))
    return (width, height) if orientation in _ON_ITS_SIDE else (height, width)


def is_pillow(source: object) -> TypeGuard[PillowImage]:
    """Tell whether something is a PIL image."""
    # If Pillow was never imported, the source cannot be one of its images.
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(source, module.Image)


def _bytes_of(source: str | os.PathLike[str]) -> bytes:
    """Read a file that begins as a picture does."""
    where = str(source)
    if "://" in where:
        raise ImageError(
            f"{where} is an address; nothing is fetched. Download it and pass the file."
        )
    path = Path(source)
    try:
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "not a regular file"
            raise ImageError(f"{where} is {kind}; the path of a picture was expected.")
        with path.open("rb") as file:
            head = file.read(4096)
            if with_pillow.reader_of(head, where) is None:
                recognise(head, where)  # before reading the rest: may be a film of gigabytes
            return head + file.read()
    except ImageError:
        raise
    except (OSError, ValueError) as error:
        raise ImageError(f"{where} cannot be opened: {error}.") from error


def _bytes_of_open_file(source: Any) -> tuple[bytes, str]:
    name = getattr(source, "name", None)
    where = name if isinstance(name, str) else "The open file"
    try:
        data = source.read()
    except (OSError, ValueError) as error:
        raise ImageError(f"{where} cannot be read: {error}.") from error
    if not isinstance(data, bytes):
        raise ImageError(
            f"{where} returns {type(data).__name__}, not bytes; open it in binary mode, 'rb'."
        )
    if not data and isinstance(source, io.IOBase) and source.seekable() and source.tell() > 0:
        raise ImageError(f"{where} is at its end; call seek(0) before passing it.")
    return data, where


def decoded(data: bytes, where: str, max_pixels: int) -> Stored:
    """Decode a file.

    Args:
        data: the file.
        where: names it in messages.
        max_pixels: the largest picture to accept.

    Raises:
        ImageError: it cannot be read, or is too large.
    """
    open_in_pillow = with_pillow.reader_of(data[:4096], where)
    if open_in_pillow is not None:
        return of_pillow(open_in_pillow(data), max_pixels, where)
    header = read_header(data, where)
    check_size(header.height, header.width, max_pixels, where)
    if header.format == "TIFF" and (count := tiff.channels(data)) > _MOST_CHANNELS:
        raise ImageError(
            f"{where} is a TIFF file of {count} bands; grey or RGB, with or without alpha, was expected. Only a model that takes "
            f"{count} bands can label it; of a colour picture in it, write the three bands into a file of their own."
        )
    decode: Callable[..., Any] = cv2.imdecode
    try:
        # UNCHANGED: all 16 bits, not turned by EXIF. But it makes some colour BMP files grey.
        flags = cv2.IMREAD_COLOR if header.format == "BMP" else cv2.IMREAD_UNCHANGED
        stored = decode(np.frombuffer(header.stored, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f"{where} cannot be decoded as {header.format}: {error}.") from error
    if stored is None:
        raise ImageError(
            f"{where} is a {header.format} file of {header.width} x {header.height} pixels that "
            f"OpenCV {cv2.__version__} cannot decode: it is damaged or of an unusual kind. "
            "Save it again as PNG or JPEG."
        )
    if stored.shape[:2] != (header.height, header.width):
        raise ImageError(
            f"{where} contradicts itself: its header says {header.width} x {header.height} pixels, "
            f"its content {stored.shape[1]} x {stored.shape[0]}."
        )
    return Stored(stored, "bgr", where, header.orientation)


def of_pillow(
    image: Any, max_pixels: int, where: str | None = None, as_stored: tuple[str, ...] = ()
) -> Stored:
    """Decode a PIL image.

    Args:
        image: the image.
        max_pixels: the largest picture to accept.
        where: names it in messages; None: its mode does.
        as_stored: modes that are not converted to RGB, beside those of 16 bits and of floats.

    Raises:
        ImageError: it cannot be decoded, is too large or of a mode that cannot be used.
    """
    where = where or f"The PIL image of mode {image.mode}"
    width, height = image.size
    check_size(height, width, max_pixels, where)
    if image.mode in _REFUSED_MODES:
        raise ImageError(f"{where} cannot be used: {_REFUSED_MODES[image.mode]}.")
    try:
        image.load()  # first: Pillow turns TIFF files upright while it loads them
        orientation = image.getexif().get(ORIENTATION, 1)
        if image.mode in ("F", *as_stored) or image.mode.startswith("I;16"):
            pixels = np.asarray(image)
        else:
            # By way of RGBA a palette's transparent colour stays what it is.
            pixels = np.asarray(image.convert("RGBA" if image.mode == "P" else "RGB"))
    except (OSError, ValueError, SyntaxError, EOFError, struct.error) as error:
        raise ImageError(f"{where} cannot be used: {error}.") from error
    return Stored(pixels, "rgb", where, orientation)


def _three(stored: Stored, depth: int | None) -> NDArray[np.uint8]:
    """Make a picture (H, W, 3), upright, of a stored one."""
    eight = eight_bits(stored.pixels, stored.where, depth)
    return turned_upright(_three_channels(eight, stored.color), stored.orientation)


def _from_array(
    array: NDArray[Any], color: Literal["rgb", "bgr"], depth: int | None, max_pixels: int
) -> NDArray[np.uint8]:
    where = f"The array of shape {array.shape} and dtype {array.dtype}"
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        advice = "(H, W, 3), (H, W, 4), (H, W, 1) or (H, W) was expected"
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            advice += "; with channels first, pass array.transpose(1, 2, 0)"
        if array.ndim == 4:
            advice += "; pass the pictures of a batch one by one"
        raise ImageError(f"{where} is not a picture: {advice}.")
    check_size(array.shape[0], array.shape[1], max_pixels, where)
    return _three_channels(eight_bits(array, where, depth), color)


def check_size(height: int, width: int, max_pixels: int, where: str) -> None:
    """Refuse a picture without pixels, or with too many.

    Raises:
        ImageError: it is one; `where` names it.
    """
    if height < 1 or width < 1:
        raise ImageError(f"{where} has {width} x {height} pixels; at least one was expected.")
    if height * width > max_pixels:
        raise ImageError(
            f"{where} has {width} x {height} = {height * width:,} pixels, more than the limit of "
            f"{max_pixels:,}. If you trust it, pass max_pixels={height * width}; or make it smaller."
        )


def _three_channels(array: NDArray[np.uint8], color: Literal["rgb", "bgr"]) -> NDArray[np.uint8]:
    """Make (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of order `color` into (H, W, 3) RGB."""
    array = np.ascontiguousarray(array)
    channels = 1 if array.ndim == 2 else array.shape[2]
    if channels == 3 and color == "rgb":
        return array
    code = cv2.COLOR_GRAY2RGB if channels == 1 else _TO_RGB[color, channels]
    return converted(array, code)


def turned_upright(picture: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn a picture (H, W, channels) or its labels (H, W), as stored, upright by an EXIF orientation."""
    turn = _UPRIGHT.get(orientation)
    return picture if turn is None else np.ascontiguousarray(turn(picture))
