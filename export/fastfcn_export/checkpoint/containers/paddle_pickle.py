"""`.pdparams`: a pickle of NumPy arrays, as `paddle.save` writes it (or as NumPy alone does).

Paddle stores bfloat16 as uint16 with nothing that says so; such arrays stay uint16.

Source: Paddle's `framework/io.py` and `io_utils.py` (reference/reliability.md, 3.1).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.checkpoint.arrays import sizes
from fastfcn_export.checkpoint.container import Contents
from fastfcn_export.checkpoint.pickle_reader.interpreter import first_opcode, read_pickle
from fastfcn_export.checkpoint.pickle_reader.numpy_values import ARRAY_NAMES, ARRAYS, NUMBERS
from fastfcn_export.checkpoint.pickle_reader.records import Call, Name
from fastfcn_export.checkpoint.pickle_reader.values import (
    Conversion,
    PickleTree,
    arguments,
    require_read,
)
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import excerpt

_LONG_INTEGER = 0x8A
# Both spelled as Paddle spells them.
_SPLIT = "UnpackBigParamInfor@@"


def matches(head: bytes) -> bool:
    """A pickle of protocol 2 to 5 that does not begin with a number, as torch's do."""
    return first_opcode(head) not in (None, _LONG_INTEGER)


def read(data: memoryview) -> Contents:
    """Read the pickle and put arrays together that Paddle had to split."""
    allowed = {*_CONVERSIONS, *ARRAY_NAMES, Name("collections", "OrderedDict")}
    pickle = read_pickle(data, 0, allowed)
    if pickle.end != len(data):
        raise CheckpointError(f"continues after its end: {len(data) - pickle.end} bytes too many")
    contents = PickleTree(_CONVERSIONS, len(data)).contents(pickle, _TENSORS)
    if not isinstance(contents.tree, dict) or _SPLIT not in contents.tree:
        return contents
    return replace(contents, tree=_joined(contents.tree, contents.convert, len(data)))


def _tuple(tree: PickleTree, call: Call, depth: int) -> object:
    """A tensor in a nested checkpoint: `tuple((name, array))`."""
    (items,) = arguments(call, 1)
    if type(items) is not tuple:
        raise CheckpointError("makes a tuple of something that is none")
    return tree.convert(items, depth)


def _array_itself(tree: PickleTree, call: Call, depth: int) -> object:
    """A tensor of a static program."""
    (array,) = arguments(call, 1)
    return _only_array(tree.convert(array, depth))


def _evaluated(tree: PickleTree, call: Call, depth: int) -> object:
    """The same from older Paddle: `eval('data', {'data': array})`, recognised as text, never run."""
    source, names = arguments(call, 2)
    if source != "data" or type(names) is not dict or list(names) != ["data"]:
        raise CheckpointError(
            f"names code that a checkpoint has no need of: builtins.eval of {excerpt(source)}. "
            "Nothing was run."
        )
    return _only_array(tree.convert(names["data"], depth))


def _only_array(value: object) -> object:
    require_read(value)
    if not isinstance(value, np.ndarray):
        raise CheckpointError("makes a tensor of something that is not an array")
    return value


def _joined(
    state: dict[object, object], convert: Callable[[object], object], file_bytes: int
) -> dict[object, object]:
    """Put split arrays together at the end of the dict, where Paddle puts them."""
    notes = convert(state[_SPLIT])
    if not isinstance(notes, dict):
        raise CheckpointError(f"has {type(notes).__name__} for {_SPLIT}; expected a dict")
    rest = {key: value for key, value in state.items() if key != _SPLIT}
    whole: dict[object, object] = {}
    for name, note in notes.items():
        if name in rest:
            raise CheckpointError(f"holds {excerpt(name)} both whole and in parts")
        shape, parts = _parts(rest, convert, name, note)
        # Parts under different names may be the same array in the file.
        file_bytes -= sum(part.nbytes for part in parts)
        if file_bytes < 0:
            raise CheckpointError("describes more data than the file holds")
        whole[name] = _join(parts, name, shape)
    return rest | whole


def _parts(
    rest: dict[object, object], convert: Callable[[object], object], name: object, note: object
) -> tuple[tuple[int, ...], list[NDArray[np.generic]]]:
    """Take the parts of an array out of the dict; give its shape and them."""
    if not isinstance(note, dict) or not {"OriginShape", "slices"} <= note.keys():
        raise CheckpointError(f"does not say of what parts {excerpt(name)} consists")
    keys = note["slices"]
    if not isinstance(keys, list) or not keys:
        raise CheckpointError(f"names no parts of {excerpt(name)}")
    parts: list[NDArray[np.generic]] = []
    for key in keys:
        # Taken out, so that a part that is named twice is missing the second time.
        part = convert(rest.pop(key, None)) if isinstance(key, str) else None
        if not isinstance(part, np.ndarray) or part.ndim != 1:
            raise CheckpointError(f"lacks the part {excerpt(key)} of {excerpt(name)}")
        parts.append(part)
    return sizes(note["OriginShape"], "shape"), parts


def _join(
    parts: list[NDArray[np.generic]], name: object, shape: tuple[int, ...]
) -> NDArray[np.generic]:
    if len({part.dtype for part in parts}) > 1 or sum(map(len, parts)) != math.prod(shape):
        raise CheckpointError(
            f"holds parts of {excerpt(name)} that do not make up the shape {excerpt(shape)}"
        )
    array = np.concatenate(parts).reshape(shape)
    array.flags.writeable = False
    return array


_CONVERSIONS: Mapping[Name, Conversion] = {
    **ARRAYS,
    **NUMBERS,
    Name("builtins", "tuple"): _tuple,
    Name("__builtin__", "tuple"): _tuple,
    Name("builtins", "eval"): _evaluated,
    Name("__builtin__", "eval"): _evaluated,
    Name("paddle.framework.io_utils", "_reconstruct_dense_tensor_data"): _array_itself,
}
_PAIRS = frozenset({Name("builtins", "tuple"), Name("__builtin__", "tuple")})
_TENSORS = frozenset(_CONVERSIONS) - frozenset(NUMBERS) - _PAIRS
