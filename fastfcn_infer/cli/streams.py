"""Standard output that loses nothing: whatever its encoding, and if its reader or its disk gives out."""

import codecs
import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator


def _as_json(error: UnicodeError) -> tuple[str, int]:
    """Write letters that an encoding lacks as JSON escapes; outside strings JSON has none of them."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def _as_text(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write undecodable bytes of a file's name as they were, other letters as Python escapes."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.backslashreplace_errors(error)


codecs.register_error("fastfcn-json", _as_json)
codecs.register_error("fastfcn-text", _as_text)


@contextlib.contextmanager
def lossless_output(*, as_json: bool = False) -> Iterator[None]:
    """Let standard output take every letter.

    Args:
        as_json: what is printed is JSON, so that it is in UTF-8: if standard output has another
            encoding, only ASCII is written. Else letters that the encoding lacks are escaped.
    """
    stream = sys.stdout
    if not isinstance(stream, io.TextIOWrapper):  # none, or replaced by something that takes text
        yield
        return
    encoding, errors = stream.encoding, stream.errors
    if as_json:
        utf8 = codecs.lookup(encoding).name == "utf-8"
        stream.reconfigure(encoding=encoding if utf8 else "ascii", errors="fastfcn-json")
    else:
        stream.reconfigure(errors="fastfcn-text")
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):  # it cannot be written, or was closed
            stream.reconfigure(encoding=encoding, errors=errors)


def flush() -> None:
    """Write what is still in memory.

    Raises:
        OSError: a stream cannot be written.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def drop_unwritable() -> None:
    """Direct streams that cannot be written to nowhere, as Python would fail on them when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            with contextlib.suppress(OSError):  # it has no descriptor
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
