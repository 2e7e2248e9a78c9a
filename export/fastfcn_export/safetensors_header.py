"""The header of a safetensors file, scanned entry by entry.

Its grammar is a small part of JSON: one object of objects of five fixed shapes. A general parser would
first build whatever a hostile header describes, twenty times as large as its text; this one
stops at the first thing that does not belong there.

Source: the format as the safetensors project's README states it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from fastfcn_export.tensor_bytes import MAX_TENSORS, shown
from fastfcn_infer.errors import CheckpointError

METADATA = "__metadata__"
_MAX_NAME = 1024
# A regular expression takes memory for each repetition until it has matched.
_MAX_NOTE = 1 << 20
_SPACE = re.compile(rb"[ \t\r\n]*")
_TEXT = re.compile(rb'"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*"', re.DOTALL)
_INTEGERS = re.compile(
    rb"\[[ \t\r\n]*(?:(?:0|[1-9][0-9]{0,19})[ \t\r\n]*(?:,[ \t\r\n]*(?!\])|(?=\])))*\]"
)
_DIGITS = re.compile(rb"[0-9]+")


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


def read_entries(header: memoryview) -> list[TensorEntry]:
    """Read the header.

    Args:
        header: its text, without the length before it.

    Returns:
        Tensors in the header's order.

    Raises:
        CheckpointError: the text is no such header, or has a name twice.
    """
    scanner = _Scanner(header)
    entries: dict[str, TensorEntry | None] = {}
    for name in scanner.object_of():
        if name in entries:
            raise scanner.fault(f"has the name {shown(name)} twice")
        if len(entries) > MAX_TENSORS:
            raise scanner.fault(f"holds more than {MAX_TENSORS} tensors; no checkpoint does")
        if name == METADATA:
            scanner.pass_notes()
            entries[name] = None
        else:
            entries[name] = _entry(scanner, name)
    scanner.end()
    return [entry for entry in entries.values() if entry is not None]


def _entry(scanner: "_Scanner", name: str) -> TensorEntry:
    fields: dict[str, str | tuple[int, ...]] = {}
    for field in scanner.object_of():
        if field in fields or field not in ("dtype", "shape", "data_offsets"):
            raise scanner.fault(
                f"has the field {shown(field)} of tensor {shown(name)} twice or unasked"
            )
        fields[field] = scanner.text() if field == "dtype" else scanner.integers()
    dtype, shape, offsets = (fields.get(field) for field in ("dtype", "shape", "data_offsets"))
    if (
        not isinstance(dtype, str)
        or not isinstance(shape, tuple)
        or not isinstance(offsets, tuple)
    ):
        raise scanner.fault(
            f"describes tensor {shown(name)} by {list(fields)}; expected dtype, shape and data_offsets"
        )
    if len(offsets) != 2:
        raise scanner.fault(f"has {len(offsets)} offsets for tensor {shown(name)}; expected 2")
    return TensorEntry(name, dtype, shape, *offsets)


class _Scanner:
    """A position in the header's text."""

    def __init__(self, text: memoryview) -> None:
        self._text = text
        self._position = 0
        self._notes = 0

    def fault(self, what: str) -> CheckpointError:
        return CheckpointError(f"{what} (at byte {self._position} of the safetensors header)")

    def object_of(self) -> Iterator[str]:
        """Yield the names of an object; the caller reads the value after each."""
        self._expect(b"{")
        if self._found(b"}"):
            return
        while True:
            name = self.text()
            self._expect(b":")
            yield name
            if self._found(b"}"):
                return
            self._expect(b",")

    def text(self) -> str:
        raw = self._match(_TEXT, f"a text of at most {_MAX_NAME} bytes", _MAX_NAME)
        try:
            return str(json.loads(raw))
        except ValueError as error:
            raise self.fault(f"has a text that is not JSON: {shown(raw)}") from error

    def integers(self) -> tuple[int, ...]:
        raw = self._match(_INTEGERS, "a short list of integers of 0 or more", _MAX_NAME)
        return tuple(int(digits) for digits in _DIGITS.findall(raw))

    def pass_notes(self) -> None:
        """Pass over the notes, an object of texts; a note may be long, so it is not decoded."""
        for _ in self.object_of():
            self._match(_TEXT, f"a text of at most {_MAX_NOTE} bytes", _MAX_NOTE)
            self._notes += 1
            if self._notes > MAX_TENSORS:
                raise self.fault("has more notes than any checkpoint")

    def end(self) -> None:
        self._skip()
        if self._position != len(self._text):
            raise self.fault("goes on after its end")

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._position)
        self._position = found.end() if found else self._position

    def _found(self, character: bytes) -> bool:
        self._skip()
        if bytes(self._text[self._position : self._position + 1]) != character:
            return False
        self._position += 1
        return True

    def _expect(self, character: bytes) -> None:
        if not self._found(character):
            found = bytes(self._text[self._position : self._position + 20])
            raise self.fault(f"has {shown(found)} where {character.decode()} belongs")

    def _match(self, pattern: re.Pattern[bytes], what: str, limit: int) -> bytes:
        self._skip()
        found = pattern.match(self._text, self._position, self._position + limit)
        if found is None:
            raise self.fault(
                f"has {shown(bytes(self._text[self._position : self._position + 20]))} where {what} belongs"
            )
        self._position = found.end()
        return found.group()
