"""NumPy arrays, types and numbers in a pickle, read without NumPy's own reconstruction.

Source: NumPy's `ndarray.__reduce_ex__`, seen in files that NumPy 1 and 2 wrote with protocols 2 to 5.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.checkpoint.arrays import contiguous, sizes
from fastfcn_export.checkpoint.pickle_reader.records import Call, LongText, Name
from fastfcn_export.checkpoint.pickle_reader.values import (
    Conversion,
    PickleTree,
    arguments,
    require_read,
)
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import excerpt

NDARRAY = Name("numpy", "ndarray")
DTYPE = Name("numpy", "dtype")
_CODES = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})
_OTHER_NUMBERS = ("U", "S", "M", "m", "c")
# NumPy 2 moved these modules behind an underscore.
_CORES = ("numpy.core", "numpy._core")


def _dtype(record: object) -> np.dtype[np.generic]:
    require_read(record)
    if not isinstance(record, Call) or record.function != DTYPE:
        raise CheckpointError("has an array without a NumPy type")
    code, *flags = arguments(record, 3)
    state = record.state
    # Looked at before it is hashed: hashing a tuple of tuples of tuples may take for ever.
    if type(code) is not str or code not in _CODES or flags != [False, True]:
        raise CheckpointError(
            f"has an array of type {excerpt(code)}; supported: " + ", ".join(sorted(_CODES))
        )
    if type(state) is not tuple or len(state) != 8:
        raise CheckpointError("has a NumPy type without the byte order and the other seven facts")
    version, byte_order, *fields = state
    if version != 3 or byte_order not in ("<", "|") or fields != [None, None, None, -1, -1, 0]:
        raise CheckpointError(
            f"has a NumPy type with the facts {excerpt(state)}; expected a plain little-endian one"
        )
    return np.dtype(f"<{code}")


def _reconstructed(tree: PickleTree, call: Call, depth: int) -> NDArray[np.generic]:
    """Protocols 2 to 4: an empty array is made, its state is set afterwards."""
    kind, shape, code = arguments(call, 3)
    if kind != NDARRAY or shape != (0,) or tree.raw_bytes(code, depth) != b"b":
        raise CheckpointError("makes an array in a way NumPy never writes")
    state = call.state
    if type(state) is not tuple or len(state) != 5 or state[0] != 1:
        raise CheckpointError(
            "has an array without shape, type and data, or of an unknown version"
        )
    require_read(*state)
    _, shape, dtype, by_columns, data = state
    if type(by_columns) not in (bool, int):
        raise CheckpointError("has an array that does not say how its axes are ordered")
    order = "F" if by_columns else "C"
    return contiguous(tree.raw_bytes(data, depth), _dtype(dtype), sizes(shape, "shape"), order)


def _from_buffer(tree: PickleTree, call: Call, depth: int) -> NDArray[np.generic]:
    """Protocol 5: the bytes and how to look at them."""
    data, dtype, shape, order, *axes = arguments(call, 4, 5)
    if order not in (("K",) if axes else ("C", "F")):
        raise CheckpointError(f"has an array whose axes are ordered {excerpt(order)}")
    if not axes:
        return contiguous(
            tree.raw_bytes(data, depth), _dtype(dtype), sizes(shape, "shape"), str(order)
        )
    stored = contiguous(tree.raw_bytes(data, depth), _dtype(dtype), sizes(shape, "shape"))
    permutation = sizes(axes[0], "order of axes")
    if sorted(permutation) != list(range(stored.ndim)):
        raise CheckpointError(f"has an array whose axes are ordered {excerpt(permutation)}")
    return stored.transpose(permutation)


def _scalar(tree: PickleTree, call: Call, depth: int) -> object:
    dtype, data = arguments(call, 2)
    code = dtype.arguments[0] if isinstance(dtype, Call) and dtype.arguments else None
    if type(code) is str and code[:1] in _OTHER_NUMBERS and code[1:].isdecimal():
        return None  # text, a date or a complex number: nothing that a tensor has
    return contiguous(tree.raw_bytes(data, depth), _dtype(dtype), ()).item()


def _encoded(tree: PickleTree, call: Call, depth: int) -> memoryview | bytes:
    """Protocol 2 has no type for bytes; it writes text and a call that encodes it."""
    text, encoding = arguments(call, 2)
    if not isinstance(text, str | LongText) or encoding not in ("latin1", "latin-1"):
        raise CheckpointError("encodes something other than latin-1 text")
    return tree.recoded(text)


def _no_bytes(tree: PickleTree, call: Call, depth: int) -> bytes:
    """Protocol 2 writes empty bytes as a call of `bytes` without arguments."""
    arguments(call, 0)
    return b""


def _type(tree: PickleTree, call: Call, depth: int) -> None:
    """A type that belongs to no array says nothing about tensors."""


ARRAY_NAMES = (NDARRAY, DTYPE)
"""Names that stand in calls of `ARRAYS` and are never called themselves, or only in one of those."""
ARRAYS: Mapping[Name, Conversion] = {
    **{Name(f"{core}.multiarray", "_reconstruct"): _reconstructed for core in _CORES},
    **{Name(f"{core}.numeric", "_frombuffer"): _from_buffer for core in _CORES},
}
NUMBERS: Mapping[Name, Conversion] = {
    **{Name(f"{core}.multiarray", "scalar"): _scalar for core in _CORES},
    DTYPE: _type,
    Name("_codecs", "encode"): _encoded,
    Name("builtins", "bytes"): _no_bytes,
    Name("__builtin__", "bytes"): _no_bytes,
}
