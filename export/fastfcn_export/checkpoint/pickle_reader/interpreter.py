"""Walk the opcodes of a pickle without running anything it names.

A pickle is a program for a stack machine. This is such a machine without the dangerous half: a name
becomes an inert `Name`, a call that tensors need an inert `Call`, and whatever else would be built an
`Opaque`, of which only the name is kept. It knows the opcodes that checkpoints are written with and
refuses the rest. Python's own unpickler is not used at all, not even subclassed: nine bytes make
it ask for gigabytes (a memo index of 2^32).
"""

from collections.abc import Collection

from fastfcn_export.checkpoint.pickle_reader.machine import PickleMachine
from fastfcn_export.checkpoint.pickle_reader.opcodes import HANDLERS
from fastfcn_export.checkpoint.pickle_reader.records import Name, Pickle
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import listing, printable

_PROTOCOLS = range(2, 6)
_STOP = ord(".")
_PROTO = 0x80

_REFUSED_OPCODES = {
    "2": "DUP", "F": "FLOAT", "I": "INT", "L": "LONG", "P": "PERSID",
    "S": "STRING", "V": "UNICODE", "d": "DICT", "g": "GET", "l": "LIST", "p": "PUT",
    "\x80": "PROTO", "\x8d": "BINUNICODE8", "\x97": "NEXT_BUFFER", "\x98": "READONLY_BUFFER",
}  # fmt: skip


def read_pickle(data: memoryview, start: int, allowed: Collection[Name]) -> Pickle:
    """Walk one pickle.

    Args:
        data: bytes of the file, read-only; long byte strings of the result are slices of it.
        start: where the pickle begins.
        allowed: the names that this kind of file needs.

    Returns:
        What the pickle describes, with a record (`Name`, `Call`, `Persistent`, `Opaque`, `LongText`) where
        it names code, calls it, refers to a storage, builds anything else or holds long text.

    Raises:
        CheckpointError: it names code that could do harm (all such names are listed; see `names`), uses
            an opcode that no checkpoint needs, is cut off, contradicts itself or is larger than any
            checkpoint.
    """
    machine = PickleMachine(data, start, allowed)
    try:
        value = _walk(machine)
        machine.refused.update(dict.fromkeys(map(str, machine.unexplained)))
    except CheckpointError as error:
        machine.refused.update(dict.fromkeys(map(str, machine.unexplained)))
        if machine.refused:
            raise CheckpointError(
                f"{_refusal(list(machine.refused))} Besides, it {error}"
            ) from error
        raise
    if machine.refused:
        raise CheckpointError(_refusal(list(machine.refused)))
    return Pickle(value, machine.position, tuple(machine.references), tuple(machine.skipped))


def first_opcode(head: bytes) -> int | None:
    """The opcode after the protocol and the frame of a pickle of protocol 2 to 5; None if it is none."""
    if len(head) < 3 or head[0] != _PROTO or head[1] not in _PROTOCOLS:
        return None
    after_frame = 2 + 9 if head[2] == 0x95 else 2
    return head[after_frame] if len(head) > after_frame else None


def _refusal(names: list[str]) -> str:
    listed = listing([printable(name) for name in names])
    return (
        f"names code that a checkpoint has no need of: {listed}. Nothing was run. Expected tensors "
        "and plain values only: if you trust its origin, load it where it was made, save the model's "
        "state_dict alone, and read that."
    )


def _walk(machine: PickleMachine) -> object:
    if first_opcode(bytes(machine.data[machine.position : machine.position + 12])) is None:
        raise machine.fault("is not a pickle of protocol 2 to 5")
    machine.position += 2
    while (opcode := machine.take(1)[0]) != _STOP:
        handler = HANDLERS.get(opcode)
        if handler is None:
            name = _REFUSED_OPCODES.get(chr(opcode), "an unknown one")
            raise machine.fault(f"uses opcode {opcode:#04x} ({name}), which no checkpoint needs")
        machine.count(1)
        handler(machine)
    value = machine.pop()
    if machine.stack or machine.marks:
        raise machine.fault(f"ends with {len(machine.stack) + 1} values; expected one")
    return value
