"""The members of an uncompressed ZIP archive as views of the file, after every check that zipfile skips.

Readers of ZIP archives differ in which they trust, the directory at the end or the header before each
member. Here the two must agree, members must not share bytes, and checksums must match.

Source: PKWARE's APPNOTE, 4.3 and 4.4; what PyTorch writes (reference/reliability.md, 3.2).
"""

import io
import struct
import zipfile
import zlib
from itertools import pairwise

from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import excerpt

MAX_MEMBERS = 50_000
_MAX_DIRECTORY = 1 << 22  # bytes; zipfile makes objects of ten times as many
_END = struct.Struct("<4sHHHHIIH")
_END_64 = struct.Struct("<4sQHHIIQQQQ4sIQI")  # the locator behind it included
_LENGTHS = struct.Struct("<HHH12x")  # the end of a directory entry before its name
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_IN_EXTRA = 0xFFFFFFFF
_SIZES_FOLLOW, _UTF_8 = 0x0008, 0x0800


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
        name = entry.orig_filename
        if name in members:
            raise CheckpointError(f"is a ZIP archive with two members called {excerpt(name)}")
        begin = _begin(data, entry, start)
        members[name] = data[begin : begin + entry.file_size]
        if entry.CRC and zlib.crc32(members[name]) != entry.CRC:
            raise CheckpointError(
                f"is damaged: the checksum of member {excerpt(name)} does not fit"
            )
        spans.append((entry.header_offset, begin + entry.file_size))
    spans.sort()
    if any(end > begin for (_, end), (begin, _) in pairwise(spans)):
        raise CheckpointError("is a ZIP archive whose members share bytes")
    return members


def _directory(data: memoryview) -> tuple[int, list[zipfile.ZipInfo]]:
    """Read the directory; give where it starts, and its entries."""
    count, size, start = _end_record(data)
    if count > MAX_MEMBERS or size > _MAX_DIRECTORY:
        raise CheckpointError(
            f"is a ZIP archive of {count} members with a directory of {size} bytes; at most "
            f"{MAX_MEMBERS} and {_MAX_DIRECTORY} are read"
        )
    # zipfile gets the directory alone, because it would search the file for another end record.
    end = _END.pack(b"PK\x05\x06", 0, 0, count, count, size, 0, 0)
    try:
        with zipfile.ZipFile(io.BytesIO(bytes(data[start : start + size]) + end)) as reader:
            entries = reader.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise CheckpointError(f"is a ZIP archive with a damaged directory: {error}") from error
    if entries:
        # zipfile takes what is left where the last entry asks for more.
        last = entries[-1]
        taken = (len(_name(last)), len(last.extra), len(last.comment))
        if _LENGTHS.unpack_from(data, start + size - sum(taken) - _LENGTHS.size) != taken:
            raise CheckpointError("is a ZIP archive whose directory is cut off")
    if len(entries) != count:
        raise CheckpointError(
            f"is a ZIP archive whose directory has {len(entries)} members where its end says {count}"
        )
    return start, entries


def _end_record(data: memoryview) -> tuple[int, int, int]:
    """Read the record at the very end: number of members, size and start of the directory."""
    end = len(data) - _END.size
    if end < 0 or bytes(data[end : end + 4]) != b"PK\x05\x06":
        raise CheckpointError(
            "is a ZIP archive without its end: it is cut off, or something follows"
        )
    _, *disks, here, count, size, start, comment = _END.unpack(data[end:])
    long = end - _END_64.size
    if long >= 0 and bytes(data[end - 20 : end - 16]) == b"PK\x06\x07":
        short = here, count, size, start
        (mark, length, _, _, *disks_64, here, count, size, start, _, disk, place, all_disks) = (
            _END_64.unpack(data[long:end])
        )
        marks = (0xFFFF, 0xFFFF, _IN_EXTRA, _IN_EXTRA)
        fields = zip(short, marks, (here, count, size, start), strict=True)
        if (
            (mark, length, disk, place, all_disks) != (b"PK\x06\x06", 44, 0, long, 1)
            or any(disks_64)
            or any(said not in (absent, there) for said, absent, there in fields)
        ):
            raise CheckpointError("is a ZIP archive whose two end records differ")
        end = long
    if any(disks) or comment or here != count or start + size != end:
        raise CheckpointError(
            f"is a ZIP archive whose end contradicts itself: directory at {start}, {size} bytes, "
            f"{here} of {count} members, ending at {end}"
        )
    return count, size, start


def _begin(data: memoryview, entry: zipfile.ZipInfo, limit: int) -> int:
    """Compare a member's own header with the directory; give where its bytes begin."""
    shown = f"is a ZIP archive whose member {excerpt(entry.orig_filename)}"
    if entry.flag_bits & ~(_SIZES_FOLLOW | _UTF_8):
        raise CheckpointError(f"{shown} is encrypted or patched")
    if entry.compress_type or entry.compress_size != entry.file_size:
        raise CheckpointError(f"{shown} is compressed; torch.save stores members as they are")
    fixed = entry.header_offset + _LOCAL.size
    if fixed > limit or entry.volume:
        raise CheckpointError(f"{shown} lies past its end")
    signature, _, flags, method, _, _, checksum, packed, size, name_length, extra_length = (
        _LOCAL.unpack(data[entry.header_offset : fixed])
    )
    begin: int = fixed + name_length + extra_length
    if begin + entry.file_size > limit:
        raise CheckpointError(f"{shown} lies past its end")
    # PyTorch writes zeros here and the sizes after the member; long sizes stand in the extra field.
    follow = flags & _SIZES_FOLLOW and not size and not packed
    long = entry.file_size >= _IN_EXTRA and size == packed == _IN_EXTRA
    same = (
        signature == b"PK\x03\x04"
        and (flags, method) == (entry.flag_bits, 0)
        and bytes(data[fixed : fixed + name_length]) == _name(entry)
        and (follow or long or size == packed == entry.file_size)
        and checksum in ((0, entry.CRC) if follow else (entry.CRC,))
    )
    if not same:
        raise CheckpointError(f"{shown} has a header that differs from the directory")
    return begin


def _name(entry: zipfile.ZipInfo) -> bytes:
    """A member's name as it stands in the file."""
    return entry.orig_filename.encode("utf-8" if entry.flag_bits & _UTF_8 else "cp437")
