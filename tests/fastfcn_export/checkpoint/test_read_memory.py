"""No small file makes the reader use much: at most twice the file and 64 MiB, and a second."""

import struct
import time
import tracemalloc
from pathlib import Path

import pytest

from fastfcn_export.checkpoint.read import read_checkpoint
from fastfcn_infer.errors import CheckpointError
from hostile.assembler import archive, array, bare, mapping, text

MEBIBYTE = 1 << 20


def many(item: bytes, count: int) -> bytes:
    """A list of the same item again and again, filled in the portions that Python itself uses."""
    return bare(b"]" + (b"(" + item * 900 + b"e") * (count // 900))


def safetensors(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header


def tensors(count: int) -> bytes:
    entries = (
        b'"%07d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % i for i in range(count)
    )
    return safetensors(b"{" + b",".join(entries) + b"}")


GREEDY = {
    "dicts": many(b"}", 240_000),
    "lists": many(b"]", 240_000),
    "dicts of one item": many(b"}K\x00Ns", 60_000),
    "dicts that are kept": many(b"}\x94", 120_000),
    "tuples that are kept": many(b"N\x85\x94", 80_000),
    "fractions": many(b"G12345678", 240_000),
    "characters of four bytes": many(b"\x8c\x08\xf0\x9f\x98\x80abcd", 240_000),
    "texts widened by one character": many(text("\U0001f600" + "a" * 1000), 20_000),
    "byte strings just too long to copy": many(b"B\x01\x01\0\0" + b"a" * 257, 50_000),
    "texts just too long to decode": many(text("a" * 1025), 20_000),
    "names": bare(b"(" + b"".join(b"ca%d\nb\n" % i for i in range(90_000))),
    "one array under many names": bare(
        mapping({"0": array() + b"q\x01", **{str(i): b"h\x01" for i in range(1, 19_000)}})
    ),
    "many tensors": tensors(20_000),
    "far too many tensors": tensors(100_000),
    "many texts in a header": safetensors(b'{"a":[' + b'"0123456789",' * 499_000 + b"0]}"),
    "many lists in a header": safetensors(b'{"a":[' + b"[]," * 249_000 + b"0]}"),
    "many mappings in a header": safetensors(b'{"a":[' + b"{}," * 249_000 + b"0]}"),
    "many members": archive({f"a/{i}": b"" for i in range(20_000)} | {"a/data.pkl": bare(b"}")}),
    "far too many members": archive({f"a/{i:03}": b"" for i in range(60_000)}),
    "members of long names": archive({f"a/{i}{'a' * 10_000}": b"" for i in range(500)}),
}


# Slow: tracing every allocation takes four times as long as reading, and there are fifteen files.
@pytest.mark.slow
@pytest.mark.parametrize("data", GREEDY.values(), ids=GREEDY)
def test_a_greedy_file_takes_little_memory_and_a_few_seconds_at_most(
    data: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "checkpoint"
    file.write_bytes(data)
    assert min(seconds(file) for _ in range(3)) < 5  # a bound that a busy machine keeps, too
    tracemalloc.start()
    try:
        read_or_refuse(file)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(data) + 64 * MEBIBYTE


def seconds(file: Path) -> float:
    """Processor time, because other programs on the machine must not fail the test."""
    begin = time.process_time()
    read_or_refuse(file)
    return time.process_time() - begin


def read_or_refuse(file: Path) -> None:
    try:
        read_checkpoint(file)
    except CheckpointError as error:
        assert "MemoryError" not in str(error)
