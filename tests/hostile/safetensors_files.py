"""Safetensors files that break the format's rules, one rule each."""

import struct
from collections.abc import Iterator

from hostile.assembler import Hostile


def file(header: bytes, body: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + body


def entry(dtype: str = "F32", shape: str = "[2]", offsets: str = "[0,8]") -> bytes:
    return f'{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}'.encode()


GOOD = file(b'{"a":' + entry() + b"}", bytes(8))


def cases() -> Iterator[Hostile]:
    one = {
        "a hole at the start": (entry(offsets="[4,12]"), 12, "hole"),
        "a hole at the end": (entry(), 9, "cut off or too long"),
        "bytes past the end": (entry(shape="[3]", offsets="[0,12]"), 8, "cut off or too long"),
        "offsets the wrong way": (entry(offsets="[8,0]"), 8, "hole"),
        "offsets of 2^64": (entry(offsets="[0,18446744073709551615]"), 8, "cut off"),
        "offsets of 30 digits": (entry(offsets="[0,999999999999999999999999999999]"), 8, "cut off"),
        "negative offsets": (entry(offsets="[-8,0]"), 8, "integers"),
        "fractional offsets": (entry(offsets="[0,8.0]"), 8, "integers"),
        "one offset": (entry(offsets="[8]"), 8, "offsets"),
        "three offsets": (entry(offsets="[0,8,8]"), 8, "offsets"),
        "a shape of another size": (entry(shape="[3]"), 8, "takes 12 bytes"),
        "a shape that overflows to its size": (entry(shape="[4294967296,4294967296]", offsets="[0,0]"), 0, "takes"),
        "a shape of zero and 2^63": (entry(shape="[0,9223372036854775808]", offsets="[0,0]"), 0, "impossible"),
        "a shape of 100 dimensions": (entry(shape="[" + "1," * 99 + "2]"), 8, "dimensions"),
        "a shape with a comma too many": (entry(shape="[2,]"), 8, "not JSON"),
        "a shape of truths": (entry(shape="[true,2]"), 8, "integers"),
        "a shape of 5,000 digits": (entry(shape="[" + "9" * 5000 + "]"), 8, "not JSON"),
        "a shape that is no number": (entry(shape="[NaN]"), 8, "integers"),
        "an infinite offset": (entry(offsets="[0,Infinity]"), 8, "integers"),
        "a type that is a number": (entry().replace(b'"F32"', b"32"), 8, "dtype in text"),
        "a type as long as a book": (entry("F" * 1_000_000), 8, "of type 'FFF"),
        "a shape with leading zeros": (entry(shape="[02]"), 8, "not JSON"),
        "a shape that is a text": (entry(shape='"2"'), 8, "not a tuple"),
        "lists in lists": (entry(shape="[[2]]"), 8, "integers"),
        "an unknown type": (entry("F8_E4M3"), 8, "F8_E4M3"),
        "no type": (b'{"shape":[2],"data_offsets":[0,8]}', 8, "expected dtype"),
        "a type twice": (b'{"dtype":"F32",' + entry()[1:], 8, "twice"),
        "a field that is not asked": (b'{"harm":"x",' + entry()[1:], 8, "harm"),
        "an escaped field twice": (b'{"\\u0064type":"F32",' + entry()[1:], 8, "twice"),
        "a text for a tensor": (b'"harm"', 8, "expected dtype"),
        "nothing for a tensor": (b"null", 8, "expected dtype"),
    }  # fmt: skip
    for what, (value, size, finds) in one.items():
        yield Hostile(
            f"a tensor with {what}", file(b'{"a":' + value + b"}", bytes(size)), (finds,)
        )
    good, deep = entry(), 1_000_000
    headers = {
        "a name twice": (b'{"a":' + good + b',"a":' + good + b"}", "twice"),
        "an escaped name twice": (b'{"a":' + good + b',"\\u0061":' + good + b"}", "twice"),
        "shared bytes": (b'{"a":' + good + b',"b":' + entry(offsets="[4,12]") + b"}", "shares"),
        "the same bytes twice": (b'{"a":' + good + b',"b":' + good + b"}", "shares"),
        "notes twice": (b'{"__metadata__":{},"__metadata__":{},"a":' + good + b"}", "twice"),
        "notes that are numbers": (b'{"__metadata__":{"a":1},"a":' + good + b"}", "notes"),
        "notes that are a list": (b'{"__metadata__":[],"a":' + good + b"}", "notes"),
        "a comma at its end": (b'{"a":' + good + b",}", "not JSON"),
        "text after its end": (b'{"a":' + good + b"}harm", "not JSON"),
        "no end": (b'{"a":' + good, "not JSON"),
        "a name without an end": (b'{"a', "not JSON"),
        "a name of a line feed": (b'{"a\n":' + good + b"}", "not JSON"),
        "a name of a bad escape": (b'{"\\q":' + good + b"}", "JSON"),
        "a name that is not UTF-8": (b'{"\xff":' + good + b"}", "JSON"),
        "a name as long as a page": (b'{"' + b"a" * 2000 + b'":' + good + b"}", "at most 1024 bytes"),
        "no tensors": (b"{}", ""),
        "only notes": (b'{"__metadata__":{"a":"b"}}', ""),
        "a million lists in each other": (b'{"a":' + b"[" * deep + b"}", "values"),
        "a million objects in each other": (b'{"a":' * deep, "values"),
        "a million numbers": (b'{"a":' + entry(shape="[" + "1," * deep + "2]") + b"}", ""),
        "a million notes": (b'{"__metadata__":{' + b'"a":"b",' * deep + b'"a":"b"}}', "at most 8000000"),
        "lists in each other as deep as is read": (b'{"a":' + b"[" * 400_000 + b"}", "too deep"),
        "a note as long as a book": (b'{"__metadata__":{"a":"' + b"a" * 2_000_000 + b'"}}', "notes"),
        "a note twice": (b'{"__metadata__":{"a":"b","a":"c"},"b":' + good + b"}", "twice"),
        "a name that ends in half a character": (b'{"\xc3":' + good + b"}", "JSON"),
        "a long way of spaces": (b'{"a":' + b" " * deep + b"x}", "not JSON"),
    }  # fmt: skip
    for what, (header, finds) in headers.items():
        yield Hostile(f"a header with {what}", file(header, bytes(8)), (finds,))
    yield Hostile(
        "a header longer than the file", file(b'{"a":' + good + b"}", length=10**7), ("cut off",)
    )
    yield Hostile("a header of 9 MB", file(b"{" + b" " * 9_000_000 + b"}"), ("at most 8000000",))
    yield Hostile("a header of 101 MB", file(b"{}", length=101_000_000), ("no checkpoint",))
    yield Hostile("a header of 2^63 bytes", file(b"{}", length=2**63), ("no checkpoint",))
    yield Hostile("a header that begins with a list", file(b"[]", bytes(8)), ("no checkpoint",))
