"""The exit codes of the commands, and which error gives which code."""

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator

from fastfcn_infer.errors import (
    ArtifactError,
    BackendError,
    CheckpointError,
    DatasetError,
    DownloadError,
    EvaluationError,
    FastFCNError,
    ImageError,
    UnknownName,
    VerificationError,
)

FINE = 0
BUG = 1
USAGE = 2
SOME_FAILED = 3
NOT_VERIFIED = 4
NO_RUNTIME = 5
BAD_FILE = 6
TOO_SLOW = 7
STOPPED = 8
INTERRUPTED = 130
PIPE_CLOSED = 141

Codes = tuple[tuple[type[Exception], int], ...]

_CODES: Codes = (
    (UnknownName, USAGE),
    (VerificationError, NOT_VERIFIED),
    (BackendError, NO_RUNTIME),
    (ArtifactError, BAD_FILE),
    (CheckpointError, BAD_FILE),
    (ImageError, SOME_FAILED),
    (DatasetError, SOME_FAILED),
    (DownloadError, SOME_FAILED),
    (EvaluationError, USAGE),
    (FastFCNError, BUG),
    (OSError, USAGE),
    (ValueError, USAGE),
)


def run(
    command: Callable[[], int], *, as_json: bool, program: str = "fastfcn", more: Codes = ()
) -> int:
    """Run a command; an error that was raised on purpose becomes a message and an exit code.

    Any other error is a bug of ours and keeps its traceback.

    Args:
        command: returns its exit code.
        as_json: print the error as one JSON object on stdout; else as a line on stderr.
        program: the command's name, which the line of a wrong command line begins with.
        more: errors of packages that the SDK does not know, and their codes.
    """
    try:
        with _warnings_as_lines():
            code = command()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader (head, less) closed the pipe; Python must not fail when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt as error:
        what = ": ".join(["interrupted", *map(str, error.args)])
        print(what, file=sys.stderr)  # noqa: T201 - commands print
        return INTERRUPTED
    except (FastFCNError, OSError, ValueError) as error:
        code = next(code for kind, code in (*more, *_CODES) if isinstance(error, kind))
        name = type(error).__name__
        if as_json:
            report = {"error": name, "code": code, "message": str(error)}
            print(json.dumps(report, ensure_ascii=False))  # noqa: T201 - commands print
        else:
            typed = isinstance(error, (FastFCNError, OSError))
            what = name if typed else f"{program}: error"
            print(f"{what}: {error}", file=sys.stderr)  # noqa: T201 - commands print
        return code


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Print warnings as commands print errors, without the line of code that they point at."""
    before = warnings.formatwarning

    def line(message: Warning | str, *_: object, **__: object) -> str:
        return f"warning: {message}\n"

    warnings.formatwarning = line
    try:
        yield
    finally:
        warnings.formatwarning = before
