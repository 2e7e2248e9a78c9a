"""Small files that ask for much: memory, time, depth, or bytes that are not theirs."""

import struct
from collections.abc import Iterator

from hostile.assembler import (
    GOOD_LEGACY,
    STORAGE,
    Hostile,
    array,
    bare,
    called,
    group,
    integer,
    legacy,
    listed,
    mapping,
    named,
    numpy_array,
    numpy_dtype,
    raw_bytes,
    storage,
    tensor,
    text,
    zipped,
)

HUGE = 2**62


def cases() -> Iterator[Hostile]:
    for name, body in _streams().items():
        for kind in (bare, zipped, legacy):
            yield Hostile(f"{name} in {kind.__name__}", kind(body))
    for name, body in _arrays().items():
        yield Hostile(name, bare(mapping({"weight": body})))
    for name, body in _views().items():
        for kind in (zipped, legacy):
            yield Hostile(f"{name} in {kind.__name__}", kind(mapping({"w": body}), {"0": STORAGE}))
    yield from _split_arrays()
    yield from _legacy_files()
    yield Hostile("nine bytes that ask Python for gigabytes", b"\x80\x04Nr\xff\xff\xff\xff.")


def _streams() -> dict[str, bytes]:
    doubled = b"".join(
        b"](" + b"h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(200)
    )
    pairs = listed(*[group(text(f"{i:04}"), b"N") for i in range(2000)]) + b"q\x01"
    ordered = named("collections", "OrderedDict") + b"q\x02"
    return {
        "a memo index of 2^32": b"Nr\xff\xff\xff\xff",
        "a fetch that was never kept": b"j\xff\xff\xff\xff",
        "a text of 4 GB": b"X\xff\xff\xff\xffharm",
        "a string of minus one byte": b"T\xff\xff\xff\xffharm",
        "bytes of 4 GB": b"B\xff\xff\xff\xffharm",
        "bytes of 2^64": b"\x8e" + b"\xff" * 8,
        "a byte array of 2^63": b"\x96" + b"\xff" * 7 + b"\x7f",
        "a frame of 2^64": b"\x95" + b"\xff" * 8 + b"N",
        "an integer of 255 bytes": b"\x8a\xff" + b"\xff" * 255,
        "an integer of 2^31 bytes": b"\x8b\xff\xff\xff\x7f",
        "a million groups": b"(" * 1_000_000,
        "a million lists": b"]" * 1_000_000,
        "a million dicts kept": b"}\x94" * 500_000,
        "a million lists in one": b"](" + b"]" * 90_000 + b"e" + (b"(" + b"]" * 90_000 + b"e") * 12,
        "a million tuples in each other": b")" + b"\x85" * 1_000_000,
        "a list in a list, 50,000 deep": b"](]q\x01" + b"]h\x01aq\x01" * 50_000 + b"e",
        "a list of itself": b"]q\x01h\x01a",
        "a dict of itself": b"}q\x01" + text("k") + b"h\x01s",
        "lists doubled 200 times": b"]q\x00" + doubled,
        "60,000 keys of one hash": b"}(" + b"".join(integer(i * (2**61 - 1)) + b"N" for i in range(1, 60_000)) + b"u",
        "the same pairs made a dict 10,000 times": pairs + ordered + (b"h\x02h\x01\x85R") * 10_000,
        "a million short texts": b"](" + b"\x8c\x04\xf0\x9f\x98\x80" * 90_000 + b"e" + b"0",
        "a line without an end": b"c" + b"a" * 3_000_000,
        "a mark without a group": b"N(",
        "a group without a mark": b"Nt",
        "a value from an empty stack": b"a",
        "a value from outside the group": b"N(\x85t",
        "two values": b"NN",
        "no value": b"",
        "a key without a value": b"}(" + text("k") + b"u",
        "a second header": b"\x80\x02N",
        "an opcode of protocol 0": b"I01\n",
        "a duplicate": b"N2\x86",
        "a set": b"\x8f",
        "a frozen set": b"(\x91",
        "a buffer from elsewhere": b"\x97",
        "a persistent name": b"Pharm\n",
        "an unknown opcode": b"\xff",
        "text that is not UTF-8": b"X\x02\x00\x00\x00\xff\xff",
        "a name as long as a page": mapping({"n" * 2000: b"N"}),
    }  # fmt: skip


def _arrays() -> dict[str, bytes]:
    eight = raw_bytes(b"12345678")
    one = numpy_array(group(integer(2)), eight)
    encode = named("_codecs", "encode")
    long_text = text("é" * 40_000) + b"q\x07" + encode + b"q\x08"
    encoded = b"".join(b"h\x08h\x07" + text("latin1") + b"\x86R" for _ in range(3000))
    frombuffer = named("numpy._core.numeric", "_frombuffer")
    return {
        "a shape of 2^62": numpy_array(group(integer(HUGE)), eight),
        "a shape whose product overflows to the right size": numpy_array(group(integer(2**32), integer(2**32)), raw_bytes(b"")),
        "a shape of zero and 2^62": numpy_array(group(integer(0), integer(HUGE), integer(HUGE)), raw_bytes(b"")),
        "a shape of 100 dimensions": numpy_array(group(*[integer(1)] * 100), eight),
        "a negative shape": numpy_array(group(b"J\xff\xff\xff\xff"), eight),
        "a shape of fractions": numpy_array(group(b"G" + struct.pack(">d", 2.0)), eight),
        "a shape of truths": numpy_array(group(b"\x88", integer(2)), eight),
        "a shape that is a number": numpy_array(integer(2), eight),
        "fewer bytes than the shape": numpy_array(group(integer(3)), eight),
        "more bytes than the shape": numpy_array(group(integer(1)), eight),
        "no bytes": numpy_array(group(integer(2)), b"N"),
        "a text for bytes with characters beyond": numpy_array(group(integer(2)), called(encode, text("\u0101" * 8), text("latin1"))),
        "the same text encoded 3,000 times": listed(long_text, encoded),
        "an order of axes that is none": called(frombuffer, eight, numpy_dtype(), group(integer(2)), text("Q")),
        "axes that are none": called(frombuffer, eight, numpy_dtype(), group(integer(2)), text("K"), group(integer(7))),
        "axes twice": called(frombuffer, eight, numpy_dtype(), group(integer(2), integer(1)), text("K"), group(integer(0), integer(0))),
        "an array 20 lists deep": b"]" * 20 + one + b"a" * 20,
    }  # fmt: skip


def _views() -> dict[str, bytes]:
    place = storage()
    return {
        "a view past its storage": tensor(place, (5,)),
        "an offset past its storage": tensor(place, (1,), (1,), 4),
        "an offset before its storage": tensor(place, (2,)).replace(integer(0), b"J\xff\xff\xff\xff", 1),
        "a stride past its storage": tensor(place, (2, 2), (4, 1)),
        "a stride of 2^62": tensor(place, (2,), (HUGE,)),
        "a negative stride": tensor(place, (2,)).replace(group(integer(1)), group(b"J\xff\xff\xff\xff")),
        "more strides than sizes": tensor(place, (2,), (1, 1)),
        "one element a billion billion times": tensor(place, (2**30, 2**30), (0, 0)),
        "one element 2^100 times": tensor(place, (2**50, 2**50), (0, 0)),
        "sizes of zero and 2^62": tensor(place, (0, HUGE, HUGE), (1, 1, 1)),
        "a storage of 2^62 elements": tensor(storage(elements=HUGE)),
        "a storage larger than stored": tensor(storage(elements=5)),
        "a storage smaller than stored": tensor(storage(elements=3), (3,)),
        "a storage of wider elements": tensor(storage("DoubleStorage")),
        "a storage that is not there": tensor(storage(key="9")),
        "a storage elsewhere": tensor(storage(key="../version")),
        "a storage of two types": listed(tensor(storage()), tensor(storage("IntStorage"))),
        "a storage of minus one": tensor(group(text("storage"), named("torch", "FloatStorage"), text("0"), text("cpu"), b"J\xff\xff\xff\xff") + b"Q"),
        "a part past its storage": tensor(storage(extra=group(text("0"), integer(2), integer(3))), (1,)),
        "100 dimensions": tensor(place, (1,) * 100, (1,) * 100),
        "too many facts of a storage": tensor(group(*[text("storage")] * 9) + b"Q"),
    }  # fmt: skip


def _split_arrays() -> Iterator[Hostile]:
    big = "UnpackBigParamInfor@@"

    def file(slices: bytes, shape: bytes = group(integer(4)), **parts: bytes) -> bytes:
        note = mapping({"OriginShape": shape, "slices": slices})
        return bare(mapping({"a": array(), "w@@.0": array(), **parts, big: mapping({"w": note})}))

    two = listed(text("w@@.0"), text("w@@.1"))
    whole = {"w@@.1": array()}
    yield Hostile("a part that is not there", file(two), ("w@@.1",))
    yield Hostile("a part twice", file(listed(text("w@@.0"), text("w@@.0"))), ("w@@.0",))
    yield Hostile("parts of another size", file(two, group(integer(5)), **whole), ("make up",))
    yield Hostile("parts of 2^62", file(two, group(integer(HUGE)), **whole), ("make up",))
    yield Hostile("parts of two types", file(two, **{"w@@.1": array((1, 2), "<i4")}), ("make up",))
    yield Hostile("parts that are no arrays", file(two, **{"w@@.1": text("x")}), ("w@@.1",))
    yield Hostile("parts and the whole", file(two, **whole, w=array()), ("whole and in parts",))
    yield Hostile("no list of parts", file(b"N"), ("no parts",))
    yield Hostile("an empty list of parts", file(b"]"), ("no parts",))
    yield Hostile("parts without notes", bare(mapping({"a": array(), big: b"N"})), (big,))
    yield Hostile("a note that is none", bare(mapping({"a": array(), big: mapping({"w": b"N"})})))


def _legacy_files() -> Iterator[Hostile]:
    good = mapping({"w": tensor(storage())})
    yield Hostile("a legacy file of another magic", GOOD_LEGACY.replace(b"l\xfc", b"m\xfc", 1))
    yield Hostile(
        "a legacy file of another version", GOOD_LEGACY.replace(b"M\xe9\x03", b"M\xe8\x03", 1)
    )
    yield Hostile(
        "a big-endian legacy file",
        GOOD_LEGACY.replace(b"endian\x88", b"endian\x89", 1),
        ("big-endian",),
    )
    yield Hostile("a legacy file that goes on", GOOD_LEGACY + b"\x00", ("1 bytes too many",))
    yield Hostile("a legacy file with more storages", legacy(good, {"0": STORAGE, "1": STORAGE}))
    yield Hostile("a legacy file without its storage", legacy(good), ("storages",))
    count = struct.pack("<q", 4)
    for claimed in (-1, 3, 5, 2**62):
        data = GOOD_LEGACY.replace(count + STORAGE, struct.pack("<q", claimed) + STORAGE)
        yield Hostile(f"a legacy storage that claims {claimed} elements", data, ("elements",))
    twice = GOOD_LEGACY.replace(listed(text("0")), listed(text("0"), text("0")))
    yield Hostile("a legacy storage twice", twice, ("storages",))
    unordered = GOOD_LEGACY.replace(listed(text("0")), listed(integer(0)))
    yield Hostile("legacy storages without names", unordered, ("order",))
