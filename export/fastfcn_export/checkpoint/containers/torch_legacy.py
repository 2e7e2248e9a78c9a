"""`.pth` before PyTorch 1.6: five pickles in a row, then the storages, each after its length.

Source: PyTorch's `serialization.py` (reference/reliability.md, 3.2).
"""

import struct
from collections.abc import Sequence

from fastfcn_export.checkpoint.container import Contents
from fastfcn_export.checkpoint.pickle_reader.interpreter import first_opcode, read_pickle
from fastfcn_export.checkpoint.pickle_reader.records import Persistent
from fastfcn_export.checkpoint.pickle_reader.torch_values import (
    ALLOWED,
    TENSORS,
    Storages,
    conversions,
    storage_of,
)
from fastfcn_export.checkpoint.pickle_reader.values import PickleTree
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import excerpt

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_LONG_INTEGER = 0x8A
_COUNT = struct.Struct("<q")


def matches(head: bytes) -> bool:
    """A pickle of a long integer; `read` looks whether it is torch's."""
    return first_opcode(head) == _LONG_INTEGER


def read(data: memoryview) -> Contents:
    """Read the header's three pickles, the tree, the order of the storages, and the storages."""
    position = 0
    for what, expected in (("magic number", _MAGIC), ("version", _VERSION)):
        header = read_pickle(data, position, ())
        if type(header.value) is not int or header.value != expected:
            raise CheckpointError(
                f"has the {what} {excerpt(header.value)}; torch writes {expected}"
            )
        position = header.end
    machine = read_pickle(data, position, ())
    if not isinstance(machine.value, dict) or machine.value.get("little_endian") is not True:
        raise CheckpointError("is of a big-endian machine; only little-endian files are read")
    pickle = read_pickle(data, machine.end, ALLOWED)
    order = read_pickle(data, pickle.end, ())
    members = _cut(data, order.end, order.value, pickle.references)

    def storage(key: str, size: int) -> memoryview:
        if len(members[key]) != size:
            raise CheckpointError(f"describes storage {excerpt(key)} in two ways")
        return members[key]

    return PickleTree(conversions(Storages(storage)), len(data)).contents(pickle, TENSORS)


def _cut(
    data: memoryview, position: int, keys: object, references: Sequence[Persistent]
) -> dict[str, memoryview]:
    """Cut the end of the file into storages; only the references say how large an element is."""
    declared = {found.key: found for found in map(storage_of, references)}
    if not isinstance(keys, list) or any(type(key) is not str for key in keys):
        raise CheckpointError(
            f"has {excerpt(keys)} for the order of its storages; expected a list"
        )
    if sorted(keys) != sorted(declared):
        raise CheckpointError(
            f"stores the storages {excerpt(keys)}, but its tensors lie in {excerpt(list(declared))}"
        )
    members: dict[str, memoryview] = {}
    for key in keys:
        size = declared[key].size
        start = position + _COUNT.size
        if start + size > len(data):
            raise CheckpointError(
                f"is cut off: storage {excerpt(key)} needs {size} bytes from byte {start}, the file ends at {len(data)}"
            )
        (elements,) = _COUNT.unpack(data[position:start])
        if elements != declared[key].elements:
            raise CheckpointError(
                f"stores {elements} elements for storage {excerpt(key)}; its tensors expect {declared[key].elements}"
            )
        members[key] = data[start : start + size]
        position = start + size
    if position != len(data):
        raise CheckpointError(f"continues after its end: {len(data) - position} bytes too many")
    return members
