"""Files that name code: every name of the known attacks, in every way a pickle can name it."""

from collections.abc import Iterator

from hostile.assembler import (
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

ATTACKS = (
    ("os", "system"), ("posix", "system"), ("nt", "system"), ("os", "popen"), ("os", "execv"),
    ("os", "remove"), ("builtins", "exec"), ("__builtin__", "exec"), ("builtins", "getattr"),
    ("builtins", "compile"), ("builtins", "open"), ("builtins", "__import__"), ("__builtin__", "apply"),
    ("subprocess", "Popen"), ("subprocess", "check_output"), ("commands", "getoutput"), ("pty", "spawn"),
    ("pip", "main"), ("pip._internal", "main"), ("runpy", "run_path"), ("runpy", "_run_code"),
    ("cProfile", "run"), ("profile", "Profile.run"), ("pdb", "run"), ("timeit", "timeit"), ("code", "InteractiveInterpreter"),
    ("ctypes", "CDLL"), ("ctypes.util", "find_library"), ("importlib", "import_module"), ("imp", "load_source"),
    ("operator", "attrgetter"), ("operator", "methodcaller"), ("types", "CodeType"), ("marshal", "loads"),
    ("pickle", "loads"), ("_pickle", "loads"), ("dill", "loads"), ("joblib", "load"), ("shutil", "rmtree"),
    ("socket", "create_connection"), ("urllib.request", "urlopen"), ("webbrowser", "open"), ("logging.config", "listen"),
    ("torch.storage", "_load_from_bytes"), ("torch.jit.unsupported_tensor_ops", "execWrapper"),
    ("torch", "load"), ("torch.hub", "load"), ("numpy", "load"), ("numpy", "fromfile"), ("numpy", "ndarray.tofile"),
    ("numpy.testing._private.utils", "runstring"), ("numpy.f2py.crackfortran", "getlincoef"), ("paddle", "load"),
    ("paddle.framework.io", "_legacy_load"), ("collections", "OrderedDict.fromkeys"),
    ("lib2to3.pgen2.grammar", "Grammar.loadgrammar"), ("idlelib.run", "Executive.runcode"), ("asyncio.unix_events", "_UnixSubprocessTransport._start"),
)  # fmt: skip
# Harmless beside the tensors, where they are skipped; refused where a tensor, or a part of one, is read from.
FOREIGN = (
    ("functools", "partial"), ("torch._utils", "_rebuild_from_type_v2"), ("torch._utils", "_rebuild_sparse_tensor"),
    ("torch", "Tensor"), ("mmengine.logging.history_buffer", "HistoryBuffer"), ("argparse", "Namespace"),
    ("__main__", "Weights"), ("collections", "Counter"),
)  # fmt: skip
COMMAND = text("echo harm")


def cases() -> Iterator[Hostile]:
    for module, attribute in ATTACKS:
        yield from _one_name(module, attribute)
    for module, attribute in FOREIGN:
        yield from _in_place_of_tensors(module, attribute)
    yield from _ways_of_naming()
    yield from _allowed_names_misused()


def _one_name(module: str, attribute: str) -> Iterator[Hostile]:
    full = f"{module}.{attribute}"
    plain = called(named(module, attribute), COMMAND)
    stacked = called(named(module, attribute, stacked=True), COMMAND)
    within = mapping({"harm": plain, "weight": tensor(storage())})
    for protocol, call in ((2, plain), (3, plain), (4, stacked), (5, stacked)):
        data = bare(mapping({"weight": array(), "harm": call}), protocol)
        yield Hostile(f"{full} in a Paddle file of protocol {protocol}", data, (full,))
    yield Hostile(f"{full} in a legacy file", legacy(within, {"0": STORAGE}), (full,))
    yield Hostile(f"{full} in an archive", zipped(within, {"0": STORAGE}), (full,))


def _in_place_of_tensors(module: str, attribute: str) -> Iterator[Hostile]:
    full = f"{module}.{attribute}"
    made = called(named(module, attribute), COMMAND)
    eight, pair = raw_bytes(b"12345678"), group(integer(2))
    rebuild = named("numpy._core.multiarray", "_reconstruct")
    other_class = called(rebuild, made, group(integer(0)), b"C\x01b")
    parts_of_arrays = {
        "the whole checkpoint": made,
        "the only tensor": mapping({"w": made}),
        "the shape of an array": mapping({"w": numpy_array(made, eight)}),
        "the bytes of an array": mapping({"w": numpy_array(pair, made)}),
        "the type of an array": mapping({"w": numpy_array(pair, eight, made)}),
        "the class of an array": mapping({"w": other_class}),
        "an object with tensors": made + mapping({"w": array()}) + b"b",
        "a list of tensors": mapping({"w": made + array() + b"a"}),
        "a new object": mapping({"w": named(module, attribute) + group(COMMAND) + b"\x81"}),
    }
    for what, body in parts_of_arrays.items():
        yield Hostile(f"{full} for {what} in a Paddle file", bare(body), (full,))
    rebuild = named("torch._utils", "_rebuild_tensor_v2")
    place, size, step = storage(), group(integer(4)), group(integer(1))
    arguments = (place, integer(0), size, step, b"\x89", b"}")
    parts = {
        "a storage": called(rebuild, made, *arguments[1:]),
        "a shape": called(rebuild, *arguments[:2], made, *arguments[3:]),
        "strides": called(rebuild, *arguments[:3], made, *arguments[4:]),
        "an offset": called(rebuild, place, made, *arguments[2:]),
        "the data of a parameter": called(named("torch._utils", "_rebuild_parameter"), made, b"\x88", b"}"),
        "the only tensor": made,
    }  # fmt: skip
    for what, body in parts.items():
        for kind in (zipped, legacy):
            # Two tensors, so that the legacy file's list of storages is right in every case.
            data = kind(mapping({"a": body, "nested": listed(tensor(storage()))}), {"0": STORAGE})
            yield Hostile(f"{full} for {what} in {kind.__name__}", data, (full,))


def _ways_of_naming() -> Iterator[Hostile]:
    system = named("os", "system")
    bodies = {
        "INST": b"(" + COMMAND + b"ios\nsystem\n",
        "OBJ": b"(" + system + COMMAND + b"o",
        "NEWOBJ": system + group(COMMAND) + b"\x81",
        "NEWOBJ_EX": system + group(COMMAND) + b"}\x92",
        "a name that is never called": system,
        "a name as an argument": called(named("collections", "OrderedDict"), listed(group(text("a"), system))),
        "a call that sets state": called(system, COMMAND) + mapping({"a": integer(1)}) + b"b",
        "a call in a call": called(named("torch", "Size"), called(system, COMMAND)),
        "a name kept and fetched": system + b"q\x05" + group(COMMAND) + b"Rq\x06h\x06\x86",
    }  # fmt: skip
    for how, body in bodies.items():
        found = ("os.system",)
        yield Hostile(f"{how} in a Paddle file", bare(mapping({"a": body})), found)
        yield Hostile(f"{how} in an archive", zipped(mapping({"a": body})), found)
        yield Hostile(f"{how} in a legacy file", legacy(mapping({"a": body})), found)
    for opcode, code in (
        (b"\x82", b"\x05"),
        (b"\x83", b"\x05\x00"),
        (b"\x84", b"\x05\x00\x00\x00"),
    ):
        body = mapping({"a": opcode + code + group(COMMAND) + b"R"})
        for kind in (bare, zipped, legacy):
            yield Hostile(
                f"extension {opcode!r} in {kind.__name__}", kind(body), ("extension code.5",)
            )
    many = [called(named("os", f"call{index}"), COMMAND) for index in range(20)]
    names = tuple(f"os.call{index}" for index in range(20))
    yield Hostile("twenty names", bare(mapping({"a": listed(*many)})), names)
    yield Hostile(
        "a name, then a cut", bare(mapping({"a": system}))[:-2], ("os.system", "cut off")
    )
    yield Hostile(
        "a name, then nonsense", bare(mapping({"a": system}) + b"\xff"), ("os.system", "0xff")
    )
    tricky = named("os", "system\x1b[2K", stacked=True)
    yield Hostile("a name that writes over the message", bare(tricky, 4), ("system\\x1b[2K",))
    alias = named("torch", "_utils._rebuild_tensor_v2", stacked=True)
    yield Hostile(
        "a dotted name that spells an allowed one", zipped(alias, protocol=4), ("_rebuild",)
    )
    yield Hostile(
        "names with line feeds",
        bare(named("numpy\nos", "dtype", stacked=True), 4),
        ("numpy\\nos",),
    )
    for protocol, data in (
        (0, b"cos\nsystem\n(S'echo harm'\ntR."),
        (1, b"(cos\nsystem\nX\x04\x00\x00\x00harmo."),
    ):
        yield Hostile(f"protocol {protocol} without a header", data, ("protocol 0 or 1",))
        yield Hostile(
            f"protocol {protocol} in an archive",
            zipped(data[:-1], protocol=protocol),
            ("protocol 2 to 5",),
        )
        yield Hostile(
            f"protocol {protocol} in a legacy file",
            legacy(b"").replace(b"\x80\x02.", data),
            ("protocol 2 to 5",),
        )


def _allowed_names_misused() -> Iterator[Hostile]:
    evaluate, encode = named("builtins", "eval"), named("_codecs", "encode")
    core = "numpy._core.multiarray"
    rebuild, ordered = named(core, "_reconstruct"), named("collections", "OrderedDict")
    scalar = named(core, "scalar")
    eight, pair = raw_bytes(b"12345678"), group(integer(2))
    bodies = {
        "eval of code": (called(evaluate, text("__import__('os').system('x')")), "eval"),
        "eval of code with names": (called(evaluate, text("harm()"), mapping({"data": array()})), "eval"),
        "eval of data that is code": (called(evaluate, text("data"), mapping({"data": evaluate})), "not an array"),
        "eval of other names": (called(evaluate, text("data"), mapping({"data": array(), "x": array()})), "eval"),
        "the array class, called": (called(named("numpy", "ndarray"), pair), "numpy.ndarray"),
        "an array of another class": (called(rebuild, evaluate, group(integer(0)), b"C\x01b"), "never writes"),
        "an array never filled": (called(rebuild, named("numpy", "ndarray"), group(integer(0)), b"C\x01b"), "without shape"),
        "an array of objects": (numpy_array(pair, listed(b"N", b"N"), numpy_dtype("O8", "|")), "Python objects"),
        "an array of fields": (numpy_array(pair, eight, numpy_dtype("V4", "|")), "V4"),
        "objects for bytes": (numpy_array(pair, listed(b"N", b"N")), "list"),
        "a big-endian array": (numpy_array(pair, eight, numpy_dtype(order=">")), "little-endian"),
        "a type that is none": (numpy_array(pair, eight, text("f4")), "without a NumPy type"),
        "another codec": (called(encode, text("harm"), text("rot13")), "latin-1"),
        "a codec of code": (called(encode, evaluate, text("latin1")), "latin-1"),
        "a number of objects": (called(scalar, numpy_dtype("O8", "|"), eight), "O8"),
        "a dict of no pairs": (called(ordered, listed(integer(1))), "pairs"),
        "a dict of a dict": (called(ordered, b"}"), "pairs"),
        "a tuple of a name": (called(named("builtins", "tuple"), evaluate), "tuple"),
        "items set on a call": (called(named("builtins", "tuple"), group()) + text("k") + array() + b"s", "expected a dict"),
        "items appended to a call": (called(named("builtins", "tuple"), group()) + array() + b"a", "expected a list"),
        "state set on a list": (b"]" + b"}" + b"b", "state of a list"),
        "state set twice": (numpy_array(pair, eight) + b")b", "twice"),
        "a call of an array": (array() + group(integer(1)) + b"R", "not a name"),
        "a call without a tuple": (evaluate + b"]R", "not a name"),
        "a storage in a Paddle file": (group(text("storage")) + b"Q", "storage"),
        "code in what is skipped": (called(named("functools", "partial"), evaluate, text("harm()")), "eval"),
        "code in a skipped state": (called(named("a", "B")) + group(evaluate) + b"b", "eval"),
        "an attribute of text": (called(named("builtins", "getattr"), text("x"), text("y")), "getattr"),
        "a hidden attribute": (called(named("builtins", "getattr"), named("a", "B"), text("__globals__")), "getattr"),
        "an attribute that acts": (called(named("builtins", "getattr"), named("a", "B"), text("system")), "a.B.system"),
        "a function that gets attributes, uncalled": (named("builtins", "getattr"), "getattr"),
        "a key that is code": (b"}(" + evaluate + b"Nu", "key of type Name"),
        "a key twice": (b"}(" + (text("k") + b"N") * 2 + b"u", "twice"),
    }  # fmt: skip
    for what, (body, finds) in bodies.items():
        yield Hostile(f"{what}", bare(mapping({"a": body, "weight": array()})), (finds,))
    called_storage = called(named("torch", "FloatStorage"), integer(4))
    torch_bodies = {
        "a storage class, called": (called_storage, "torch.FloatStorage"),
        "a tensor in no storage": (tensor(called_storage), "without a storage"),
        "a storage of no type": (tensor(storage("FloatStorage").replace(b"ctorch\nFloatStorage\n", text("x"))), "type"),
        "a tensor stored negated": (tensor(storage())[:-2] + mapping({"neg": b"\x88"}) + b"tR", "neg"),
        "a storage alone": (storage(), "only a tensor"),
        "items set on a tensor": (tensor(storage()) + integer(0) + integer(0) + b"s", "expected a dict"),
    }  # fmt: skip
    for what, (body, finds) in torch_bodies.items():
        for kind in (zipped, legacy):
            data = kind(mapping({"a": body, "w": tensor(storage())}), {"0": STORAGE})
            yield Hostile(f"{what} in {kind.__name__}", data, (finds,))
