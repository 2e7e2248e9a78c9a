"""Inert records for what a pickle names and calls; nothing here can run them."""

import codecs
from dataclasses import dataclass

from fastfcn_infer.errors import CheckpointError

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Name:
    """A module and something in it. Both are text: neither was imported or looked up."""

    module: str
    attribute: str

    def __str__(self) -> str:
        """Write it as Python would."""
        return f"{self.module}.{self.attribute}"


@dataclass(eq=False, slots=True)
class Call:
    """A call that the file asks for. It is not made.

    Attributes:
        function: what would be called.
        arguments: as the file holds them, further records among them.
        state: what the file would set on the result afterwards; None if nothing.
    """

    function: Name
    arguments: tuple[object, ...]
    state: object = None


@dataclass(eq=False, frozen=True, slots=True)
class Opaque:
    """Stands for what some other program would build. What it is built from is dropped unread.

    Attributes:
        name: of the class or function that would build it.
    """

    name: Name


@dataclass(eq=False, frozen=True, slots=True)
class Persistent:
    """A reference to something outside the pickle; torch refers to its storages so."""

    key: object


@dataclass(eq=False, frozen=True, slots=True)
class Pickle:
    """One pickle, read.

    Attributes:
        value: what it describes, with records in it.
        end: position of the byte after it.
        references: all that it refers to outside itself, in order.
        skipped: what it holds that no tensor needs and that is therefore not read: names of classes
            and functions.
    """

    value: object
    end: int
    references: tuple[Persistent, ...]
    skipped: tuple[str, ...] = ()


@dataclass(eq=False, frozen=True, slots=True)
class LongText:
    """Text that is left undecoded in the file: too long for a name, so it is a note or raw data."""

    data: memoryview
    encoding: str


def latin1_bytes(text: str | LongText) -> bytes | memoryview:
    """Give back the bytes that a pickle stores as text, one character per byte.

    Protocol 2 has no bytes: Python 3 writes them as latin-1 text in UTF-8, Python 2 as a string.

    Raises:
        CheckpointError: the text is not UTF-8, or holds characters that no byte can stand for.
    """
    if isinstance(text, LongText) and text.encoding == "latin-1":
        return text.data
    try:
        return text.encode("latin-1") if isinstance(text, str) else _recoded(text.data)
    except UnicodeError as error:
        raise CheckpointError(f"stores bytes as text that is none ({error})") from error


def _recoded(utf8: memoryview) -> memoryview:
    # In pieces: decoded at once, one character beyond latin-1 would widen all others to four bytes.
    decoder = codecs.getincrementaldecoder("utf-8")()
    recoded = bytearray()
    for start in range(0, len(utf8), _CHUNK):
        piece = decoder.decode(utf8[start : start + _CHUNK], final=start + _CHUNK >= len(utf8))
        recoded += piece.encode("latin-1")
    return memoryview(recoded).toreadonly()
