"""Ctrl-C ends a training between two iterations, where what is saved is exact."""

import contextlib
import os
import signal
import threading
from types import FrameType
from typing import Any

_ANSWER = b"""
stopping: saved after this iteration, or after the validation that is under way.
Once more stops at once; then the training goes on from the checkpoint before.
"""


class Interrupt:
    """Within it, the first Ctrl-C is remembered; the second one interrupts at once.

    What a cluster or a launcher sends to end a process (SIGTERM) counts as Ctrl-C, but is only
    remembered however often it comes: Paddle's launcher sends it three times within half a second.
    Outside the main thread, where Python lets nobody handle signals, this does nothing.

    Args:
        visible: tell on standard error what the first one does.

    Attributes:
        asked: somebody wants the training to stop.
    """

    def __init__(self, *, visible: bool = True) -> None:
        self.asked = False
        self._visible = visible
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupt":
        """Begin to listen."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        """Let signals mean what they meant."""
        for number in tuple(self._before):
            self._restore(number)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if not self.asked and self._visible:
            # Not through sys.stderr: the signal may come while that is being written to.
            with contextlib.suppress(OSError):
                os.write(2, _ANSWER)
        self.asked = True
        if signal.SIGINT in self._before:
            self._restore(signal.SIGINT)

    def _restore(self, number: signal.Signals) -> None:
        handler = self._before.pop(number)
        # None: not from Python, which cannot put it back.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
