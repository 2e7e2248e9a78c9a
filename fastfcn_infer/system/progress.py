"""A progress bar on standard error for work that takes a while; drawn on terminals only."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType

_hidden = ContextVar("hidden", default=False)

_WIDTH = 24  # characters
_PAUSE = 0.1  # seconds between two drawings


@contextmanager
def no_progress() -> Iterator[None]:
    """Draw no progress bars inside, whatever standard error is; ``--quiet`` asks for it."""
    before = _hidden.set(True)
    try:
        yield
    finally:
        _hidden.reset(before)


def shows_progress() -> bool:
    """Tell whether progress bars are drawn: on terminals, but not inside `no_progress`."""
    isatty = getattr(sys.stderr, "isatty", None)  # pythonw has no standard error
    return not _hidden.get() and isatty is not None and bool(isatty())


class Progress:
    """A progress bar, drawn only if standard error is a terminal.

    Usable from several threads: ``with Progress("Download", total=size, unit="B") as bar: ...``.
    """

    def __init__(
        self, label: str, *, total: int | None, unit: str, done: int = 0, visible: bool = True
    ) -> None:
        """Describe the work.

        Args:
            label: what is being done.
            total: number of units; None if unknown.
            unit: what is counted; ``B`` is written as kB, MB, GB.
            done: units that an earlier run did; they are not counted in the speed.
            visible: False draws nothing, whatever standard error is.
        """
        self._label, self._total, self._unit = label, total, unit
        self._done: float = done
        self._before = done
        self._began, self._drawn = time.monotonic(), 0.0
        self._lock = threading.Lock()
        self._visible = visible and shows_progress()

    def __enter__(self) -> "Progress":
        """Draw the empty bar."""
        self._draw()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last state on its own line; let Ctrl-C say how much is done."""
        self._draw(end="\n")
        if isinstance(error, KeyboardInterrupt) and not error.args:
            done = self._amount(self._done)
            if self._total:
                number = done if self._unit == "B" else done.removesuffix(f" {self._unit}")
                done = f"{number} of {self._amount(self._total)}"
            error.args = (f"{done} are done",)

    def advance(self, count: float = 1) -> None:
        """Count `count` units as done."""
        with self._lock:
            self._done += count
            if time.monotonic() - self._drawn >= _PAUSE:
                self._draw()

    def clear(self) -> None:
        """Remove the bar, before something else is printed; `advance` draws it again."""
        if self._visible:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = 0.0

    def _draw(self, end: str = "") -> None:
        if not self._visible:
            return
        self._drawn = time.monotonic()
        speed = (self._done - self._before) / max(self._drawn - self._began, 1e-9)
        bar, of = "", ""
        if self._total:
            share = min(self._done / self._total, 1.0)
            bar = f" [{'#' * int(share * _WIDTH):.<{_WIDTH}}] {share:4.0%}"
            of = f" of {self._amount(self._total)}"
        text = f"{self._label}{bar} {self._amount(self._done)}{of}, {self._amount(speed)}/s"
        sys.stderr.write(f"\r\x1b[K{text}{end}")
        sys.stderr.flush()

    def _amount(self, count: float) -> str:
        if self._unit != "B":
            return f"{round(count, 1):.10g} {self._unit}"
        for unit in ("B", "kB", "MB"):
            if count < 1000:
                return f"{count:.3g} {unit}"
            count /= 1000
        return f"{count:.3g} GB"
