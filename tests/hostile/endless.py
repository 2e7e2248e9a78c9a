"""A value that is small in memory but endless to print, hash or compare, in every place of a checkpoint."""

from collections.abc import Iterator

from hostile.assembler import (
    GOOD_LEGACY,
    LITTLE_ENDIAN,
    STORAGE,
    VERSION,
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

# A tuple that holds the one before twice, 200 times over.
_STEPS = b"".join(b"h" + bytes([i, ord("h"), i, 0x86, ord("q"), i + 1]) for i in range(200))
ENDLESS = b"(Nq\x00" + _STEPS + b"t"
_CORE = "numpy._core.multiarray"
_MINUS_ONE = b"J\xff\xff\xff\xff"
_EMPTY_ARRAY = (named("numpy", "ndarray"), group(integer(0)), b"C\x01b")
_CALLS = {
    "a number": (named(_CORE, "scalar"), (numpy_dtype(), raw_bytes(b"1234"))),
    "bytes": (named("_codecs", "encode"), (text("x"), text("latin1"))),
    "an array": (named(_CORE, "_reconstruct"), _EMPTY_ARRAY),
    "a buffer": (
        named("numpy._core.numeric", "_frombuffer"),
        (raw_bytes(b"1234"), numpy_dtype(), group(integer(1)), text("C")),
    ),
    "a pair": (named("builtins", "tuple"), (group(text("w"), array()),)),
    "an evaluation": (named("builtins", "eval"), (text("data"), mapping({"data": array()}))),
}


def cases() -> Iterator[Hostile]:
    yield from _calls()
    yield from _types()
    yield from _split_arrays()
    yield from _tensors()
    yield from _streams()
    yield from _legacy_headers()


def _with_endless(items: tuple[bytes, ...]) -> Iterator[tuple[int, tuple[bytes, ...]]]:
    for place in range(len(items)):
        yield place, (*items[:place], ENDLESS, *items[place + 1 :])


def _calls() -> Iterator[Hostile]:
    for what, (function, items) in _CALLS.items():
        for place, changed in _with_endless(items):
            data = bare(mapping({"a": called(function, *changed)}))
            yield Hostile(f"{what} with something endless at {place}", data)
    state = (integer(1), group(integer(1)), numpy_dtype(), b"\x89", raw_bytes(b"1234"))
    for place, changed in _with_endless(state):
        value = called(named(_CORE, "_reconstruct"), *_EMPTY_ARRAY) + group(*changed) + b"b"
        yield Hostile(f"a state of an array, endless at {place}", bare(mapping({"a": value})))


def _types() -> Iterator[Hostile]:
    function, items = named("numpy", "dtype"), (text("f4"), b"\x89", b"\x88")
    facts = (integer(3), text("<"), b"N", b"N", b"N", _MINUS_ONE, _MINUS_ONE, integer(0))

    def file(dtype: bytes) -> bytes:
        value = numpy_array(group(integer(1)), raw_bytes(b"1234"), dtype)
        return bare(mapping({"a": value}))

    for place, changed in _with_endless(items):
        dtype = called(function, *changed) + group(*facts) + b"b"
        yield Hostile(f"a type that is endless at {place}", file(dtype))
    for place, changed in _with_endless(facts):
        dtype = called(function, *items) + group(*changed) + b"b"
        yield Hostile(f"a type with an endless fact {place}", file(dtype))


def _split_arrays() -> Iterator[Hostile]:
    shape, slices = group(integer(2)), listed(text("w@@.0"))
    notes = {
        "note": ENDLESS,
        "shape": mapping({"OriginShape": ENDLESS, "slices": slices}),
        "size": mapping({"OriginShape": group(ENDLESS), "slices": slices}),
        "list of parts": mapping({"OriginShape": shape, "slices": ENDLESS}),
        "part": mapping({"OriginShape": shape, "slices": listed(ENDLESS)}),
    }
    for what, note in notes.items():
        split = {"w@@.0": array(), "UnpackBigParamInfor@@": mapping({"w": note})}
        yield Hostile(f"split arrays with an endless {what}", bare(mapping(split)))


def _tensors() -> Iterator[Hostile]:
    rebuild = named("torch._utils", "_rebuild_tensor_v2")
    items = (storage(), integer(0), group(integer(4)), group(integer(1)), b"\x89", b"}", b"}")
    part = (text("0"), integer(0), integer(4))
    place = (text("storage"), named("torch", "FloatStorage"), text("0"), text("cpu"), integer(4))
    values = {
        **{
            f"a tensor, endless at {at}": called(rebuild, *changed)
            for at, changed in _with_endless(items)
            # Whether it learns, and its hooks, are not looked at.
            if at not in (4, 5)
        },
        **{
            f"a storage, endless at {at}": tensor(group(*changed) + b"Q")
            for at, changed in _with_endless((*place, group(*part)))
            # On which device it was is not looked at either.
            if at != 3
        },
        **{
            f"a part of a storage, endless at {at}": tensor(group(*place, group(*changed)) + b"Q")
            for at, changed in _with_endless(part)
            if at != 0
        },
    }
    for what, value in values.items():
        for kind in (zipped, legacy):
            data = kind(mapping({"a": value, "b": tensor(storage())}), {"0": STORAGE})
            yield Hostile(f"{what} in {kind.__name__}", data)


def _streams() -> Iterator[Hostile]:
    pairs = listed(group(ENDLESS, b"N"))
    bodies = {
        "key": b"}" + ENDLESS + b"Ns",
        "function": ENDLESS + b")R",
        "module": ENDLESS + text("x") + b"\x93",
        "value": ENDLESS,
        "pair": called(named("collections", "OrderedDict"), pairs),
    }
    for what, body in bodies.items():
        for kind in (bare, zipped, legacy):
            yield Hostile(f"an endless {what} in {kind.__name__}", kind(body))


def _legacy_headers() -> Iterator[Hostile]:
    order = listed(text("0"))
    changes = {
        "version": (VERSION, bare(ENDLESS)),
        "header": (LITTLE_ENDIAN, bare(ENDLESS)),
        "fact of the header": (LITTLE_ENDIAN, bare(mapping({"little_endian": ENDLESS}))),
        "order of storages": (order, ENDLESS),
        "storage in the order": (order, listed(ENDLESS)),
    }
    for what, (old, new) in changes.items():
        yield Hostile(f"a legacy file with an endless {what}", GOOD_LEGACY.replace(old, new))
