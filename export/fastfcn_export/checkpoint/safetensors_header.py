"""The header of a safetensors file: one JSON object, checked before any array is made of it.

Source: the format as the safetensors project's README states it.
"""

from dataclasses import dataclass

from fastfcn_export.checkpoint.arrays import MAX_TENSORS, sizes
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system import strict_json
from fastfcn_infer.system.excerpt import excerpt

_METADATA = "__metadata__"
_MAX_NAME = 1024
_MAX_NOTE = 1 << 20
# A large FastFCN has 10,000; the values of a header of 8 MB could take 200 MB.
_MAX_VALUES = 500_000


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """What the header says of a tensor.

    Attributes:
        name: of the tensor.
        dtype: the format's word for the type.
        shape: sizes.
        start: of its bytes, counted from the end of the header.
        stop: the byte after them.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def read_header(header: bytes) -> tuple[list[TensorEntry], dict[str, str]]:
    """Read the header.

    Args:
        header: its text, without the length before it.

    Returns:
        Tensors in the header's order, and the notes of the file by their names.

    Raises:
        CheckpointError: the text is no such header, or has a name twice.
    """
    # Counted in its text, before values are made of it.
    if sum(map(header.count, (b",", b"[", b"{"))) > _MAX_VALUES:
        raise CheckpointError(f"has more than {_MAX_VALUES} values in its safetensors header")
    try:
        found = strict_json.parse(str(header, "utf-8"))
    except ValueError as error:
        raise CheckpointError(f"has a safetensors header that is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"has a safetensors header that is not an object: {excerpt(found)}")
    notes = found.pop(_METADATA, {})
    if not isinstance(notes, dict) or not all(map(_is_note, notes.values())):
        raise CheckpointError(
            f"has the notes {excerpt(notes)}; texts of at most {_MAX_NOTE} characters were expected"
        )
    if len(found) > MAX_TENSORS:
        raise CheckpointError(f"holds more than {MAX_TENSORS} tensors; no checkpoint does")
    return [_entry(name, value) for name, value in found.items()], notes


def _is_note(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_NOTE


def _entry(name: str, value: object) -> TensorEntry:
    if len(name) > _MAX_NAME:
        raise CheckpointError(f"has the name {excerpt(name)}; at most {_MAX_NAME} bytes are read")
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(
            f"describes tensor {excerpt(name)} by {excerpt(value)}; expected dtype, shape and "
            "data_offsets"
        )
    dtype, offsets = value["dtype"], sizes(value["data_offsets"], "data_offsets")
    if not isinstance(dtype, str) or len(offsets) != 2:
        raise CheckpointError(
            f"describes tensor {excerpt(name)} by {excerpt(value)}; expected a dtype in text and two "
            "data_offsets"
        )
    return TensorEntry(name, dtype, sizes(value["shape"], "shape"), *offsets)
