"""Members of archives are those that Python's own ZIP reader finds; malformed archives are refused."""

import io
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfcn_export.checkpoint.zip_members import read_members
from fastfcn_infer.errors import CheckpointError
from hostile.assembler import GOOD_ZIP, archive

_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\\"), min_size=1, max_size=9)


@given(members=st.dictionaries(_NAMES, st.binary(max_size=50), max_size=6))
def test_members_are_what_python_reads(members: dict[str, bytes]) -> None:
    data = archive(members)
    found = read_members(memoryview(data))
    with zipfile.ZipFile(io.BytesIO(data)) as reader:
        expected = {entry.filename: reader.read(entry) for entry in reader.infolist()}
    assert {name: bytes(member) for name, member in found.items()} == expected
    assert list(found) == list(expected)


def test_an_archive_written_as_a_stream_is_read() -> None:
    class Stream(io.RawIOBase):
        data = b""

        def writable(self) -> bool:
            return True

        def write(self, piece: bytes) -> int:  # type: ignore[override]
            self.data += bytes(piece)
            return len(piece)

    # What cannot be rewound gets its sizes after each member, as in torch's files.
    stream = Stream()
    with zipfile.ZipFile(stream, "w") as writer:
        writer.writestr("a/data.pkl", b"12345")
    assert bytes(read_members(memoryview(stream.data))["a/data.pkl"]) == b"12345"


def long_fields(extra: bytes) -> bytes:
    """Move the sizes of the first entry of an archive to `extra`."""
    entry, end = GOOD_ZIP.index(b"PK\x01\x02"), GOOD_ZIP.index(b"PK\x05\x06")
    name = struct.unpack_from("<H", GOOD_ZIP, entry + 28)[0]
    patched = bytearray(GOOD_ZIP[:end])
    patched[entry + 20 : entry + 28] = b"\xff" * 8
    patched[entry + 30 : entry + 32] = struct.pack("<H", len(extra))
    patched[entry + 46 + name : entry + 46 + name] = extra
    size = struct.unpack_from("<I", GOOD_ZIP, end + 12)[0] + len(extra)
    return (
        bytes(patched) + GOOD_ZIP[end : end + 12] + struct.pack("<I", size) + GOOD_ZIP[end + 16 :]
    )


def test_sizes_are_taken_from_the_extra_field_where_they_are_too_long() -> None:
    entry = GOOD_ZIP.index(b"PK\x01\x02")
    size = struct.unpack_from("<I", GOOD_ZIP, entry + 24)[0]
    other = struct.pack("<HHI", 0x4246, 4, 7)
    extra = other + struct.pack("<HHQQ", 1, 16, size, size)
    found = read_members(memoryview(long_fields(extra)))
    assert found == read_members(memoryview(GOOD_ZIP))


@pytest.mark.parametrize(
    "extra",
    [
        b"", struct.pack("<HHQ", 1, 8, 5), struct.pack("<HHQ", 1, 16, 5), struct.pack("<HHQQ", 1, 16, 2**63, 2**63),
        struct.pack("<HHQQ", 1, 16, 5, 6), struct.pack("<HHQQ", 2, 16, 5, 5), b"\x01\x00\x10",
    ],
)  # fmt: skip
def test_an_extra_field_that_lies_about_sizes_is_refused(extra: bytes) -> None:
    with pytest.raises(CheckpointError, match="ZIP archive"):
        read_members(memoryview(long_fields(extra)))
