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

from fastfcn_export.checkpoint.arrays import MAX_TENSORS, shown
from fastfcn_infer.errors import CheckpointError

METADATA = "__metadata__"
_MAX_NAME = 1024
# A regular expression takes memory for each repetition until it has matched.
_MAX_NOTE = 1 << 20
_MAX_NOTES = 1 << 23
_SPACE = rb"[ \t\r\n]*"
_TEXT = re.compile(_SPACE + rb'("[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*")', re.DOTALL)
_INTEGERS = re.compile(
    rb"%s(\[%s(?:(?:0|[1-9][0-9]{0,19})%s(?:,%s(?!\])|(?=\])))*\])" % ((_SPACE,) * 4)
)
_MARKS = {mark: re.compile(_SPACE + re.escape(mark)) for mark in (b"{", b"}", b":", b",", b"")}
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
    return _read(header, None)[0]


def read_note(header: memoryview, name: str) -> str | None:
    """Read the one note of that name; None: there is none.

    Args:
        header: its text, without the length before it.
        name: of the note.

    Raises:
        CheckpointError: the text is no such header, or has a name twice.
    """
    return _read(header, name)[1]


def _read(header: memoryview, wanted: str | None) -> tuple[list[TensorEntry], str | None]:
    scanner = _Scanner(header)
    note = None
    entries: dict[str, TensorEntry | None] = {}
    for name in scanner.object_of():
        if name in entries:
            raise scanner.fault(f"has the name {shown(name)} twice")
        if len(entries) > MAX_TENSORS:
            raise scanner.fault(f"holds more than {MAX_TENSORS} tensors; no checkpoint does")
        if name == METADATA:
            note = scanner.note(wanted)
            entries[name] = None
        else:
            entries[name] = _entry(scanner, name)
    scanner.end()
    return [entry for entry in entries.values() if entry is not None], note


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
        return self._decoded(self._match(_TEXT, f"a text of at most {_MAX_NAME} bytes", _MAX_NAME))

    def _decoded(self, raw: bytes) -> str:
        try:
            return str(json.loads(raw)) if b"\\" in raw else raw[1:-1].decode()
        except ValueError as error:
            raise self.fault(f"has a text that is not JSON: {shown(raw)}") from error

    def integers(self) -> tuple[int, ...]:
        raw = self._match(_INTEGERS, "a short list of integers of 0 or more", _MAX_NAME)
        return tuple(int(digits) for digits in _DIGITS.findall(raw))

    def note(self, wanted: str | None) -> str | None:
        """Pass over the notes, an object of texts that may be long; only `wanted` is decoded."""
        begin, found = self._position, None
        for count, name in enumerate(self.object_of()):
            raw = self._match(_TEXT, f"a text of at most {_MAX_NOTE} bytes", _MAX_NOTE)
            if count >= MAX_TENSORS or self._position - begin > _MAX_NOTES:
                raise self.fault("has more notes than any checkpoint")
            if name == wanted:
                if found is not None:
                    raise self.fault(f"has the note {shown(name)} twice")
                found = self._decoded(raw)
        return found

    def end(self) -> None:
        """Check that nothing but space follows."""
        if not self._found(b"") or self._position != len(self._text):
            raise self.fault("goes on after its end")

    def _found(self, mark: bytes) -> bool:
        found = _MARKS[mark].match(self._text, self._position)
        self._position = found.end() if found else self._position
        return found is not None

    def _expect(self, mark: bytes) -> None:
        if not self._found(mark):
            raise self.fault(f"has {self._ahead()} where {mark.decode()} belongs")

    def _match(self, pattern: re.Pattern[bytes], what: str, limit: int) -> bytes:
        found = pattern.match(self._text, self._position, self._position + limit)
        if found is None:
            raise self.fault(f"has {self._ahead()} where {what} belongs")
        self._position = found.end()
        return found.group(1)

    def _ahead(self) -> str:
        return shown(bytes(self._text[self._position : self._position + 20]))
