"""The format and the size of a picture file, from its bytes alone and before any decoder runs.

Only six formats ever reach a decoder of OpenCV. It recognises dozens more, and most of its security
advisories concern those. `with_pillow` has three more formats, where the extra is installed.
"""

import re
import struct
from collections.abc import Callable

from fastfcn_infer.errors import ImageError
from fastfcn_infer.picture import formats, tiff
from fastfcn_infer.picture.formats import Header

_READERS = {
    rb"\xff\xd8\xff": ("JPEG", formats.jpeg),
    rb"\x89PNG\r\n\x1a\n": ("PNG", formats.png),
    rb"RIFF.{4}WEBP": ("WebP", formats.webp),
    # "BM" alone begins too many texts: the length of the second header must fit, too.
    rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0": ("BMP", formats.bmp),
    rb"II[*+]\0|MM\0[*+]": ("TIFF", tiff.tiff),
    rb"GIF8[79]a": ("GIF", formats.gif),
}

# Other files that people pass by mistake; the first pattern that fits is named.
_OTHER_FILES = {
    rb"(?i)\s*<(!doctype html|html|head|body)": "a web page (HTML); was an error page saved?",
    rb"(?=\s*<).*<svg": "an SVG drawing",
    rb"\s*<\?xml": "XML text",
    rb"%PDF": "a PDF document",
    rb"%!PS|\xc5\xd0\xd3\xc6": "a PostScript document",
    rb".{4}ftyp(hei[cmsx]|he[vi]c|mif1|msf1)": "a HEIC photograph",
    rb".{4}ftypavi[fs]": "an AVIF picture",
    rb".{4}(ftyp|moov|mdat)|\x1a\x45\xdf\xa3|RIFF.{4}AVI ": "a film",
    rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51": "a JPEG 2000 picture",
    rb"\0\0\0\x0cJXL |\xff\x0a": "a JPEG XL picture",
    rb"8BPS": "a Photoshop document",
    rb"PK\x03\x04": "a ZIP archive or an office document",
    rb"\x1f\x8b|BZh|\xfd7zXZ\0|7z\xbc\xaf": "a compressed archive",
    rb"\x93NUMPY": "a NumPy array; pass numpy.load(file)",
    rb"\x76\x2f\x31\x01": "an OpenEXR picture",
    rb"#\?(RADIANCE|RGBE)": "a Radiance HDR picture",
    rb"SIMPLE  =": "a FITS picture",
    rb"P[1-7Ff]\s": "a netpbm picture",
    rb"\0\0\x01\0": "an icon (ICO)",
    rb"version https://git-lfs": "a Git LFS pointer; run `git lfs pull`",
    rb"\0+\Z": "nothing but zero bytes; was a copy or download interrupted?",
    rb"[\t\n\r\x20-\x7e]+\Z": "text",
}


def recognise(head: bytes, where: str) -> tuple[str, Callable[[bytes], Header]]:
    """Return the format of a file, by its first 4096 bytes, and the function that walks through it.

    Raises:
        ImageError: empty or of no allowed format; says what it looks like. `where` names the file.
    """
    if not head:
        raise ImageError(f"{where} is empty (0 bytes); a picture was expected.")
    for pattern, reader in _READERS.items():
        if _begins(pattern, head):
            return reader
    known = ", ".join(sorted(name for name, _ in _READERS.values()))
    raise ImageError(
        f"{where} is not a picture that can be read: it looks like {_description_of(head)}. "
        f"Expected one of {known}; convert it, or check where it came from."
    )


def read_header(data: bytes, where: str, *, any_tiff: bool = False) -> Header:
    """Recognise a whole file by its first bytes and walk through it.

    Args:
        data: the file.
        where: names it in messages.
        any_tiff: accept a TIFF of any kind of pixels, also those that OpenCV reads wrong.

    Raises:
        ImageError: empty, of no allowed format, cut off or damaged, or zero pixels wide or high.
    """
    name, reader = recognise(data[:4096], where)
    try:
        header = tiff.any_tiff(data) if any_tiff and name == "TIFF" else reader(data)
    except formats.DamagedError as error:
        raise ImageError(f"{where} is a {name} file that cannot be used: {error}.") from error
    except (struct.error, IndexError) as error:
        raise ImageError(
            f"{where} is a {name} file that was cut off: it ends after {len(data)} bytes, "
            "before its end mark. Copy or download it again."
        ) from error
    if header.width < 1 or header.height < 1:
        raise ImageError(
            f"{where} is a {name} file of {header.width} x {header.height} pixels; "
            "at least one pixel was expected."
        )
    return header


def _begins(pattern: bytes, head: bytes) -> bool:
    return re.match(pattern, head, re.DOTALL) is not None


def _description_of(head: bytes) -> str:
    for pattern, description in _OTHER_FILES.items():
        if _begins(pattern, head):
            return description
    return f"an unknown format that begins with {head[:8]!r}"
