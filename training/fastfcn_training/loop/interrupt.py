"""Ctrl-C stops a training between two iterations, where the saved state is exact."""

import contextlib
import os
import signal
import threading
from types import FrameType
from typing import Any

_NOTICE = b"""
stopping: the training is saved after this iteration, or after the validation in progress.
Press Ctrl-C again to stop at once; it can then be resumed from the previous checkpoint.
"""


class Interrupt:
    """Context in which the first Ctrl-C is only noted, and the second one interrupts at once.

    SIGTERM, with which clusters and launchers end a process, counts as a first Ctrl-C however
    often it comes: Paddle's launcher sends it three times within half a second. Outside the main
    thread, where Python cannot handle signals, this does nothing.

    Args:
        visible: explain on standard error what the first signal does.

    Attributes:
        requested: a signal has asked the training to stop.
    """

    def __init__(self, *, visible: bool = True) -> None:
        self.requested = False
        self._visible = visible
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupt":
        """Install the signal handlers."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the previous handlers."""
        for number in tuple(self._before):
            self._restore(number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.requested and self._visible:
            # Not through sys.stderr, which may be in the middle of a write when the signal comes.
            with contextlib.suppress(OSError):
                os.write(2, _NOTICE)
        self.requested = True
        if signal.SIGINT in self._before:
            self._restore(signal.SIGINT)

    def _restore(self, number: signal.Signals) -> None:
        handler = self._before.pop(number)
        # None: installed outside Python, which cannot restore it.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
