"""Convert the inert records of a pickle to plain values and arrays, by a fixed table."""

from collections.abc import Callable, Collection, Mapping

import numpy as np

from fastfcn_export.checkpoint.arrays import MAX_TENSORS
from fastfcn_export.checkpoint.container import Contents
from fastfcn_export.checkpoint.pickle_reader.records import (
    Call,
    LongText,
    Name,
    Opaque,
    Persistent,
    Pickle,
    latin1_bytes,
)
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import printable

MAX_DEPTH = 16
_SLACK = 1 << 24


class PickleTree:
    """Converts the values of one pickle; every value that is referred to twice is converted once."""

    def __init__(self, conversions: Mapping[Name, "Conversion"], file_bytes: int) -> None:
        """Start with nothing converted.

        Args:
            conversions: what to make of a call, by the function it names.
            file_bytes: size of the file; what is described beyond it may not take more again.
        """
        self._conversions = conversions
        self._budget = file_bytes + _SLACK
        self._tensors = 0
        self._pickle: Pickle | None = None
        # Values stay alive as long as the tree they hang in, so their ids stay unique.
        self._converted: dict[int, object] = {}

    def convert(self, value: object, depth: int = 0) -> object:
        """Convert a value and everything in it.

        Raises:
            CheckpointError: nested deeper than 16, too many tensors, or a record that makes no sense.
        """
        if not isinstance(value, dict | list | tuple | Call | Persistent):
            return value
        if id(value) not in self._converted:
            if depth > MAX_DEPTH:
                raise CheckpointError(f"nests values more than {MAX_DEPTH} deep")
            self._converted[id(value)] = self._convert(value, depth + 1)
        return self._converted[id(value)]

    def contents(self, pickle: Pickle, tensors: Collection[Name]) -> Contents:
        """Describe a whole file.

        Args:
            pickle: of which this tree converts the parts.
            tensors: the functions whose calls make tensors.
        """
        self._pickle = (
            pickle  # kept alive, so that no other value gets the id of one of its values
        )

        def is_tensor(part: object) -> bool:
            if isinstance(part, Call) and part.function.attribute == "tuple" and part.arguments:
                part = part.arguments[0]
            if type(part) is tuple and len(part) == 2 and isinstance(part[0], str):
                part = part[1]  # the pair (name, array) that Paddle nests
            return isinstance(part, np.ndarray) or (
                isinstance(part, Call) and part.function in tensors
            )

        return Contents(pickle.value, self.convert, is_tensor, pickle.skipped)

    def _convert(self, value: object, depth: int) -> object:
        if isinstance(value, dict):
            return {key: self.convert(item, depth) for key, item in value.items()}
        if isinstance(value, list):
            return [self.convert(item, depth) for item in value]
        if isinstance(value, tuple):
            return tuple(self.convert(item, depth) for item in value)
        if isinstance(value, Call):
            return self._call(value, depth)
        raise CheckpointError("refers to a storage where only a tensor may do so")

    def _call(self, call: Call, depth: int) -> object:
        conversion = self._conversions.get(call.function)
        if conversion is None:
            raise CheckpointError(
                f"calls {printable(str(call.function))}, which is not a function that makes a value"
            )
        result = conversion(self, call, depth)
        if isinstance(result, np.ndarray):
            self._tensors += 1
            if self._tensors > MAX_TENSORS:
                raise CheckpointError(f"holds more than {MAX_TENSORS} tensors; no checkpoint does")
        return result

    def raw_bytes(self, value: object, depth: int) -> memoryview | bytes:
        """Bytes of an array, in any of the forms that a pickle has for bytes.

        Raises:
            CheckpointError: not bytes, or the copies become larger than the file.
        """
        value = self.convert(value, depth)
        require_read(value)
        if isinstance(value, str | LongText):
            value = self.recoded(value)
        if not isinstance(value, memoryview | bytes):
            raise CheckpointError(
                f"holds {type(value).__name__} where the bytes of an array belong; arrays of Python "
                "objects are not read"
            )
        return value

    def recoded(self, text: str | LongText) -> memoryview | bytes:
        """Bytes that are stored as text; see `latin1_bytes`.

        Raises:
            CheckpointError: the text does not stand for bytes, or the copies become larger than the file.
        """
        self.charge(len(text if isinstance(text, str) else text.data))
        return latin1_bytes(text)

    def charge(self, size: int) -> None:
        """Account for bytes that are no view of the file's own, before they are made.

        The same text may be encoded again and again, a view may repeat one element a billion times: a
        small file must not become a large result.

        Raises:
            CheckpointError: together they are larger than the file.
        """
        self._budget -= size
        if self._budget < 0:
            raise CheckpointError("describes more data than the file holds")


def require_read(*values: object) -> None:
    """Refuse values of which a tensor would be made if they were not opaque.

    Raises:
        CheckpointError: one is opaque; names what would build it.
    """
    for value in values:
        if isinstance(value, Opaque):
            raise CheckpointError(
                f"names code where a tensor is read from: {printable(str(value.name))}. Nothing was run. "
                "If you trust the file's origin, load it where it was made, save the model's state_dict "
                "alone, and read that."
            )


Conversion = Callable[[PickleTree, Call, int], object]
"""Makes a value of a call: gets the tree for nested values, the call, and how deep it lies."""


def arguments(call: Call, *counts: int) -> tuple[object, ...]:
    """Arguments of a call, after a check of how many there are.

    Raises:
        CheckpointError: there are more or fewer, or one of the first is opaque.
    """
    require_read(*call.arguments[: min(counts)])
    if len(call.arguments) not in counts:
        raise CheckpointError(
            f"calls {printable(str(call.function))} with {len(call.arguments)} arguments; expected "
            + " or ".join(map(str, counts))
        )
    return call.arguments
