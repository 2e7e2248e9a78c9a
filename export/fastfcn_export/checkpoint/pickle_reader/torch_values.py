"""Torch tensors in a pickle: storages, and tensors as views of them.

A bfloat16 storage is widened to float32, exactly, once for all tensors that share it. Other types
stay as they are.

Source: PyTorch's `serialization.py` and `_utils.py` (reference/reliability.md, 3.2).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.checkpoint.arrays import contiguous, float32_of_bfloat16, sizes, strided
from fastfcn_export.checkpoint.pickle_reader.numpy_values import ARRAY_NAMES, ARRAYS, NUMBERS
from fastfcn_export.checkpoint.pickle_reader.records import Call, Name, Persistent
from fastfcn_export.checkpoint.pickle_reader.values import (
    Conversion,
    PickleTree,
    arguments,
    require_read,
)
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import excerpt

_BFLOAT16 = "BFloat16Storage"
_TYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    _BFLOAT16: "<u2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
    "ComplexFloatStorage": "<c8",
    "ComplexDoubleStorage": "<c16",
}
# Of these only the size is known: files of before 1.6 must be walked over them.
_UNREAD: dict[Name, np.dtype[np.generic]] = {
    Name("torch.storage", "UntypedStorage"): np.dtype("u1"),
    Name("torch", "UntypedStorage"): np.dtype("u1"),
    Name("torch", "QInt8Storage"): np.dtype("i1"),
    Name("torch", "QUInt8Storage"): np.dtype("u1"),
    Name("torch", "QInt32Storage"): np.dtype("<i4"),
}
_STORAGES: dict[Name, np.dtype[np.generic]] = {
    **{Name("torch", kind): np.dtype(code) for kind, code in _TYPES.items()},
    **_UNREAD,
}


@dataclass(frozen=True, slots=True)
class Storage:
    """What a tensor says of the storage it lies in.

    Attributes:
        kind: torch's class of the storage.
        key: its name within the file.
        elements: how many it has.
        part: (offset, elements) where the tensor lies in a part of it, in very old files.
    """

    kind: Name
    key: str
    elements: int
    part: tuple[int, int] | None

    @property
    def size(self) -> int:
        """Size in the file, bytes."""
        return self.elements * _STORAGES[self.kind].itemsize


def storage_of(reference: object) -> Storage:
    """Read a tensor's reference: ('storage', class, key, device, elements[, part]).

    The device is ignored; `part` is None or (key, offset, elements).

    Raises:
        CheckpointError: it is something else, or the class is none that is read.
    """
    require_read(reference)
    fields = reference.key if isinstance(reference, Persistent) else None
    if type(fields) is not tuple or len(fields) not in (5, 6) or fields[0] != "storage":
        raise CheckpointError(f"has a tensor without a storage, but with {excerpt(fields)}")
    _, kind, key, _, elements, *part = fields
    require_read(kind)
    if not isinstance(kind, Name) or kind not in _STORAGES:
        raise CheckpointError(
            f"has a storage of type {excerpt(kind.attribute if isinstance(kind, Name) else kind)}; supported: {', '.join(_TYPES)}"
        )
    if type(key) is not str or type(elements) is not int or elements < 0:
        raise CheckpointError(f"has a storage {excerpt(key)} of {excerpt(elements)} elements")
    if not part or part[0] is None:
        return Storage(kind, key, elements, None)
    if type(part[0]) is not tuple or len(part[0]) != 3:
        raise CheckpointError(f"has a part of a storage that is {excerpt(part[0])}")
    offset, length = sizes(part[0][1:], "part of a storage")
    if offset + length > elements:
        raise CheckpointError(f"has a part of a storage that ends after it: {excerpt(part[0])}")
    return Storage(kind, key, elements, (offset, length))


class Storages:
    """The storages of one file, each made into an array once, however many tensors refer to it.

    `bytes_of(key, size)` gives the bytes of a storage; it raises CheckpointError where the file holds
    none of that key, or one of another size in bytes.
    """

    def __init__(self, bytes_of: Callable[[str, int], memoryview]) -> None:
        """Start with no storage read."""
        self._bytes_of = bytes_of
        self._arrays: dict[str, NDArray[np.generic]] = {}
        self._seen: dict[str, tuple[Name, int]] = {}

    def array(self, reference: object) -> NDArray[np.generic]:
        """Look up the storage that a tensor refers to.

        Returns:
            (N,) read-only elements.

        Raises:
            CheckpointError: no such storage, or it was described differently before.
        """
        storage = storage_of(reference)
        described = storage.kind, storage.elements
        if self._seen.setdefault(storage.key, described) != described:
            raise CheckpointError(f"describes storage {excerpt(storage.key)} in two ways")
        if storage.key not in self._arrays:
            self._arrays[storage.key] = self._load(storage)
        array = self._arrays[storage.key]
        if storage.part is None:
            return array
        offset, elements = storage.part
        return array[offset : offset + elements]

    def _load(self, storage: Storage) -> NDArray[np.generic]:
        if storage.kind in _UNREAD:
            raise CheckpointError(
                f"has a tensor in a {storage.kind.attribute}; supported: {', '.join(_TYPES)}"
            )
        data = self._bytes_of(storage.key, storage.size)
        stored = contiguous(data, _STORAGES[storage.kind], (storage.elements,))
        return float32_of_bfloat16(stored) if storage.kind.attribute == _BFLOAT16 else stored


def conversions(storages: Storages) -> Mapping[Name, Conversion]:
    """Make the table that converts a torch pickle whose tensors lie in `storages`."""

    def tensor(tree: PickleTree, call: Call, depth: int) -> NDArray[np.generic]:
        counts = (6, 7) if call.function.attribute.endswith("_v2") else (4,)
        reference, offset, size, strides, *notes = arguments(call, *counts)
        if len(notes) == 3 and notes[2]:
            # It would say that the numbers are stored negated or conjugated.
            raise CheckpointError(
                f"has a tensor with the note {excerpt(notes[2])}, which is not read"
            )
        if type(offset) is not int:
            raise CheckpointError(f"has a tensor with the offset {excerpt(offset)}")
        storage = storages.array(reference)
        require_read(size, strides)
        shape = sizes(tree.convert(size, depth), "shape")
        elements = math.prod(shape)
        if elements > len(storage):
            tree.charge(elements * storage.itemsize)
        return strided(storage, offset, shape, sizes(strides, "strides"))

    return {
        **NUMBERS,
        **ARRAYS,
        Name("torch._utils", "_rebuild_tensor"): tensor,
        Name("torch._utils", "_rebuild_tensor_v2"): tensor,
        Name("torch._utils", "_rebuild_parameter"): _parameter,
        Name("torch._utils", "_rebuild_parameter_with_state"): _parameter,
        Name("torch", "Size"): _size,
    }


def _parameter(tree: PickleTree, call: Call, depth: int) -> object:
    data, *_ = arguments(call, 3, 4)
    require_read(data)
    return tree.convert(data, depth)


def _size(tree: PickleTree, call: Call, depth: int) -> tuple[int, ...]:
    (shape,) = arguments(call, 1)
    return sizes(shape, "shape")


ALLOWED = frozenset(
    {*conversions(Storages(lambda key, size: memoryview(b""))), *_STORAGES, *ARRAY_NAMES}
    | {Name("collections", "OrderedDict")}
)
"""Every name that a torch checkpoint needs."""
TENSORS = frozenset(ARRAYS) | {
    Name("torch._utils", f"_rebuild_{kind}")
    for kind in ("tensor", "tensor_v2", "parameter", "parameter_with_state")
}
"""Those whose calls make tensors."""
