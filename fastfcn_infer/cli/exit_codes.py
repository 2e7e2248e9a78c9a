"""The exit codes of the commands, and which error gives which code."""

import contextlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator

from fastfcn_infer.cli import streams
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
    UploadError,
    VerificationError,
    WriteError,
    WrongLabels,
)
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.writing import DISK_ERRORS

FINE = 0
BUG = 1
USAGE = 2
SOME_FAILED = 3
NOT_VERIFIED = 4
NO_RUNTIME = 5
BAD_FILE = 6
TOO_DIFFERENT = 7  # from what it was compared with: slower, or other labels, than allowed
STOPPED = 8
NOT_WRITTEN = 9
INTERRUPTED = 130
PIPE_CLOSED = 141

_LONGEST_PATH = 1000  # characters of it in a message

Codes = tuple[tuple[type[Exception], int], ...]

_CODES: Codes = (
    (WriteError, NOT_WRITTEN),
    (UnknownName, USAGE),
    (VerificationError, NOT_VERIFIED),
    (WrongLabels, NOT_VERIFIED),
    (BackendError, NO_RUNTIME),
    (ArtifactError, BAD_FILE),
    (CheckpointError, BAD_FILE),
    (ImageError, SOME_FAILED),
    (DatasetError, SOME_FAILED),
    (DownloadError, SOME_FAILED),
    (UploadError, SOME_FAILED),
    (EvaluationError, USAGE),
    (FastFCNError, BUG),
    (OSError, USAGE),
    (ValueError, USAGE),
    (MemoryError, SOME_FAILED),
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
    with streams.lossless_output(as_json=as_json):
        try:
            try:
                with _warnings_as_lines():
                    code = _complete(command)
            except BrokenPipeError:
                raise
            except KeyboardInterrupt as error:
                what = ": ".join(["interrupted", *map(str, error.args)])
                print(what, file=sys.stderr)  # noqa: T201 - commands print
                code = INTERRUPTED
            except (FastFCNError, OSError, ValueError, MemoryError) as error:
                code = _code(error, (*more, *_CODES))
                _report(error, code, as_json=as_json, program=program)
            streams.flush()
        except BrokenPipeError:  # the reader (head, less) closed the pipe
            streams.drop_unwritable()
            code = PIPE_CLOSED
    return code


def _complete(command: Callable[[], int]) -> int:
    """Run a command until everything that it printed is written."""
    try:
        code = command()
    except SystemExit:  # of --help and --version
        streams.flush()
        raise
    streams.flush()
    return code


def _code(error: Exception, codes: Codes) -> int:
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        return NOT_WRITTEN
    return next(code for kind, code in codes if isinstance(error, kind))


def _report(error: Exception, code: int, *, as_json: bool, program: str) -> None:
    """Print an error that was raised on purpose."""
    name, message = type(error).__name__, _text(error)
    try:
        if as_json:
            report = {"error": name, "code": code, "message": message}
            print(json.dumps(report, ensure_ascii=False))  # noqa: T201 - commands print
        streams.flush()
    except BrokenPipeError:
        raise
    except OSError:  # the disk behind it is full
        streams.drop_unwritable()
        message, as_json = f"standard output cannot be written: {message}", False
    if not as_json:
        typed = isinstance(error, (FastFCNError, OSError, MemoryError))
        what = name if typed else f"{program}: error"
        print(f"{what}: {message}", file=sys.stderr)  # noqa: T201 - commands print


def _text(error: Exception) -> str:
    """Return an error's message; of the operating system's, the file first and no number."""
    if isinstance(error, MemoryError):
        what = f" ({printable(str(error), 300)})" if str(error) else ""
        return f"this needs more memory than there is, or than a limit allows (ulimit -v){what}"
    if isinstance(error, OSError) and type(error).__str__ is OSError.__str__:
        parts = (error.filename, error.strerror)
        words = [str(part)[:_LONGEST_PATH] for part in parts if part is not None]
        return ": ".join(words) or str(error)
    return str(error)


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
