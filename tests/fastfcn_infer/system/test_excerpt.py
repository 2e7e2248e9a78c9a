"""A value of any size or shape is written as Python would write it, and never more than a part of it."""

import datetime
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastfcn_infer.system.excerpt import excerpt, json_excerpt, listing, printable

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
PLAIN = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.integers() | st.text(), inner)
    ),
    max_leaves=20,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list | tuple) else 0


@given(PLAIN)
def test_a_short_value_is_written_as_python_writes_it(value: object) -> None:
    if depth(value) <= 4 and len(repr(value)) <= 200:
        assert excerpt(value) == repr(value)


@given(JSON)
def test_a_short_value_is_written_as_json_writes_it(value: object) -> None:
    if depth(value) <= 4 and len(json.dumps(value)) <= 200:
        assert json_excerpt(value) == json.dumps(value)


@given(PLAIN, st.integers(10, 300))
@example("0000000000'\"", 10)
@example("'" + "0" * 10 + '"', 10)
@example([b"0000000000'"], 10)
@example({"'" + "0" * 300: '"'}, 300)
def test_what_is_cut_is_a_beginning_and_fits_the_limit(value: object, limit: int) -> None:
    text = excerpt(value, limit)
    assert len(text) <= limit
    assert text.isprintable()
    if depth(value) <= 4 and text.endswith("...") and len(text) == limit:
        assert repr(value).startswith(text[:-3])


@given(st.text(), st.integers(10, 300))
def test_a_name_stays_as_it_is_where_it_is_short_and_printable(name: str, limit: int) -> None:
    text = printable(name, limit)
    assert len(text) <= limit
    assert text.isprintable()
    if name.isprintable() and len(name) <= limit:
        assert text == name


def itself() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def doubled() -> object:
    value: object = "x"
    for _ in range(100):
        value = [value, value]
    return value


def nested(levels: int) -> object:
    value: object = 0
    for _ in range(levels):
        value = [value]
    return value


class Unending(Mapping[str, int]):
    """A mapping whose end is never reached."""

    def __getitem__(self, key: str) -> int:
        return 0

    def __iter__(self) -> Iterator[str]:
        return (str(number) for number in itertools.count())

    def __len__(self) -> int:
        return 1 << 40


class Loud:
    """Something that must not be asked for its own text."""

    def __repr__(self) -> str:
        raise AssertionError("asked for its text")


WITHOUT_END: dict[str, Callable[[], object]] = {
    "a long text": lambda: "x" * 10_000_000,
    "long bytes": lambda: bytes(10_000_000),
    "a long text to escape": lambda: "\0" * 10_000_000,
    "a large number": lambda: 10**100_000,
    "a large negative number": lambda: -(10**100_000),
    "a long list": lambda: [0] * 5_000_000,
    "long lists in a list": lambda: [[0] * 1000] * 1000,
    "a long key of a long value": lambda: {"k" * 1_000_000: "v" * 1_000_000},
    "a list of itself": itself,
    "lists doubled": doubled,
    "lists in each other": lambda: nested(100_000),
    "a mapping without an end": Unending,
    "something without a text": Loud,
    "many of them": lambda: [Loud()] * 1000,
    "a long path": lambda: Path("x" * 100_000),
}


@pytest.mark.parametrize("make", WITHOUT_END.values(), ids=WITHOUT_END)
@pytest.mark.parametrize("write", [excerpt, json_excerpt])
def test_a_value_without_end_is_written_in_one_short_line(
    make: Callable[[], object], write: Callable[[object], str]
) -> None:
    text = write(make())
    assert 0 < len(text) <= 200
    assert text.isprintable()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((64,), "(64,)"), ((), "()"), ({1}, "{1}"), (Path("a/b"), "'a/b'"), (datetime.date(2020, 1, 2), "datetime.date(2020, 1, 2)"),
        (object(), "<object>"), ([[[[[1]]]]], "[[[[[...]]]]]"), ([[[[[]]]]], "[[[[[]]]]]"),
        ("\x1b[31m", r"'\x1b[31m'"), (10**5000, "a number of about 5001 digits"),
    ],
    ids=range(10),
)  # fmt: skip
def test_some_values_and_their_texts(value: object, text: str) -> None:
    assert excerpt(value) == text


def test_a_listing_shows_the_first_and_counts_the_rest() -> None:
    names = [str(number) for number in range(7)]
    assert listing(names, most=7) == "0, 1, 2, 3, 4, 5, 6"
    assert listing(names, most=2) == "0, 1, ... and 5 more"
    assert listing(names, "\n  ", 1) == "0\n  ... and 6 more"
    assert listing([]) == ""
