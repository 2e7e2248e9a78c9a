"""ZIP archives that lie: in the directory, in the members' own headers, or at the end."""

import struct
import zipfile
from collections.abc import Iterator

from hostile.assembler import GOOD_BODY, GOOD_ZIP, STORAGE, Hostile, archive, bare

_PICKLE = bare(GOOD_BODY)
_GOOD = {"archive/data.pkl": _PICKLE, "archive/data/0": STORAGE}
_ENTRY = b"PK\x01\x02"
_END = b"PK\x05\x06"


def cases() -> Iterator[Hostile]:
    yield from _other_archives()
    yield from _patched_directories()
    yield from _patched_headers()
    yield from _patched_ends()


def _other_archives() -> Iterator[Hostile]:
    kinds = {
        "without a pickle": ({"a.npy": b"x"}, "0 members called data.pkl"),
        "with two pickles": ({**_GOOD, "archive/more/data.pkl": _PICKLE}, "2 members called"),
        "with a pickle in two folders": ({**_GOOD, "other/data.pkl": _PICKLE}, "2 members called"),
        "with members elsewhere": ({**_GOOD, "other/x": b""}, "outside its folder"),
        "with members above": ({**_GOOD, "../x": b""}, "outside its folder"),
        "with TorchScript code": ({**_GOOD, "archive/code/a.py": b"harm()"}, "TorchScript"),
        "with TorchScript constants": ({**_GOOD, "archive/constants.pkl": b"x"}, "TorchScript"),
        "of a big-endian machine": ({**_GOOD, "archive/byteorder": b"big"}, "big-endian"),
        "of an odd byte order": ({**_GOOD, "archive/byteorder": b"harm"}, "big-endian"),
        "with a pickle that goes on": (
            {**_GOOD, "archive/data.pkl": _PICKLE + b"N"},
            "after the end",
        ),
        "with an empty pickle": ({**_GOOD, "archive/data.pkl": b""}, "not a pickle"),
        "without the storage": ({"archive/data.pkl": _PICKLE}, "storage '0'; found none"),
    }
    for what, (members, finds) in kinds.items():
        yield Hostile(f"an archive {what}", archive(members), (finds,))
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        bomb = {**_GOOD, "archive/data/0": bytes(10_000_000)}
        yield Hostile(
            f"an archive compressed by method {method}",
            archive(bomb, method),
            ("is a ZIP archive",),
        )


def _set(
    data: bytes, mark: bytes, offset: int, layout: str, value: int, last: bool = False
) -> bytes:
    start = (data.rindex(mark) if last else data.index(mark)) + offset
    return data[:start] + struct.pack(layout, value) + data[start + struct.calcsize(layout) :]


def _patched_directories() -> Iterator[Hostile]:
    fields = {
        "an encrypted member": (8, "<H", 1),
        "a strongly encrypted member": (8, "<H", 0x40),
        "hidden headers": (8, "<H", 0x2000),
        "a patched member": (8, "<H", 0x20),
        "another method": (10, "<H", 8),
        "another checksum": (16, "<I", 12345),
        "another packed size": (20, "<I", 7),
        "another size": (24, "<I", 7),
        "a size of 4 GB": (24, "<I", 0xFFFFFFFE),
        "a size that is elsewhere": (24, "<I", 0xFFFFFFFF),
        "a name past the directory": (28, "<H", 0xFFFF),
        "an extra field past the directory": (30, "<H", 0xFFFF),
        "a comment past the directory": (32, "<H", 0xFFFF),
        "another disk": (34, "<H", 3),
        "a place past the end": (42, "<I", 0xFFFFFF00),
        "a place in the middle": (42, "<I", 5),
        "a place that is elsewhere": (42, "<I", 0xFFFFFFFF),
    }
    for what, (offset, layout, value) in fields.items():
        data = _set(GOOD_ZIP, _ENTRY, offset, layout, value)
        yield Hostile(
            f"a directory with {what}", data, ("ZIP archive",) if "checksum" not in what else ()
        )
    shared = GOOD_ZIP.rindex(_ENTRY)
    first = GOOD_ZIP[GOOD_ZIP.index(_ENTRY) :][:46]
    data = GOOD_ZIP[: shared + 42] + first[42:46] + GOOD_ZIP[shared + 46 :]
    yield Hostile("a directory with two members in one place", data)
    renamed = GOOD_ZIP[:shared] + GOOD_ZIP[shared:].replace(b"data/0", b"data/1")
    yield Hostile("a directory with another name", renamed, ("differ",))
    twice = archive({**_GOOD, "archive/data/1": STORAGE}).replace(b"data/1", b"data/0")
    yield Hostile("a directory with a member twice", twice, ("two members",))


def _patched_headers() -> Iterator[Hostile]:
    fields = {
        "signature": (0, "<I", 0x12345678), "flags": (6, "<H", 1), "method": (8, "<H", 8),
        "checksum": (14, "<I", 99), "packed size": (18, "<I", 3), "size": (22, "<I", 3),
        "length of the name": (26, "<H", 9), "extra length": (28, "<H", 0xFFFF),
    }  # fmt: skip
    for what, (offset, layout, value) in fields.items():
        data = _set(GOOD_ZIP, b"PK\x03\x04", offset, layout, value, last=True)
        yield Hostile(f"a member whose header has another {what}", data)
    flipped = bytearray(GOOD_ZIP)
    flipped[GOOD_ZIP.index(STORAGE) + 5] ^= 1
    yield Hostile("a member whose bytes were changed", bytes(flipped), ("checksum",))


def _patched_ends() -> Iterator[Hostile]:
    fields = {
        "a disk": (4, "<H", 1), "a first disk": (6, "<H", 1), "fewer members here": (8, "<H", 1),
        "more members": (10, "<H", 9), "a longer directory": (12, "<I", 9999), "no directory": (12, "<I", 0),
        "a directory past the end": (16, "<I", 0xFFFFFF), "a comment": (20, "<H", 5),
    }  # fmt: skip
    for what, (offset, layout, value) in fields.items():
        yield Hostile(
            f"an end with {what}", _set(GOOD_ZIP, _END, offset, layout, value), ("ZIP archive",)
        )
    yield Hostile("an archive with something before it", b"PK\x03\x04" + GOOD_ZIP)
    yield Hostile("an archive that goes on", GOOD_ZIP + b"harm", ("without its end",))
    fewer = _set(_set(GOOD_ZIP, _END, 8, "<H", 1), _END, 10, "<H", 1)
    yield Hostile("an end with fewer members", fewer, ("its end says 1",))
    more = _set(_set(GOOD_ZIP, _END, 8, "<H", 9), _END, 10, "<H", 9)
    yield Hostile("an end with more members than entries", more, ("its end says 9",))
    end = GOOD_ZIP.index(_END)
    count, size, start = struct.unpack("<HII", GOOD_ZIP[end + 10 : end + 20])
    for what, number, place in (
        ("another count", count + 1, end), ("a count of 2^63", 2**63, end), ("a place elsewhere", count, 5),
    ):  # fmt: skip
        record = struct.pack(
            "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, number, number, size, start
        )
        locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, place, 1)
        yield Hostile(
            f"a long end with {what}", GOOD_ZIP[:end] + record + locator + GOOD_ZIP[end:]
        )
