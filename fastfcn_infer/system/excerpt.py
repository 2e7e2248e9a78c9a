"""Quote values from files in messages: only a bounded part of each, however large it is.

A file may hold a text of megabytes, a list that holds itself, or aliases that unfold to billions of
values. Neither the message nor the work of writing it may grow with them, so nothing here writes
out a whole value and cuts it afterwards.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from datetime import date
from pathlib import Path

MOST_LISTED = 100
MOST_CHARACTERS = 10_000
"""How many items of a list a message shows at most, and how long they are together."""
_LIMIT = 200
_DEEPEST = 4
_MOST_BITS = 13_000  # of a number that is written out: less than Python's limit of 4300 digits
_CUT = "..."
_Leaf = Callable[[object], str]


def excerpt(value: object, limit: int = _LIMIT) -> str:
    """Write a value as Python would, but no more than the beginning of it.

    Args:
        value: anything; plain data is written out, other objects by the name of their type.
        limit: of the result, characters; 10 or more.

    Returns:
        One line of printable characters.
    """
    return _cut(_written(value, limit, _DEEPEST, repr), limit)


def json_excerpt(value: object, limit: int = _LIMIT) -> str:
    """Write a value as JSON would, but no more than the beginning of it; see `excerpt`."""
    return _cut(_written(value, limit, _DEEPEST, _json), limit)


def printable(text: str, limit: int = _LIMIT) -> str:
    """Write a name or another library's message, without quotes: cut, and escaped where not printable.

    Args:
        text: of any length.
        limit: of the result, characters; 10 or more.
    """
    beginning = text[: limit + 1]
    if not beginning.isprintable():
        beginning = "".join(
            letter if letter.isprintable() else ascii(letter)[1:-1] for letter in beginning
        )
    return _cut(beginning, limit)


def name_of(path: Path) -> str:
    """Return the name of a file or folder as text that UTF-8 can hold, whatever this system calls its letters."""
    return os.fsencode(path.name).decode("utf-8", "replace")


def listing(items: Sequence[str], separator: str = ", ", most: int = MOST_LISTED) -> str:
    """Join the first items, and say how many more there are.

    Args:
        items: each one short already; see `excerpt` and `printable`.
        separator: between them.
        most: how many are shown, unless they are longer than `MOST_CHARACTERS`.
    """
    shown: list[str] = []
    left = MOST_CHARACTERS
    for item in items[:most]:
        left -= len(item) + len(separator)
        if left < 0:
            break
        shown.append(item)
    if len(shown) < len(items):
        shown.append(f"... and {len(items) - len(shown)} more")
    return separator.join(shown)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - len(_CUT)] + _CUT


def _json(value: object) -> str:
    return json.dumps(value, default=str)


def _written(value: object, limit: int, depth: int, leaf: _Leaf) -> str:
    """Write a value; of a long one at least `limit` characters, and not many more."""
    if isinstance(value, str):
        # Python chooses the quotes by all of a text: those of the rest are repeated after the beginning.
        if len(value) > limit:
            value = value[: limit + 1] + "".join(quote for quote in "'\"" if quote in value)
        return leaf(value)
    if isinstance(value, bytes | bytearray | memoryview):
        beginning = bytes(value[: limit + 1])
        if len(value) > limit:
            beginning += bytes(quote for quote in b"'\"" if quote in value)
        return repr(beginning)
    if isinstance(value, Mapping | tuple | list | Set):
        return _container(value, limit, depth, leaf)
    if isinstance(value, os.PathLike):
        return _written(os.fspath(value), limit, depth, leaf)
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return f"a number of about {int(value.bit_length() * 0.30103) + 1} digits"
    plain = value is None or isinstance(value, int | float | date)
    return leaf(value) if plain else f"<{type(value).__name__}>"


def _container(
    value: Mapping[object, object] | Sequence[object] | Set[object],
    limit: int,
    depth: int,
    leaf: _Leaf,
) -> str:
    items: Iterable[str]
    if not depth:
        items = (_CUT,) if value else ()
    elif isinstance(value, Mapping):
        items = _pairs(value, limit, depth - 1, leaf)
    else:
        items = (_written(item, limit, depth - 1, leaf) for item in value)
    opening, closing = "[]" if isinstance(value, list) else "{}"
    if isinstance(value, tuple):
        opening, closing = "(", ",)" if len(value) == 1 else ")"
    text = opening
    for item in items:
        text += item if text == opening else f", {item}"
        if len(text) > limit:  # the rest is never looked at
            return text
    return text + closing


def _pairs(value: Mapping[object, object], limit: int, depth: int, leaf: _Leaf) -> Iterator[str]:
    for key, item in value.items():
        yield f"{_written(key, limit, depth, leaf)}: {_written(item, limit, depth, leaf)}"
