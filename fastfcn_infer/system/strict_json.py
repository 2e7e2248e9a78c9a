"""Untrusted JSON as plain data: no name twice, and every refusal a ValueError.

Python's own reader takes the last of two values of one name, and stops with a RecursionError where a
text is nested thousands deep. Like it, this one reads NaN and Infinity: a caller that expects a number
checks that it is finite, and can say where one is not.
"""

import json
from typing import Any

from fastfcn_infer.system.excerpt import excerpt


def parse(text: str | bytes) -> object:
    """Read one document.

    Args:
        text: as text, or as bytes of UTF-8, UTF-16 or UTF-32.

    Raises:
        ValueError: it is not JSON, has a name twice in one object, holds an integer of thousands of
            digits, or is nested too deep.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"an object has the name {excerpt(name)} twice")
            seen.add(name)
    return found
