"""The interpreter understands plain values as Python's own unpickler does, and nothing else."""

import pickle
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfcn_export.checkpoint.pickle_reader.interpreter import first_opcode, read_pickle
from fastfcn_export.checkpoint.pickle_reader.machine import MAX_NAME, MAX_OPCODES
from fastfcn_export.checkpoint.pickle_reader.records import Call, LongText, Name, latin1_bytes
from fastfcn_infer.errors import CheckpointError

PROTOCOLS = st.integers(2, 5)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**120), 2**120)
    | st.floats(allow_nan=False)
    | st.text(max_size=200),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner, inner, inner)
        | st.tuples(inner)
        | st.dictionaries(
            st.text(max_size=5) | st.integers(-(2**31) + 1, 2**31 - 1), inner, max_size=4
        )
    ),
    max_leaves=30,
)
SYSTEM = Name("os", "system")


def read(data: bytes, *allowed: Name) -> Any:
    return read_pickle(memoryview(data), 0, allowed).value


@given(value=PLAIN, protocol=PROTOCOLS)
def test_plain_values_are_read_as_pickle_reads_them(value: object, protocol: int) -> None:
    assert read(pickle.dumps(value, protocol)) == value


@given(value=st.binary(max_size=600), protocol=st.integers(3, 5))
def test_bytes_are_read_as_they_are(value: bytes, protocol: int) -> None:
    assert bytes(read(pickle.dumps(value, protocol))) == value


@given(value=st.binary(max_size=3000))
def test_bytes_that_protocol_2_writes_as_text_are_given_back(value: bytes) -> None:
    found = read(pickle.dumps(value, 2), Name("_codecs", "encode"), Name("__builtin__", "bytes"))
    assert isinstance(found, Call)
    assert bytes(latin1_bytes(found.arguments[0]) if found.arguments else b"") == value  # type: ignore[arg-type]


def test_a_value_that_is_used_twice_is_the_same_object_both_times() -> None:
    inner = [1]
    first, second = read(pickle.dumps([inner, inner], 4))
    assert first is second


def test_long_bytes_are_a_view_of_the_file() -> None:
    data = memoryview(pickle.dumps(bytes(1000), 4))
    found = read_pickle(data, 0, ()).value
    assert isinstance(found, memoryview)
    assert found.obj is data.obj


@pytest.mark.parametrize("length", [MAX_NAME, MAX_NAME + 1])
def test_text_is_decoded_only_where_it_may_be_a_name(length: int) -> None:
    found = read(pickle.dumps("a" * length, 4))
    assert isinstance(found, str if length <= MAX_NAME else LongText)


def test_an_allowed_name_is_a_name_and_never_the_thing() -> None:
    assert read(b"\x80\x02cos\nsystem\n.", SYSTEM) == SYSTEM
    found = read(b"\x80\x02cos\nsystem\n)R.", SYSTEM)
    assert isinstance(found, Call)
    assert (found.function, found.arguments, found.state) == (SYSTEM, (), None)


def test_a_pickle_may_begin_and_end_within_other_data() -> None:
    found = read_pickle(memoryview(b"before\x80\x02K\x07.after"), 6, ())
    assert (found.value, found.end) == (7, 11)


@given(value=PLAIN, protocol=PROTOCOLS)
def test_a_pickle_cut_anywhere_is_refused(value: object, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    for length in range(0, len(data), max(1, len(data) // 20)):
        with pytest.raises(CheckpointError):
            read(data[:length])


def test_every_byte_is_an_opcode_that_is_handled_or_refused_by_a_checkpoint_error() -> None:
    for opcode in range(256):
        for before in (b"", b"N", b"(", b"](", b"}(", b"cos\nsystem\n)", b"}NN", b"(NN"):
            try:
                read(b"\x80\x04" + before + bytes([opcode]) + bytes(9) + b".")
            except CheckpointError as error:
                assert str(error)


def test_more_steps_than_any_checkpoint_needs_are_refused() -> None:
    with pytest.raises(CheckpointError, match="steps"):
        read(b"\x80\x02]" + b"Na" * (MAX_OPCODES // 2 + 1) + b".")


@pytest.mark.parametrize(
    ("head", "opcode"),
    [
        (b"\x80\x02}", ord("}")),
        (b"\x80\x04\x95" + struct.pack("<Q", 3) + b"}", ord("}")),
        (b"\x80\x02\x8a\x0a", 0x8A),
        (b"\x80\x01}", None),
        (b"\x80\x06}", None),
        (b"\x80\x02", None),
        (b"\x80\x04\x95\x00", None),
        (b"PK\x03\x04", None),
        (b"", None),
    ],
)
def test_the_first_opcode_is_found_behind_protocol_and_frame(
    head: bytes, opcode: int | None
) -> None:
    assert first_opcode(head) == opcode
