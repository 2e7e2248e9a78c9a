"""The state of the stack machine that runs a pickle's opcodes, and its limits.

What each opcode does is in `opcodes`; here values are taken, kept or refused.
"""

import struct
from collections.abc import Collection, Sequence

from fastfcn_export.checkpoint.pickle_reader.names import GETATTR, refuses
from fastfcn_export.checkpoint.pickle_reader.records import LongText, Name, Opaque, Persistent
from fastfcn_infer.errors import CheckpointError

MAX_OPCODES = 250_000
"""About 7,000 tensors; a large FastFCN with its optimizer has 2,000.

Many more would take longer than a second to refuse, or 64 MiB for a file of a few hundred kilobytes."""
MAX_STACK = 100_000
MAX_MARKS = 64
MAX_NAME = 1024
"""Longest text, bytes, that may be a name; longer text stays in the file, undecoded."""
_MAX_WIDE_TEXT = 1 << 24
_MOST_PARTS = 16


class PickleMachine:
    """A stack, the heights at which groups began, and the memo.

    Attributes:
        data: bytes of the file, read-only.
        position: of the next byte to read.
        allowed: the names that this kind of file needs.
        references: all that the pickle refers to outside itself, in order.
        refused: names met so far for which the file is refused, in order (a dict as a set that keeps
            the order).
        skipped: other names met so far that no tensor needs, likewise.
    """

    def __init__(self, data: memoryview, start: int, allowed: Collection[Name]) -> None:
        """Start at `start` with nothing on the stack."""
        self.data = data
        self.position = start
        self.allowed = allowed
        self.stack: list[object] = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}
        self.references: list[Persistent] = []
        self.refused: dict[str, None] = {}
        self.skipped: dict[str, None] = {}
        self.unexplained: dict[Name, None] = {}
        self.steps = 0
        self._wide_text = 0

    def fault(self, what: str) -> CheckpointError:
        """Make the error that says what is wrong and where."""
        return CheckpointError(f"{what} (at byte {self.position})")

    def count(self, steps: int) -> None:
        """Count work done, and stop where no checkpoint is that large."""
        self.steps += steps
        if self.steps > MAX_OPCODES:
            raise self.fault(f"needs more than {MAX_OPCODES} steps to read; no checkpoint does")

    def take(self, length: int) -> memoryview:
        """Read the next bytes, without a copy."""
        left = len(self.data) - self.position
        if length > left:
            raise self.fault(f"is cut off: {length} bytes more were expected, {left} are left")
        self.position += length
        return self.data[self.position - length : self.position]

    def number(self, layout: struct.Struct) -> int:
        """Read the next bytes as one integer."""
        return int(layout.unpack(self.take(layout.size))[0])

    def push(self, value: object) -> None:
        """Put a value on the stack."""
        if len(self.stack) >= MAX_STACK:
            raise self.fault(f"stacks more than {MAX_STACK} values; no checkpoint does")
        self.stack.append(value)

    def pop(self) -> object:
        """Take the top value; never one from outside the open group."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise self.fault("takes a value from an empty stack")
        return self.stack.pop()

    def peek(self) -> object:
        """Look at the top value."""
        self.push(value := self.pop())
        return value

    def pop_group(self) -> list[object]:
        """Close the innermost group and take its values."""
        if not self.marks:
            raise self.fault("ends a group that never began")
        height = self.marks.pop()
        group = self.stack[height:]
        del self.stack[height:]
        return group

    def text(self, data: memoryview, encoding: str) -> str | LongText:
        """Decode a text that is short enough for a name; leave a longer one in the file."""
        if len(data) > MAX_NAME:
            return LongText(data, encoding)
        raw = bytes(data)
        if not raw.isascii():
            # Python keeps such text at up to four bytes per character.
            self._wide_text += len(raw)
            if self._wide_text > _MAX_WIDE_TEXT:
                raise self.fault("holds more text than any checkpoint")
        try:
            return raw.decode(encoding)
        except UnicodeError as error:
            raise self.fault(f"holds text that is not {encoding}") from error

    def line(self) -> str:
        """Read a text that ends with a line feed: half of a name."""
        ahead = bytes(self.data[self.position : self.position + MAX_NAME])
        line, found, _ = ahead.partition(b"\n")
        if not found:
            raise self.fault("has a name without an end")
        return str(self.text(self.take(len(line) + 1)[:-1], "utf-8"))

    def name(self, module: object, attribute: object) -> Name:
        """Make an inert name, and note it where no tensor needs it."""
        if type(module) is not str or type(attribute) is not str:
            raise self.fault("has a name that is not text")
        name = Name(module, attribute)
        if name in GETATTR:
            # Refused at the end, unless a call of it spells a harmless name.
            self.unexplained.setdefault(name)
        elif name not in self.allowed:
            (self.refused if refuses(name) else self.skipped)[str(name)] = None
        return name

    def opaque(self, name: Name, parts: Sequence[object] = ()) -> Opaque:
        """Make an opaque value of what `name` would build from `parts`, which are dropped.

        A name among the parts that would be refused elsewhere is refused here, too, even if tensors
        need it: ``functools.partial(eval, ...)``.
        """
        if name in self.allowed:
            self.skipped[str(name)] = None
        # Not all of them: a file could build from the same long tuple again and again.
        for part in parts[:_MOST_PARTS]:
            if isinstance(part, Name) and refuses(part):
                self.refused[str(part)] = None
        return Opaque(name)
