"""What a training tells: a line for people on standard error, a JSON line in ``RUN/log.jsonl``."""

import json
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from fastfcn_infer import record


class Journal:
    """Writes events; usable in a ``with`` statement.

    Args:
        run: folder of the training; None: no file is written.
        visible: write lines for people too.
    """

    def __init__(self, run: Path | None, *, visible: bool) -> None:
        self._file = None
        self._board = None
        self._visible = visible
        if run is not None:
            run.mkdir(parents=True, exist_ok=True)
            self._file = (run / "log.jsonl").open("a", encoding="utf-8")
            self._board = _visualdl(run)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()

    def say(self, text: str) -> None:
        """Tell people something that no program reads."""
        if self._visible:
            print(text, file=sys.stderr, flush=True)

    def write(self, event: str, text: str, iteration: int, **facts: Any) -> None:
        """Tell people `text`, and programs the `facts` of an event at an iteration."""
        self.say(text)
        if self._file is not None:
            line = {"event": event, "iteration": iteration, "time": round(time.time(), 3)}
            data = {name: record.to_data(value) for name, value in facts.items()}
            self._file.write(json.dumps(line | data) + "\n")
            self._file.flush()
        if self._board is not None:
            for name, value in facts.items():
                if isinstance(value, float):
                    self._board.add_scalar(tag=f"{event}/{name}", value=value, step=iteration)


def _visualdl(run: Path) -> Any:
    """Open VisualDL's log where it is installed."""
    try:
        from visualdl import LogWriter
    except ImportError:
        return None
    return LogWriter(logdir=str(run / "visualdl"))
