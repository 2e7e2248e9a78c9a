"""Walk through a TIFF: its size, its layout, and whether every strip or tile of page one is complete.

`tiff` is for files that are decoded at once, `survey` for those that are read in parts.

OpenCV's TIFF reader always turns pictures upright, whatever its flags say, and multiplies colours by
a stored alpha. To prevent that it is given a copy whose directory says "upright, already multiplied,
no further page".
"""

import struct
from dataclasses import dataclass

from fastfcn_infer.picture import exif
from fastfcn_infer.picture.formats import DamagedError, Header
from fastfcn_infer.system.excerpt import excerpt

MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # with which a TIFF or BigTIFF begins

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _ROWS, _STRIP_LENGTHS, _PLANAR = 273, 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_LENGTHS = 322, 323, 324, 325
_ALPHA, _SAMPLE_FORMAT, _GEO_KEYS = 338, 339, 34735

_COMPRESSIONS = {
    1: "none", 2: "CCITT RLE", 3: "CCITT G3", 4: "CCITT G4", 5: "LZW", 7: "JPEG",
    8: "deflate", 32773: "PackBits", 32946: "deflate",
}  # fmt: skip
_UNSIGNED, _FLOAT = 1, 3
# Colour space -> its name, and the (sample format, bits) that OpenCV reads right; others it reads
# wrong without an error: whites as blacks, 12 bits as if they were 16.
_PHOTOMETRICS = {
    0: ("grey with white 0", {(_UNSIGNED, 1), (_UNSIGNED, 8)}),
    1: ("grey", {(_UNSIGNED, 1), (_UNSIGNED, 8), (_UNSIGNED, 16), (_FLOAT, 32), (_FLOAT, 64)}),
    2: ("RGB", {(_UNSIGNED, 8), (_UNSIGNED, 16), (_FLOAT, 32), (_FLOAT, 64)}),
    3: ("palette", {(_UNSIGNED, 4), (_UNSIGNED, 8)}),
    5: ("CMYK", {(_UNSIGNED, 8)}),
    6: ("YCbCr", {(_UNSIGNED, 8)}),
}


@dataclass(frozen=True)
class Survey:
    """What the directory of a TIFF says of page one.

    Args:
        width: pixels, as stored.
        height: pixels, as stored.
        orientation: as in EXIF, 1..8.
        photometric: number of the colour space, as in the file.
        georeferenced: it has the keys of a GeoTIFF.
    """

    width: int
    height: int
    orientation: int
    photometric: int
    georeferenced: bool


def survey(data: exif.Data) -> Survey:
    """Read the directory of a TIFF or BigTIFF, and check that the file holds all that it lists.

    Strips and tiles that were left out, as GeoTIFF allows, are not missed.

    Raises:
        DamagedError, struct.error: as `formats` says.
    """
    directory = _directory(data)
    width, height = _one(directory, _WIDTH), _one(directory, _HEIGHT)
    _check_pieces(directory, width, height, sparse=True)
    return Survey(
        width,
        height,
        _orientation(directory),
        _one(directory, _PHOTOMETRIC),
        _GEO_KEYS in directory.fields,
    )


def any_tiff(data: bytes) -> Header:
    """Read page one of a TIFF of any kind of pixels, which decoders other than OpenCV's read right."""
    found = survey(data)
    return Header("TIFF", found.width, found.height, found.orientation, data)


def tiff(data: bytes) -> Header:
    """Read page one of a TIFF or BigTIFF; see `formats` for what is raised."""
    directory = _directory(data)
    width, height = _one(directory, _WIDTH), _one(directory, _HEIGHT)
    _check_kind(directory)
    _check_pieces(directory, width, height)
    return Header("TIFF", width, height, _orientation(directory), _plain(directory, data))


def channels(data: exif.Data) -> int:
    """Read how many channels page one of a TIFF has; see `formats` for what is raised."""
    return _one(_directory(data), _SAMPLES, 1)


def _directory(data: exif.Data) -> exif.Directory:
    try:
        return exif.read_directory(data)
    except ValueError as error:
        raise DamagedError(f"its directory cannot be read: {error}") from error


def _orientation(directory: exif.Directory) -> int:
    found = _one(directory, exif.ORIENTATION, 1)
    return found if 1 <= found <= 8 else 1


def _one(directory: exif.Directory, tag: int, default: int | None = None) -> int:
    count = _count(directory, tag)
    if count == 0 and default is not None:
        return default
    if count != 1:
        raise DamagedError(f"tag {tag} has {count} values; one was expected")
    return directory.numbers(tag)[0]


def _count(directory: exif.Directory, tag: int) -> int:
    """Return how many values a tag has, without reading them."""
    field = directory.fields.get(tag)
    return 0 if field is None else field.count


def _check_kind(directory: exif.Directory) -> None:
    compression = _one(directory, _COMPRESSION, 1)
    if compression not in _COMPRESSIONS:
        known = ", ".join(f"{number} {name}" for number, name in _COMPRESSIONS.items())
        raise DamagedError(f"its compression {compression} is none of: {known}")
    photometric = _one(directory, _PHOTOMETRIC)
    if photometric not in _PHOTOMETRICS:
        known = ", ".join(f"{number} {name}" for number, (name, _) in _PHOTOMETRICS.items())
        raise DamagedError(f"its colour space {photometric} is none of: {known}")
    name, readable = _PHOTOMETRICS[photometric]
    bits = set(directory.numbers(_BITS, (1,)))
    formats = set(directory.numbers(_SAMPLE_FORMAT, (_UNSIGNED,)))
    if len(bits) != 1 or len(formats) != 1 or (min(formats), min(bits)) not in readable:
        raise DamagedError(
            f"its pixels are {name} of {excerpt(sorted(bits))} bits, sample format {excerpt(sorted(formats))}; "
            "8 bits unsigned (format 1) is read, with RGB and grey also 16, and float (format 3)"
        )
    if min(bits) > 8 and _one(directory, _PLANAR, 1) != 1:
        raise DamagedError(
            f"its channels of {min(bits)} bits are stored plane by plane; only interleaved channels are read"
        )


def _check_pieces(
    directory: exif.Directory, width: int, height: int, *, sparse: bool = False
) -> None:
    """Check that every strip or tile is complete, from the first byte to the last."""
    if min(width, height) < 1:
        return  # refused by read_header
    tiled = _TILES in directory.fields
    if tiled:
        columns, rows = _one(directory, _TILE_WIDTH), _one(directory, _TILE_HEIGHT)
        tags = (_TILES, _TILE_LENGTHS)
    else:
        columns, rows = width, min(_one(directory, _ROWS, height), height)
        tags = (_STRIPS, _STRIP_LENGTHS)
    if min(columns, rows) < 1:
        raise DamagedError("its strips or tiles have no pixels")
    apart = _one(directory, _PLANAR, 1) == 2
    samples = _one(directory, _SAMPLES, 1)
    planes, channels = (samples, 1) if apart else (1, samples)
    down = -(-height // rows)
    needed = -(-width // columns) * down * planes
    listed = [_count(directory, tag) for tag in tags]
    if listed != [needed, needed]:
        raise DamagedError(f"it lists {min(listed)} of {needed} strips or tiles")
    offsets, lengths = (directory.numbers(tag) for tag in tags)
    end = max(at + length for at, length in zip(offsets, lengths, strict=True))
    if end > len(directory.data) or (0 in lengths and not sparse):
        raise DamagedError(f"it has {len(directory.data)} of {end} bytes: it was cut off")
    if _one(directory, _COMPRESSION, 1) == 1 and _one(directory, _PHOTOMETRIC) != 6:
        row = (columns * channels * directory.numbers(_BITS, (1,))[0] + 7) // 8
        last = rows if tiled else height - rows * (down - 1)
        short = [
            piece
            for piece, length in enumerate(lengths)
            if (length or not sparse)
            and length < row * (last if piece % down == down - 1 and not tiled else rows)
        ]
        if short:
            raise DamagedError(f"its strip or tile {short[0]} has too few bytes")


def _plain(directory: exif.Directory, data: bytes) -> bytes:
    """Copy the file with a directory that makes the decoder return the pixels as they are stored."""
    copy = bytearray(data)
    for tag in (exif.ORIENTATION, _ALPHA):
        for number in range(len(directory.numbers(tag))):
            field = directory.fields[tag]
            at = field.position + number * struct.calcsize("<" + field.code)
            struct.pack_into(directory.order + field.code, copy, at, 1)
    if directory.next.position < len(copy):  # some writers leave it out at the very end
        struct.pack_into(directory.order + directory.next.code, copy, directory.next.position, 0)
    return bytes(copy)
