"""JSON is read as Python's own reader reads it, or refused with a ValueError."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfcn_infer.system.strict_json import parse

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_what_is_json_is_read(data: object) -> None:
    text = json.dumps(data)
    assert parse(text) == data
    assert parse(text.encode()) == data


def test_infinities_are_left_to_the_caller_who_can_say_where_they_are() -> None:
    assert parse("[Infinity, -Infinity]") == [math.inf, -math.inf]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 2}', "the name 'a' twice"),
        ('{"b": {"a": 1, "\\u0061": 1}}', "the name 'a' twice"),
        ("[" * 100_000, "nested too deep"),
        ('{"a":' * 100_000, "nested too deep"),
        ("9" * 5000, "digits"),
        ('{"' + "k" * 1_000_000 + '": 1, "' + "k" * 1_000_000 + '": 1}', "twice"),
        ("", "Expecting value"),
        ("[1,]", "Expecting value|Illegal trailing comma"),
        (b"\xff\xfe\x00", "decode"),
    ],
)
def test_what_is_not_clear_is_refused_in_a_short_message(text: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        parse(text)
    assert len(str(caught.value)) < 400
