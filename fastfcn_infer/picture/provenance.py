"""What made a result, stored inside its file: a text chunk of PNG, a comment of JPEG, a key of JSON."""

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_KEY = b"fastfcn\0"  # the keyword of the chunk, and the beginning of the comment
_COMMENT, _SCAN = 0xFE, 0xDA  # markers of JPEG
_LONGEST = 65_000  # bytes; a JPEG comment holds no more
_LARGEST_JSON = 16 << 20  # bytes


def with_provenance(data: bytes, facts: Mapping[str, str]) -> bytes:
    """Return a PNG or JPEG file that holds `facts`, too; other files as they are.

    Source: PNG, third edition, 11.3.3.2 (tEXt); ITU-T T.81, B.2.4.5 (comment).
    """
    text = _KEY + json.dumps(dict(facts)).encode("ascii")
    if not facts or len(text) > _LONGEST:
        return data
    if data.startswith(_PNG):
        checksum = struct.pack(">I", zlib.crc32(b"tEXt" + text))
        chunk = struct.pack(">I", len(text)) + b"tEXt" + text + checksum
        at = len(_PNG)  # before the pixels, where readers find it without decoding them
        while data[at + 4 : at + 8] not in (b"IDAT", b""):
            at += 12 + int(struct.unpack_from(">I", data, at)[0])
        return data[:at] + chunk + data[at:]
    if data.startswith(_JPEG):
        first = 2  # JFIF's segment has to stay the first
        if data[2:4] == b"\xff\xe0":
            first = 4 + int(struct.unpack_from(">H", data, 4)[0])
        comment = struct.pack(">BBH", 0xFF, _COMMENT, len(text) + 2) + text
        return data[:first] + comment + data[first:]
    return data


def read_provenance(path: Path) -> dict[str, str] | None:
    """Read what made a result; None if the file does not say, is no result or cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_PNG))
            texts: Iterator[bytes] = iter(())
            if start == _PNG:
                texts = _texts(file)
            elif start.startswith(_JPEG):
                file.seek(len(_JPEG))
                texts = _comments(file)
            elif path.suffix.lower() in (".json", ".geojson"):
                return _facts(_provenance_of(start + file.read(_LARGEST_JSON)))
            for text in texts:
                if text.startswith(_KEY):
                    return _facts(json.loads(text[len(_KEY) :]))
    except (OSError, ValueError, RecursionError, struct.error):
        return None
    return None


def _provenance_of(text: bytes) -> Any:
    found = json.loads(text)
    return found.get("provenance") if isinstance(found, dict) else None


def _facts(found: Any) -> dict[str, str] | None:
    if not isinstance(found, dict) or "fastfcn-infer" not in found:
        return None
    return {str(key): str(value) for key, value in found.items()}


def _texts(file: BinaryIO) -> Iterator[bytes]:
    """Walk the chunks of a PNG file; those of text are yielded."""
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"tEXt" and length <= _LONGEST:
            yield file.read(length)
            length = 0
        file.seek(length + 4, 1)


def _comments(file: BinaryIO) -> Iterator[bytes]:
    """Walk the segments of a JPEG file before its pixels; comments are yielded."""
    while len(head := file.read(4)) == 4:
        mark, kind, length = struct.unpack(">BBH", head)
        if mark != 0xFF or kind == _SCAN or length < 2:
            return
        content = file.read(length - 2)
        if kind == _COMMENT:
            yield content
