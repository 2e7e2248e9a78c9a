"""Write JSON that may hold the names of files, which need not be text."""

import json


def json_bytes(content: object, *, indent: int | None = None) -> bytes:
    """Write JSON as UTF-8, with a line feed at the end.

    Bytes of a file's name that are not UTF-8, which Python has as surrogates, become escapes, which readers of
    JSON turn back.

    Args:
        content: what `json.dumps` takes.
        indent: spaces of a level; None: all in one line.
    """
    text = json.dumps(content, ensure_ascii=False, indent=indent)
    return (text + "\n").encode("utf-8", "backslashreplace")
