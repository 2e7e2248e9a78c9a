"""Pickles written opcode by opcode, and the three kinds of files they come in."""

import io
import pickle
import re
import struct
import zipfile
from dataclasses import dataclass

import numpy as np

MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
VERSION = b"\x80\x02M\xe9\x03."
LITTLE_ENDIAN = b"\x80\x02}(X\r\x00\x00\x00little_endian\x88u."
NO_STORAGES = b"\x80\x02]."


@dataclass(frozen=True)
class Hostile:
    """A file that has to be refused, and words that its error must hold."""

    name: str
    data: bytes
    finds: tuple[str, ...] = ()


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def integer(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + bytes([value])
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def raw_bytes(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def group(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def listed(*items: bytes) -> bytes:
    return b"](" + b"".join(items) + b"e"


def named(module: str, attribute: str, *, stacked: bool = False) -> bytes:
    if stacked:
        return text(module) + text(attribute) + b"\x93"
    return f"c{module}\n{attribute}\n".encode()


def called(function: bytes, *arguments: bytes) -> bytes:
    return function + group(*arguments) + b"R"


def mapping(items: dict[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def array(values: object = (1.0, 2.0), dtype: str = "<f4") -> bytes:
    """An array as NumPy itself writes it, without the header and the end."""
    return pickle.dumps(np.array(values, dtype), protocol=2)[2:-1]


def numpy_dtype(code: str = "f4", order: str = "<") -> bytes:
    made = called(named("numpy", "dtype"), text(code), b"\x89", b"\x88")
    return (
        made + group(integer(3), text(order), b"NNN", b"J\xff\xff\xff\xff" * 2, integer(0)) + b"b"
    )


def numpy_array(shape: bytes, data: bytes, dtype: bytes | None = None) -> bytes:
    made = called(
        named("numpy._core.multiarray", "_reconstruct"),
        named("numpy", "ndarray"), group(integer(0)), b"C\x01b",
    )  # fmt: skip
    return made + group(integer(1), shape, dtype or numpy_dtype(), b"\x89", data) + b"b"


def storage(
    kind: str = "FloatStorage", key: str = "0", elements: int = 4, *, extra: bytes = b""
) -> bytes:
    fields = [text("storage"), named("torch", kind), text(key), text("cpu"), integer(elements)]
    return group(*fields, extra) + b"Q"


def tensor(
    place: bytes, shape: tuple[int, ...] = (4,), strides: tuple[int, ...] = (1,), offset: int = 0
) -> bytes:
    return called(
        named("torch._utils", "_rebuild_tensor_v2"), place, integer(offset),
        group(*map(integer, shape)), group(*map(integer, strides)), b"\x89", b"}",
    )  # fmt: skip


def bare(body: bytes, protocol: int = 2) -> bytes:
    """A Paddle file."""
    return b"\x80" + bytes([protocol]) + body + b"."


def legacy(body: bytes, storages: dict[str, bytes] | None = None, itemsize: int = 4) -> bytes:
    """A torch file of before 1.6."""
    order = b"\x80\x02" + listed(*map(text, storages or {})) + b"."
    tail = b"".join(
        struct.pack("<q", len(data) // itemsize) + data for data in (storages or {}).values()
    )
    return MAGIC + VERSION + LITTLE_ENDIAN + bare(body) + order + tail


def zipped(body: bytes, storages: dict[str, bytes] | None = None, protocol: int = 2) -> bytes:
    """A torch file since 1.6."""
    members = {"data.pkl": bare(body, protocol), "byteorder": b"little", "version": b"3\n"}
    members |= {f"data/{key}": data for key, data in (storages or {}).items()}
    return archive({f"archive/{name}": data for name, data in members.items()})


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as writer:
        for name, data in members.items():
            writer.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return file.getvalue()


def without_checksums(data: bytes) -> bytes:
    """The same archive with zeros for checksums, as torch writes when told not to compute them."""
    patched = bytearray(data)
    for mark, offset in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        for found in re.finditer(mark, data):
            patched[found.start() + offset : found.start() + offset + 4] = bytes(4)
    return bytes(patched)


STORAGE = np.arange(4, dtype="<f4").tobytes()
GOOD_BODY = mapping({"weight": tensor(storage())})
GOOD_ZIP = zipped(GOOD_BODY, {"0": STORAGE})
GOOD_LEGACY = legacy(GOOD_BODY, {"0": STORAGE})
GOOD_BARE = bare(mapping({"weight": array()}))
