"""What ONNX Runtime needs done around the opening of a session; it is not imported here."""

import contextlib
from collections.abc import Iterator
from typing import Any

from fastfcn_infer.runtime.loading import ONCE

# Log severities; errors arrive as exceptions, and are not printed, too.
_WARNINGS, FATAL_ONLY = 2, 4


def load_libraries(onnxruntime: Any) -> None:
    """Find CUDA and cuDNN where pip put them; since ONNX Runtime 1.21."""
    with ONCE:
        if hasattr(onnxruntime, "preload_dlls") and "print" not in vars(onnxruntime):
            # It prints what it does not find, and whether the provider starts is checked later.
            # Only its own `print` is replaced: `redirect_stdout` would take other threads' output.
            onnxruntime.print = lambda *_, **__: None
            onnxruntime.preload_dlls()


@contextlib.contextmanager
def quiet(onnxruntime: Any) -> Iterator[None]:
    """Keep what ONNX Runtime logs apart from sessions off the terminal while one is opened.

    Its binding warns about "plugin EP devices" whenever a GPU is named. The level is one of the process
    and cannot be asked for; afterwards it is the one that ONNX Runtime starts with.
    """
    with ONCE:
        onnxruntime.set_default_logger_severity(FATAL_ONLY)
        try:
            yield
        finally:
            onnxruntime.set_default_logger_severity(_WARNINGS)
