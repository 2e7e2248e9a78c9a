"""Keep the stack that this thread handles signals on, which OpenVINO replaces for each model.

OpenVINO gives the thread that compiles a model a stack of the model's own, and gives back the one
before when the model goes. Two models that go in the order in which they came leave the thread
with a stack that was freed: the next signal, such as Ctrl-C, ends the process.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _Stack(ctypes.Structure):
    """``stack_t`` of Linux; see sigaltstack(2)."""

    _fields_ = (
        ("pointer", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size", ctypes.c_size_t),
    )


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Restore the signal stack of this thread when the block ends; only Linux is concerned."""
    if not sys.platform.startswith("linux"):
        yield
        return
    library, before = ctypes.CDLL(None), _Stack()
    library.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        library.sigaltstack(ctypes.byref(before), None)
