"""Warnings that point at the user's line, however deep in these packages they arise."""

import sys
import warnings
from types import FrameType

# contextlib stands between two functions of ours where one of them is a context manager.
_PASSED = ("fastfcn_infer", "fastfcn_export", "fastfcn_training", "contextlib")


def warn(message: str, category: type[Warning] = RuntimeWarning) -> None:
    """Warn the first caller outside this distribution's packages.

    Args:
        message: for people.
        category: of the warning.
    """
    frame = sys._getframe()
    while frame.f_back is not None and _package(frame) in _PASSED:
        frame = frame.f_back
    warnings.warn_explicit(
        message,
        category,
        filename=frame.f_code.co_filename,
        lineno=frame.f_lineno,
        module=str(frame.f_globals.get("__name__", "<unknown>")),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _package(frame: FrameType) -> str:
    # A module that is run as a program (python -m) is called __main__; its spec has its name.
    spec = frame.f_globals.get("__spec__")
    name = getattr(spec, "name", None) or frame.f_globals.get("__name__") or ""
    return str(name).partition(".")[0]
