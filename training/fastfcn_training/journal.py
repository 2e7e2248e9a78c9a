"""What a training tells: a line for people on standard error, a JSON line in ``RUN/log.jsonl``.

Every line has ``event``, ``iteration`` (steps made so far) and ``time`` (seconds since 1970). After
a training was killed and resumed, some iterations are there twice; the later line counts.
"""

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

from fastfcn_infer.system import record


class Journal:
    """Writes events; usable in a ``with`` statement.

    Args:
        run: folder of the training; None: no file is written.
        visible: write lines for people too.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, run: Path | None, *, visible: bool) -> None:
        self._file = None
        self._board = None
        self._visible = visible
        if run is not None:
            run.mkdir(parents=True, exist_ok=True)
            self._file = _open(run / "log.jsonl")
            self._board = _visualdl(run)

    def __enter__(self) -> "Journal":
        """Go on writing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()

    def say(self, text: str) -> None:
        """Tell people something that no program reads."""
        if self._visible:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def write(self, event: str, text: str, iteration: int, **facts: Any) -> None:
        """Tell people `text`, and programs the `facts` of an event at an iteration.

        Facts that are no numbers are null in the file: JSON has no word for them.
        """
        self.say(text)
        if self._file is not None:
            line = {"event": event, "iteration": iteration, "time": round(time.time(), 3)}
            data = {name: _plain(record.to_data(value)) for name, value in facts.items()}
            text = json.dumps(line | data, ensure_ascii=False, allow_nan=False)
            self._file.write(text.encode() + b"\n")
            self._file.flush()
        if self._board is not None:
            for name, value in facts.items():
                if isinstance(value, float):
                    self._board.add_scalar(tag=f"{event}/{name}", value=value, step=iteration)


def _open(path: Path) -> BinaryIO:
    """Open for appending, on a new line even where a killed process left half of one."""
    file = path.open("ab+")
    if file.seek(0, os.SEEK_END):
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
    return file


def _plain(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, list):
        return [_plain(item) for item in data]
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    return data


def _visualdl(run: Path) -> Any:
    """Open VisualDL's log where it is installed."""
    try:
        from visualdl import LogWriter
    except ImportError:
        return None
    return LogWriter(logdir=str(run / "visualdl"))
