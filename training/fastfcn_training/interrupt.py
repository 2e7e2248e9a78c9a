"""Ctrl-C ends a training between two iterations, where what is saved is exact."""

import signal
import threading
from types import FrameType
from typing import Any


class Interrupt:
    """Within it, the first Ctrl-C is remembered; the second one interrupts at once.

    Outside the main thread, where Python lets nobody handle signals, it does nothing.

    Attributes:
        asked: somebody wants the training to stop.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, self._before)
