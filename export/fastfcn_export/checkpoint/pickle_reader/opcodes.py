"""What each opcode of a pickle does to the machine, for the opcodes that checkpoints are written with.

Source: the opcodes as Python's `pickletools` documents them.
"""

import struct
from collections.abc import Callable

from fastfcn_export.checkpoint.pickle_reader.machine import MAX_MARKS, PickleMachine
from fastfcn_export.checkpoint.pickle_reader.names import GETATTR, refuses
from fastfcn_export.checkpoint.pickle_reader.records import (
    Call,
    LongText,
    Name,
    Opaque,
    Persistent,
)
from fastfcn_infer.system.excerpt import excerpt, printable

_ORDERED_DICT = Name("collections", "OrderedDict")
_DEFAULT_DICT = Name("collections", "defaultdict")
_EVALS = (Name("builtins", "eval"), Name("__builtin__", "eval"))
# They make an object of the class that they are given.
_CONSTRUCTORS = frozenset(
    Name(module, function)
    for module in ("copyreg", "copy_reg")
    for function in ("_reconstructor", "__newobj__", "__newobj_ex__")
)
_SET, _FROZEN_SET, _INTEGER = (Name("builtins", name) for name in ("set", "frozenset", "int"))
_SMALL_BYTES = 256
_MAX_KEY = 1 << 31

Handler = Callable[[PickleMachine], None]


def _constant(value: object) -> Handler:
    return lambda machine: machine.push(value)


def _integer(layout: str) -> Handler:
    packed = struct.Struct(layout)
    return lambda machine: machine.push(machine.number(packed))


def _float(machine: PickleMachine) -> None:
    machine.push(struct.unpack(">d", machine.take(8))[0])


def _long(machine: PickleMachine) -> None:
    # At most 255 bytes: the states of random generators are longer than a machine's integers.
    machine.push(int.from_bytes(machine.take(machine.take(1)[0]), "little", signed=True))


def _very_long(machine: PickleMachine) -> None:
    machine.take(machine.number(struct.Struct("<I")))
    machine.skipped[str(_INTEGER)] = None
    machine.push(machine.opaque(_INTEGER))


def _text(layout: str, encoding: str) -> Handler:
    packed = struct.Struct(layout)
    return lambda machine: machine.push(
        machine.text(machine.take(machine.number(packed)), encoding)
    )


def _bytes(layout: str) -> Handler:
    packed = struct.Struct(layout)

    def handle(machine: PickleMachine) -> None:
        data = machine.take(machine.number(packed))
        # A view is larger than a few bytes: it would blow up a file of many short strings.
        machine.push(data if len(data) > _SMALL_BYTES else bytes(data))

    return handle


def _frame(machine: PickleMachine) -> None:
    length = machine.number(struct.Struct("<Q"))
    left = len(machine.data) - machine.position
    if length > left:
        raise machine.fault(f"is cut off: {length} bytes more were expected, {left} are left")


def _mark(machine: PickleMachine) -> None:
    if len(machine.marks) >= MAX_MARKS:
        raise machine.fault(f"nests more than {MAX_MARKS} deep; no checkpoint does")
    machine.marks.append(len(machine.stack))


def _drop(machine: PickleMachine) -> None:
    """Drop the top value; tuples that hold themselves are written so."""
    if machine.marks and len(machine.stack) == machine.marks[-1]:
        machine.marks.pop()
    else:
        machine.pop()


def _drop_group(machine: PickleMachine) -> None:
    machine.pop_group()


def _tuple_of(length: int) -> Handler:
    def handle(machine: PickleMachine) -> None:
        machine.push(tuple(reversed([machine.pop() for _ in range(length)])))

    return handle


def _append(machine: PickleMachine) -> None:
    _extend(machine, [machine.pop()])


def _extend(machine: PickleMachine, items: list[object]) -> None:
    container = machine.peek()
    if isinstance(container, Opaque):
        machine.opaque(container.name, items)
        return
    if type(container) is not list:
        raise machine.fault(f"appends to a {type(container).__name__}; expected a list")
    container.extend(items)


def _set_item(machine: PickleMachine) -> None:
    value, key = machine.pop(), machine.pop()
    _set_items(machine, [key, value])


def _set_items(machine: PickleMachine, items: list[object]) -> None:
    container = machine.peek()
    if isinstance(container, Opaque):
        machine.opaque(container.name, items)
        return
    if type(container) is not dict:
        raise machine.fault(f"sets items of a {type(container).__name__}; expected a dict")
    if len(items) % 2:
        raise machine.fault("has a key without a value")
    for key, value in zip(items[::2], items[1::2], strict=True):
        _set_one(machine, container, key, value)


def _set_one(
    machine: PickleMachine, container: dict[object, object], key: object, value: object
) -> None:
    if isinstance(key, Name) and refuses(key):
        raise machine.fault("has a key of type Name; expected a short text or a small number")
    # A file could choose large numbers so that all have one hash, which makes a dict crawl. No tensor that
    # is needed lies under such a key; old optimizers use addresses in memory.
    if type(key) is not str and not (type(key) is int and abs(key) < _MAX_KEY):
        machine.skipped[f"(entries whose key is {_KEYS.get(type(key), 'an object')})"] = None
        return
    if key in container:
        raise machine.fault(f"has the key {excerpt(key)} twice")
    container[key] = value


def _put(layout: str) -> Handler:
    packed = struct.Struct(layout)

    def handle(machine: PickleMachine) -> None:
        machine.memo[machine.number(packed)] = machine.peek()

    return handle


def _memoize(machine: PickleMachine) -> None:
    machine.memo[len(machine.memo)] = machine.peek()


def _get(layout: str) -> Handler:
    packed = struct.Struct(layout)

    def handle(machine: PickleMachine) -> None:
        index = machine.number(packed)
        if index not in machine.memo:
            raise machine.fault(f"fetches value {index}, which was never kept")
        machine.push(machine.memo[index])

    return handle


def _global(machine: PickleMachine) -> None:
    machine.push(machine.name(machine.line(), machine.line()))


def _stack_global(machine: PickleMachine) -> None:
    attribute, module = machine.pop(), machine.pop()
    machine.push(machine.name(module, attribute))


def _reduce(machine: PickleMachine) -> None:
    arguments, function = machine.pop(), machine.pop()
    if not isinstance(function, Name | Opaque) or type(arguments) is not tuple:
        raise machine.fault("calls something that is not a name")
    machine.push(_called(machine, function, arguments))


def _called(
    machine: PickleMachine, function: Name | Opaque, arguments: tuple[object, ...]
) -> object:
    """Make the record of a call; a real dict where it makes one, because its items follow."""
    if isinstance(function, Opaque):
        return machine.opaque(function.name, arguments)
    if function == _ORDERED_DICT:
        return _ordered_dict(machine, arguments)
    if function == _DEFAULT_DICT and _is_harmless(arguments):
        return {}
    if function in GETATTR:
        return _attribute(machine, function, arguments)
    if function in _CONSTRUCTORS and arguments and isinstance(arguments[0], Name):
        return machine.opaque(arguments[0], arguments)
    if function not in machine.allowed:
        return machine.opaque(function, arguments)
    if function in _EVALS and not _is_paddles_form(arguments):
        machine.refused[f"{function} of {excerpt(arguments[:1])}"] = None
    return Call(function, arguments)


def _is_harmless(arguments: tuple[object, ...]) -> bool:
    return len(arguments) <= 1 and not any(
        isinstance(item, Name) and refuses(item) for item in arguments
    )


def _is_paddles_form(arguments: tuple[object, ...]) -> bool:
    """Tell whether a call of `eval` is the one that Paddle wrote: ``eval("data", {"data": array})``."""
    if len(arguments) != 2 or type(arguments[0]) is not str or arguments[0] != "data":
        return False
    return type(arguments[1]) is dict and list(arguments[1]) == ["data"]


def _attribute(machine: PickleMachine, function: Name, arguments: tuple[object, ...]) -> Opaque:
    """Make an opaque value of ``getattr(Class, "attribute")``: another way to spell a name."""
    whose, attribute = arguments if len(arguments) == 2 else (None, None)
    owner = whose.name if isinstance(whose, Opaque) else whose
    spelled = isinstance(owner, Name) and type(attribute) is str and attribute.isidentifier()
    hidden = str(attribute).startswith("__") and attribute not in ("__init__", "__new__")
    if not isinstance(owner, Name) or not spelled or hidden:
        machine.refused[f"{function} of {_shown(arguments)}"] = None
        return Opaque(function)
    machine.unexplained.pop(function, None)
    return Opaque(machine.name(owner.module, f"{owner.attribute}.{attribute}"))


def _shown(arguments: tuple[object, ...]) -> str:
    return excerpt(tuple(str(item) if isinstance(item, Name) else item for item in arguments[:2]))


def _ordered_dict(machine: PickleMachine, arguments: tuple[object, ...]) -> dict[object, object]:
    """Make the dict; Python 2 gives the items as one argument, a list of pairs."""
    result: dict[object, object] = {}
    if not arguments:
        return result
    (pairs,) = arguments if len(arguments) == 1 else (None,)
    if type(pairs) is not list:
        raise machine.fault("makes an OrderedDict of something that is not a list of pairs")
    # The same list may be used again and again: what it costs has to count.
    machine.count(len(pairs))
    for pair in pairs:
        if type(pair) not in (list, tuple) or len(pair) != 2:
            raise machine.fault("makes an OrderedDict of something that is not a list of pairs")
        _set_one(machine, result, pair[0], pair[1])
    return result


def _persistent(machine: PickleMachine) -> None:
    key = machine.pop()
    if type(key) is tuple and len(key) == 4 and type(key[0]) is str and key[0] == "module":
        # Before 1.6, torch put the source of a model's class beside the class.
        machine.push(key[1] if isinstance(key[1], Name) else Opaque(Name("?", "?")))
        return
    reference = Persistent(key)
    machine.references.append(reference)
    machine.push(reference)


def _build(machine: PickleMachine) -> None:
    state, target = machine.pop(), machine.peek()
    if isinstance(target, Opaque):
        machine.opaque(target.name, state if isinstance(state, tuple) else ())
        return
    if isinstance(target, Call):
        if target.state is not None:
            raise machine.fault(f"sets the state of {printable(str(target.function))} twice")
        target.state = state
    elif type(target) is not dict:
        # On a dict it is torch's note of module versions. It is dropped, never set as attributes.
        raise machine.fault(f"sets the state of a {type(target).__name__}")


def _instance(machine: PickleMachine) -> None:
    name = machine.name(machine.line(), machine.line())
    machine.push(machine.opaque(name, machine.pop_group()))


def _new_object(taken: int) -> Handler:
    """The class, then `taken` values that it would be built from; 0: all others of the open group."""

    def handle(machine: PickleMachine) -> None:
        group = machine.pop_group() if not taken else [machine.pop() for _ in range(taken)][::-1]
        kind = group[0] if group else None
        if not isinstance(kind, Name | Opaque):
            raise machine.fault("builds an object of something that is not a name")
        name = kind.name if isinstance(kind, Opaque) else kind
        machine.push(machine.opaque(name, group))

    return handle


def _set_of(machine: PickleMachine, name: Name, items: list[object]) -> None:
    machine.skipped[str(name)] = None
    machine.push(machine.opaque(name, items))


def _extension(layout: str) -> Handler:
    """A number that stands for a name in a table of the writer's: it cannot be known to be harmless."""
    packed = struct.Struct(layout)

    def handle(machine: PickleMachine) -> None:
        name = Name("extension code", str(machine.number(packed)))
        machine.refused[f"{name} (EXT)"] = None
        machine.push(Opaque(name))

    return handle


_KEYS: dict[type, str] = {
    **{int: "a large number", float: "a fraction", bool: "true or false", type(None): "None"},
    **{tuple: "a tuple", bytes: "bytes", LongText: "a long text"},
}


HANDLERS: dict[int, Handler] = {
    ord("N"): _constant(None),
    0x88: _constant(True),
    0x89: _constant(False),
    ord("J"): _integer("<i"),
    ord("K"): _integer("<B"),
    ord("M"): _integer("<H"),
    0x8A: _long,
    0x8B: _very_long,
    ord("G"): _float,
    ord("X"): _text("<I", "utf-8"),
    0x8C: _text("<B", "utf-8"),
    ord("U"): _text("<B", "latin-1"),
    ord("T"): _text("<I", "latin-1"),
    ord("C"): _bytes("<B"),
    ord("B"): _bytes("<I"),
    0x8E: _bytes("<Q"),
    0x96: _bytes("<Q"),
    0x95: _frame,
    ord("("): _mark,
    ord("0"): _drop,
    ord("1"): _drop_group,
    ord(")"): _constant(()),
    0x85: _tuple_of(1),
    0x86: _tuple_of(2),
    0x87: _tuple_of(3),
    ord("t"): lambda machine: machine.push(tuple(machine.pop_group())),
    ord("]"): lambda machine: machine.push([]),
    ord("a"): _append,
    ord("e"): lambda machine: _extend(machine, machine.pop_group()),
    ord("}"): lambda machine: machine.push({}),
    ord("s"): _set_item,
    ord("u"): lambda machine: _set_items(machine, machine.pop_group()),
    ord("q"): _put("<B"),
    ord("r"): _put("<I"),
    0x94: _memoize,
    ord("h"): _get("<B"),
    ord("j"): _get("<I"),
    ord("c"): _global,
    0x93: _stack_global,
    ord("R"): _reduce,
    ord("b"): _build,
    ord("Q"): _persistent,
    0x8F: lambda machine: _set_of(machine, _SET, []),
    0x90: lambda machine: _extend(machine, machine.pop_group()),
    0x91: lambda machine: _set_of(machine, _FROZEN_SET, machine.pop_group()),
    ord("i"): _instance,
    ord("o"): _new_object(0),
    0x81: _new_object(2),
    0x92: _new_object(3),
    0x82: _extension("<B"),
    0x83: _extension("<H"),
    0x84: _extension("<i"),
}
