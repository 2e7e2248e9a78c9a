"""A progress bar with rate and time left on standard error, for work that takes a while; on terminals only."""

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType

from fastfcn_infer.system.excerpt import printable

_hidden = ContextVar("hidden", default=False)

_WIDTH = 24  # characters
_LONGEST_LABEL = 60  # characters
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
        self._label, self._total, self._unit = printable(label, _LONGEST_LABEL), total, unit
        self._done: float = done
        self._before = done  # by an earlier run
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
            error.args = (f"{self._progress()} are done",)

    def advance(self, count: float = 1) -> None:
        """Count `count` units as done."""
        with self._lock:
            self._done += count
            if time.monotonic() - self._drawn >= _PAUSE:
                self._draw()

    def skip(self) -> None:
        """Count a unit that an earlier run did."""
        with self._lock:
            self._before += 1
        self.advance()

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
        seconds, done = self._drawn - self._began, self._done - self._before
        text = self._progress()
        if self._unit != "s":
            text += f", {self._amount(done / max(seconds, 1e-9))}/s"
        if end:
            text += f", {_clock(seconds)}"
        elif self._total and done > 0:
            text += f", {_clock(seconds * max(self._total - self._done, 0) / done)} left"
        # A longer line than the terminal's would stay when the next one is drawn.
        room = shutil.get_terminal_size().columns - 1
        line = f"{self._label}{self._bar(room - len(self._label) - len(text) - 1)} {text}"
        sys.stderr.write(f"\r\x1b[K{line[:room]}{end}")
        sys.stderr.flush()

    def _bar(self, room: int) -> str:
        """Draw the share that is done, as wide as there is room."""
        width = min(_WIDTH, room - len(" [] 100%"))
        if not self._total or width < 1:
            return ""
        share = min(self._done / self._total, 1.0)
        return f" [{'#' * int(share * width):.<{width}}] {share:4.0%}"

    def _progress(self) -> str:
        """Say how much is done, and of how much."""
        done = self._amount(self._done)
        if not self._total:
            return done
        number = done if self._unit == "B" else done.removesuffix(f" {self._unit}")
        return f"{number} of {self._amount(self._total)}"

    def _amount(self, count: float) -> str:
        if self._unit != "B":
            return f"{round(count, 1):.10g} {self._unit}"
        for unit in ("B", "kB", "MB"):
            if count < 1000:
                return f"{count:.3g} {unit}"
            count /= 1000
        return f"{count:.3g} GB"


def _clock(seconds: float) -> str:
    """Write a time as people read it: 0:09, 12:30, 1:00:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
