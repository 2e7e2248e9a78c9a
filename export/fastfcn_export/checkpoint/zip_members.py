"""The members of an uncompressed ZIP archive as views of the file, after every check a reader may skip.

Readers of ZIP archives differ in what they believe: the directory at the end, or the header before
each member. Here the two have to agree, members may not share bytes, and what is checksummed has to fit.

Source: PKWARE's APPNOTE, 4.3 and 4.4; what PyTorch writes (reference/reliability.md, 3.2).
"""

import struct
import zlib
from dataclasses import dataclass
from itertools import pairwise

from fastfcn_export.checkpoint.arrays import shown
from fastfcn_infer.errors import CheckpointError

MAX_MEMBERS = 50_000
_END = struct.Struct("<4sHHHHIIH")
_LOCATOR_64 = struct.Struct("<4sIQI")
_END_64 = struct.Struct("<4sQHHIIQQQQ")
_ENTRY = struct.Struct("<4sHHHHHHIIIHHHHHII")
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_EXTRA = struct.Struct("<HH")
_ZIP_64_EXTRA = 1
_IN_EXTRA = 0xFFFFFFFF
_SIZES_FOLLOW = 0x0008
_UTF_8 = 0x0800


@dataclass(frozen=True, slots=True)
class _Entry:
    name: bytes
    flags: int
    checksum: int
    size: int
    offset: int


def read_members(data: memoryview) -> dict[str, memoryview]:
    """Read the directory, compare it with each member's own header, and give the members' bytes.

    Args:
        data: the whole archive.

    Returns:
        Name -> bytes, in the directory's order, as views of `data`.

    Raises:
        CheckpointError: cut off, compressed, encrypted, a name twice, shared or missing bytes, or two
            places that say different things.
    """
    start, entries = _directory(data)
    members: dict[str, memoryview] = {}
    spans: list[tuple[int, int]] = []
    for entry in entries:
        name = entry.name.decode("utf-8", "backslashreplace")
        if name in members:
            raise CheckpointError(f"is a ZIP archive with two members called {shown(name)}")
        begin = _begin(data, entry, name, start)
        members[name] = data[begin : begin + entry.size]
        if entry.checksum and zlib.crc32(members[name]) != entry.checksum:
            raise CheckpointError(f"is damaged: the checksum of member {shown(name)} does not fit")
        spans.append((entry.offset, begin + entry.size))
    spans.sort()
    for (_, end), (begin, _) in pairwise(spans):
        if begin < end:
            raise CheckpointError("is a ZIP archive whose members share bytes")
    return members


def _directory(data: memoryview) -> tuple[int, list[_Entry]]:
    """Find the directory from the end; give where it starts, and its entries."""
    start, end, count = _end_record(data)
    if count > MAX_MEMBERS:
        raise CheckpointError(
            f"is a ZIP archive of {count} members; at most {MAX_MEMBERS} are read"
        )
    entries: list[_Entry] = []
    position = start
    for _ in range(count):
        entry, position = _entry(data, position, end)
        entries.append(entry)
    if position != end:
        raise CheckpointError("is a ZIP archive whose directory has another length than it says")
    return start, entries


def _end_record(data: memoryview) -> tuple[int, int, int]:
    """Read the record at the very end: start and end of the directory, number of members."""
    at = len(data) - _END.size
    if at < 0 or bytes(data[at : at + 4]) != b"PK\x05\x06":
        raise CheckpointError(
            "is a ZIP archive without its end: it is cut off, or a comment follows"
        )
    _, disk, first_disk, here, count, size, start, comment = _END.unpack(data[at:])
    end = at
    locator = at - _LOCATOR_64.size
    if locator >= 0 and bytes(data[locator : locator + 4]) == b"PK\x06\x07":
        end, start, size, count, here = _end_record_64(data, locator, (start, size, count, here))
    if disk or first_disk or comment or here != count or start + size != end:
        raise CheckpointError(
            "is a ZIP archive whose end contradicts itself: "
            f"directory at {start}, {size} bytes, {here} of {count} members, ending at {end}"
        )
    return start, end, count


def _end_record_64(
    data: memoryview, locator: int, short: tuple[int, int, int, int]
) -> tuple[int, int, int, int, int]:
    _, disk, end, disks = _LOCATOR_64.unpack(data[locator : locator + _LOCATOR_64.size])
    if disk or disks != 1 or end + _END_64.size != locator:
        raise CheckpointError("is a ZIP archive whose long end record is not where it should be")
    signature, length, _, _, disk, first_disk, here, count, size, start = _END_64.unpack(
        data[end:locator]
    )
    if signature != b"PK\x06\x06" or length != _END_64.size - 12 or disk or first_disk:
        raise CheckpointError("is a ZIP archive with a long end record that makes no sense")
    marks = (_IN_EXTRA, _IN_EXTRA, 0xFFFF, 0xFFFF)
    for said, mark, long in zip(short, marks, (start, size, count, here), strict=True):
        if said not in (mark, long):
            raise CheckpointError("is a ZIP archive whose two end records differ")
    return end, start, size, count, here


def _entry(data: memoryview, position: int, end: int) -> tuple[_Entry, int]:
    fixed = position + _ENTRY.size
    if fixed > end:
        raise CheckpointError("is a ZIP archive whose directory is cut off")
    (signature, _, _, flags, method, _, _, checksum, packed, size, name_length, extra_length,
     comment, disk, _, _, offset) = _ENTRY.unpack(data[position:fixed])  # fmt: skip
    after_name = fixed + name_length
    after = after_name + extra_length + comment
    name = bytes(data[fixed:after_name])
    if signature != b"PK\x01\x02" or after > end or disk:
        raise CheckpointError("is a ZIP archive with a directory entry that makes no sense")
    if flags & ~(_SIZES_FOLLOW | _UTF_8):
        raise CheckpointError(
            f"is a ZIP archive whose member {shown(name)} is encrypted or patched"
        )
    extra = data[after_name : after_name + extra_length]
    size, packed, offset = _long_fields(extra, (size, packed, offset), name)
    if method or packed != size:
        raise CheckpointError(
            f"is a ZIP archive whose member {shown(name)} is compressed; torch.save stores members as they are"
        )
    return _Entry(name, flags, checksum, size, offset), after


def _long_fields(extra: memoryview, fields: tuple[int, ...], name: bytes) -> tuple[int, ...]:
    """Replace the fields that are too long for their place by those from the extra field."""
    if _IN_EXTRA not in fields:
        return fields
    position = 0
    while position + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack(extra[position : position + _EXTRA.size])
        position += _EXTRA.size
        missing = fields.count(_IN_EXTRA)
        if kind == _ZIP_64_EXTRA and length == 8 * missing and position + length <= len(extra):
            found = iter(struct.unpack(f"<{missing}Q", extra[position : position + length]))
            return tuple(next(found) if field == _IN_EXTRA else field for field in fields)
        position += length
    raise CheckpointError(f"is a ZIP archive whose member {shown(name)} lacks its long sizes")


def _begin(data: memoryview, entry: _Entry, name: str, limit: int) -> int:
    """Compare a member's own header with the directory; give where its bytes begin."""
    fixed = entry.offset + _LOCAL.size
    if fixed > limit:
        raise CheckpointError(f"is a ZIP archive whose member {shown(name)} lies past its end")
    signature, _, flags, method, _, _, checksum, packed, size, name_length, extra_length = (
        _LOCAL.unpack(data[entry.offset : fixed])
    )
    begin: int = fixed + name_length + extra_length
    if begin + entry.size > limit:
        raise CheckpointError(f"is a ZIP archive whose member {shown(name)} lies past its end")
    # PyTorch writes zeros here and the sizes after the member; long sizes stand in the extra field.
    follow = flags & _SIZES_FOLLOW and not size and not packed
    long = entry.size >= _IN_EXTRA and size == packed == _IN_EXTRA
    same = (
        signature == b"PK\x03\x04"
        and (flags, method) == (entry.flags, 0)
        and bytes(data[fixed : fixed + name_length]) == entry.name
        and (follow or long or size == packed == entry.size)
        and checksum in ((0, entry.checksum) if follow else (entry.checksum,))
    )
    if not same:
        raise CheckpointError(
            f"is a ZIP archive whose directory and whose header of member {shown(name)} differ"
        )
    return begin
