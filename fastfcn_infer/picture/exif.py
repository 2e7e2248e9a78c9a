"""Read TIFF directories, which hold the tags of a TIFF file and the EXIF orientation of a photograph.

Source: TIFF 6.0, section 2; BigTIFF; EXIF 2.32, 4.6.2.
"""

import struct
from dataclasses import dataclass
from typing import Protocol

ORIENTATION = 274

# Type number -> struct code, of the types that hold whole numbers; others are not needed.
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}


class Data(Protocol):
    """The bytes of a file: in memory, or read when they are asked for."""

    def __len__(self) -> int:
        """Return how many there are."""

    def __getitem__(self, part: slice, /) -> bytes:
        """Return some of them; fewer where the part reaches beyond the end."""


@dataclass(frozen=True)
class Field:
    """Where the values of a tag lie: `count` numbers of struct type `code` from byte `position`."""

    code: str
    count: int
    position: int


@dataclass(frozen=True)
class Directory:
    """The first directory of a TIFF; only fields of whole numbers are kept."""

    data: Data
    order: str  # of bytes: "<" little endian, ">" big endian
    fields: dict[int, Field]
    next: Field  # where the position of the next directory is written

    def numbers(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Return the values of `tag`, or `default` if the directory lacks it.

        Raises:
            struct.error: the values lie beyond the end of the data.
        """
        field = self.fields.get(tag)
        if field is None:
            return default
        return _unpack(f"{self.order}{field.count}{field.code}", self.data, field.position)


def read_directory(data: Data) -> Directory:
    """Read the first directory of a TIFF or BigTIFF, of either byte order.

    Raises:
        ValueError: not a TIFF, or a tag occurs twice, so that two readers might disagree.
        struct.error: the directory lies beyond the end of the data.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise ValueError("neither II nor MM")
    (version,) = _unpack(order + "H", data, 2)
    if version not in (42, 43):
        raise ValueError(f"version {version}")
    big = version == 43
    # An offset takes 4 bytes in a TIFF and 8 in a BigTIFF, a count of entries 2 and 8.
    word, counter, head = ("Q", "Q", 8) if big else ("I", "H", 4)
    (at,) = _unpack(order + word, data, head)
    (entries,) = _unpack(order + counter, data, at)
    at += struct.calcsize("<" + counter)
    width = struct.calcsize("<" + word)
    fields: dict[int, Field] = {}
    for _ in range(entries):
        tag, kind, count = _unpack(order + "HH" + word, data, at)
        (offset,) = _unpack(order + word, data, at + 4 + width)
        if kind in _CODES:
            if tag in fields:
                raise ValueError(f"tag {tag} occurs twice")
            inline = count * struct.calcsize("<" + _CODES[kind]) <= width
            fields[tag] = Field(_CODES[kind], count, at + 4 + width if inline else offset)
        at += 4 + 2 * width
    return Directory(data, order, fields, Field(word, 1, at))


def orientation(data: bytes) -> int:
    """Read the orientation, 1..8, from EXIF data; 1 (upright) where it is missing or nonsense.

    A photograph with damaged EXIF data is still a photograph, so nothing is refused here.
    """
    try:
        found = read_directory(data).numbers(ORIENTATION)
    except (ValueError, struct.error):
        return 1
    return found[0] if len(found) == 1 and 1 <= found[0] <= 8 else 1


def _unpack(code: str, data: Data, at: int) -> tuple[int, ...]:
    # An offset of 64 bits may be more than `struct` can even refuse.
    end = at + struct.calcsize(code)
    if end > len(data):
        raise struct.error(f"byte {end} lies beyond the end")
    return struct.unpack(code, data[at:end])
