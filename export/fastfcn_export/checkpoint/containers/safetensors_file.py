"""`.safetensors`: a JSON header, then the tensors' bytes without gaps.

BF16 is widened to float32, exactly; other types stay as they are.

Source: the format as the safetensors project's README states it.
"""

import struct
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.checkpoint.arrays import contiguous, float32_of_bfloat16, sizes
from fastfcn_export.checkpoint.container import Contents
from fastfcn_export.checkpoint.safetensors_header import TensorEntry, read_header
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import excerpt

MAX_HEADER = 8_000_000
"""Bytes; a header of 20,000 tensors has 2,000,000."""
_LARGEST_OF_FORMAT = 100_000_000
_LENGTH = struct.Struct("<Q")
_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
    "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip


def matches(head: bytes) -> bool:
    """A plausible length, then the start of a JSON object."""
    return (
        len(head) > 8 and head[8:9] == b"{" and _LENGTH.unpack(head[:8])[0] <= _LARGEST_OF_FORMAT
    )


def read(data: memoryview) -> Contents:
    """Read the header, check that the tensors cover the rest of the file exactly, and view them."""
    header = _header(data)
    body = data[8 + len(header) :]
    entries, _ = read_header(header)
    _check_cover(entries, len(body))
    tensors = {entry.name: _tensor(body, entry) for entry in entries}
    return Contents(tensors, lambda part: part, lambda part: isinstance(part, np.ndarray))


def note(data: memoryview, name: str) -> str | None:
    """Read a text of the format's ``__metadata__``."""
    _, notes = read_header(_header(data))
    return notes.get(name)


def _header(data: memoryview) -> bytes:
    (length,) = _LENGTH.unpack(data[:8])
    if length > len(data) - 8:
        raise CheckpointError(
            f"is cut off: its header takes {length} bytes, {len(data) - 8} are left"
        )
    if length > MAX_HEADER:
        raise CheckpointError(
            f"has a header of {length} bytes; at most {MAX_HEADER} are read, and no FastFCN needs more"
        )
    return bytes(data[8 : 8 + length])


def _check_cover(entries: list[TensorEntry], size: int) -> None:
    """Refuse holes, shared bytes, and a file that is shorter or longer than its tensors."""
    spans = sorted((entry.start, entry.stop, entry.name) for entry in entries)
    for (_, end, before), (start, _, name) in pairwise([(0, 0, "the header"), *spans]):
        if start != end:
            what = "shares bytes with" if start < end else "leaves a hole after"
            raise CheckpointError(f"is damaged: tensor {excerpt(name)} {what} {excerpt(before)}")
    covered = spans[-1][1] if spans else 0
    if covered != size:
        raise CheckpointError(
            f"is cut off or too long: its tensors take {covered} bytes, {size} are there"
        )


def _tensor(body: memoryview, entry: TensorEntry) -> NDArray[np.generic]:
    if entry.dtype not in _TYPES:
        raise CheckpointError(
            f"has tensor {excerpt(entry.name)} of type {excerpt(entry.dtype)}; supported: {', '.join(_TYPES)}"
        )
    data = body[entry.start : entry.stop]
    array = contiguous(data, np.dtype(_TYPES[entry.dtype]), sizes(entry.shape, "shape"))
    return float32_of_bfloat16(array) if entry.dtype == "BF16" else array
