"""What each opcode of a pickle does to the machine, for the opcodes that checkpoints are written with.

Source: the opcodes as Python's `pickletools` documents them.
"""

import struct
from collections.abc import Callable

from fastfcn_export.checkpoint.pickle_reader.machine import MAX_MARKS, PickleMachine
from fastfcn_export.checkpoint.pickle_reader.records import Call, Name, Persistent
from fastfcn_infer.system.excerpt import excerpt, printable

_ORDERED_DICT = Name("collections", "OrderedDict")
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
    length = machine.take(1)[0]
    if length > 16:
        raise machine.fault(f"has an integer of {length} bytes; at most 16 are read")
    machine.push(int.from_bytes(machine.take(length), "little", signed=True))


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


def _tuple_of(length: int) -> Handler:
    def handle(machine: PickleMachine) -> None:
        machine.push(tuple(reversed([machine.pop() for _ in range(length)])))

    return handle


def _append(machine: PickleMachine) -> None:
    _extend(machine, [machine.pop()])


def _extend(machine: PickleMachine, items: list[object]) -> None:
    container = machine.peek()
    if type(container) is not list:
        raise machine.fault(f"appends to a {type(container).__name__}; expected a list")
    container.extend(items)


def _set_item(machine: PickleMachine) -> None:
    value, key = machine.pop(), machine.pop()
    _set_items(machine, [key, value])


def _set_items(machine: PickleMachine, items: list[object]) -> None:
    container = machine.peek()
    if type(container) is not dict:
        raise machine.fault(f"sets items of a {type(container).__name__}; expected a dict")
    if len(items) % 2:
        raise machine.fault("has a key without a value")
    for key, value in zip(items[::2], items[1::2], strict=True):
        _set_one(machine, container, key, value)


def _set_one(
    machine: PickleMachine, container: dict[object, object], key: object, value: object
) -> None:
    # A file could choose large numbers so that all have one hash, which makes a dict crawl.
    if type(key) is not str and not (type(key) is int and abs(key) < _MAX_KEY):
        raise machine.fault(
            f"has a key of type {type(key).__name__}; expected a short text or a small number"
        )
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
    if not isinstance(function, Name) or type(arguments) is not tuple:
        raise machine.fault("calls something that is not a name")
    # A real dict, because the items follow in further opcodes.
    ordered = function == _ORDERED_DICT
    machine.push(_ordered_dict(machine, arguments) if ordered else Call(function, arguments))


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
    reference = Persistent(machine.pop())
    machine.references.append(reference)
    machine.push(reference)


def _build(machine: PickleMachine) -> None:
    state, target = machine.pop(), machine.peek()
    if isinstance(target, Call):
        if target.state is not None:
            raise machine.fault(f"sets the state of {printable(str(target.function))} twice")
        target.state = state
    elif type(target) is not dict:
        # On a dict it is torch's note of module versions. It is dropped, never set as attributes.
        raise machine.fault(f"sets the state of a {type(target).__name__}")


def _foreign(machine: PickleMachine, name: Name, how: str) -> None:
    """Note an object that is built in a way no checkpoint needs, and continue, so that all others are listed too."""
    machine.refused[f"{name} ({how})"] = None
    machine.push(Call(name, ()))


def _instance(machine: PickleMachine) -> None:
    module, attribute = machine.line(), machine.line()
    machine.pop_group()
    _foreign(machine, Name(module, attribute), "INST")


def _new_object(taken: int) -> Handler:
    def handle(machine: PickleMachine) -> None:
        group = [machine.pop() for _ in range(taken)] if taken else machine.pop_group()[:1]
        names = [item for item in group if isinstance(item, Name)]
        _foreign(machine, names[-1] if names else Name("?", "?"), "built by NEWOBJ or OBJ")

    return handle


def _extension(layout: str) -> Handler:
    packed = struct.Struct(layout)
    return lambda machine: _foreign(
        machine, Name("extension code", str(machine.number(packed))), "EXT"
    )


HANDLERS: dict[int, Handler] = {
    ord("N"): _constant(None),
    0x88: _constant(True),
    0x89: _constant(False),
    ord("J"): _integer("<i"),
    ord("K"): _integer("<B"),
    ord("M"): _integer("<H"),
    0x8A: _long,
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
    # Refused, but read over, so that the message lists every name.
    ord("i"): _instance,
    ord("o"): _new_object(0),
    0x81: _new_object(2),
    0x92: _new_object(3),
    0x82: _extension("<B"),
    0x83: _extension("<H"),
    0x84: _extension("<i"),
}
