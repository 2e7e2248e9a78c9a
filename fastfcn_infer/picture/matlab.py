"""Read one array of a MATLAB file of version 5 to 7, the format of SBD's labels."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"MATLAB 5.0 MAT-file"

_HEADER = 128  # bytes; the last two are "IM" in a little-endian file
_MATRIX, _COMPRESSED = 14, 15
_STRUCT = 2  # class of array
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
_MOST_BYTES = 1 << 28  # of one variable, unpacked


class MatlabError(ValueError):
    """The file is damaged or holds something else; the message says why."""


def read_struct_field(data: bytes, variable: str, field: str) -> NDArray[Any]:
    """Read the numbers (H, W) of a field of a struct.

    Args:
        data: the file.
        variable: name of the struct, 1 x 1.
        field: name of its field, a matrix of real numbers.

    Raises:
        MatlabError: damaged, or there is no such field.

    Source: MathWorks, "MAT-File Format", level 5.
    """
    order = "<" if data[_HEADER - 2 : _HEADER] == b"IM" else ">"
    try:
        for kind, body in _elements(data[_HEADER:], order):
            content = body
            if kind == _COMPRESSED:
                ((kind, content),) = _elements(_unpack(body), order)
            if kind != _MATRIX:
                continue
            parts = [part for _, part in _elements(content, order)]
            if parts[2] == variable.encode():
                return _field(parts, order, field)
    except (struct.error, zlib.error, IndexError, ValueError) as error:
        raise MatlabError(f"it is damaged: {error}") from error
    raise MatlabError(f"it has no variable {variable!r}")


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Walk over (type, content); those of up to four bytes are packed into their own tag."""
    at = 0
    while at < len(data):
        (tag,) = struct.unpack_from(order + "I", data, at)
        kind, length, start = tag & 0xFFFF, tag >> 16, at + 4
        if length == 0:
            (length,) = struct.unpack_from(order + "I", data, at + 4)
            start = at + 8
        if start + length > len(data):
            raise MatlabError("it was cut off")
        yield kind, data[start : start + length]
        padded = length if kind == _COMPRESSED else -(-length // 8) * 8
        at = at + 8 if start == at + 4 else start + padded


def _unpack(body: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(body, _MOST_BYTES)
    if not unpacking.eof:
        raise MatlabError(f"a variable was cut off, or has more than {_MOST_BYTES:,} bytes")
    return content


def _field(parts: list[bytes], order: str, field: str) -> NDArray[Any]:
    """Find a field of a struct.

    `parts` are flags, dimensions, name, length of a field's name, those names, a matrix per field.
    """
    (flags,) = struct.unpack_from(order + "I", parts[0])
    if flags & 0xFF != _STRUCT:
        raise MatlabError("its variable is not a struct")
    (width,) = struct.unpack_from(order + "I", parts[3])
    names = [parts[4][at : at + width].split(b"\0")[0] for at in range(0, len(parts[4]), width)]
    if field.encode() not in names:
        raise MatlabError(f"its struct has no field {field!r}")
    matrix = list(_elements(parts[5 + names.index(field.encode())], order))
    if len(matrix) != 4 or matrix[3][0] not in _NUMBERS:
        raise MatlabError(f"its field {field!r} is not a matrix of real numbers")
    shape = struct.unpack(f"{order}{len(matrix[1][1]) // 4}i", matrix[1][1])
    kind, numbers = matrix[3]
    return np.frombuffer(numbers, order + _NUMBERS[kind]).reshape(shape, order="F")
