"""The log of a training: lines for people on standard error, JSON lines in ``RUN/log.jsonl``.

Every JSON line has ``event``, ``iteration`` (steps made so far) and ``time`` (seconds since 1970).
After a training was killed and resumed, some iterations appear twice; the later line counts.
"""

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

from fastfcn_infer.evaluation.metrics import Scores
from fastfcn_infer.system import record
from fastfcn_infer.system.writing import make_folder, writing
from fastfcn_training.errors import TrainingError
from fastfcn_training.loop.meter import Meter
from fastfcn_training.recipe.recipe import Recipe


class TrainingLog:
    """Writes events; usable in a ``with`` statement.

    Only one log of a run can be open at a time, on systems with file locks.

    Args:
        run: folder of the training; None: no file is written.
        visible: also write lines for people.

    Raises:
        OSError: the file cannot be written.
        TrainingError: another training is writing to `run`.
    """

    def __init__(self, run: Path | None, *, visible: bool) -> None:
        self._file = None
        self._visualdl = None
        self._visible = visible
        if run is not None:
            make_folder(run)
            self._path = run / "log.jsonl"
            with writing(self._path):
                self._file = _open(self._path)
            self._visualdl = self._open_visualdl(run)

    def __enter__(self) -> "TrainingLog":
        """Return the log itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        if self._file is not None:
            with writing(self._path):
                self._file.close()
        if self._visualdl is not None:
            self._visualdl.close()

    def message(self, text: str) -> None:
        """Write a line for people only."""
        if self._visible:
            self.notice(text)

    def notice(self, text: str) -> None:
        """Write a line for people only, even if lines for people were switched off."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def write(self, event: str, text: str, iteration: int, **facts: Any) -> None:
        """Log an event of an iteration: `text` for people, `facts` for programs.

        NaN and infinity are null in the file, as JSON cannot express them.
        """
        self.message(text)
        if self._file is not None:
            line = {"event": event, "iteration": iteration, "time": round(time.time(), 3)}
            data = {name: _plain(record.to_data(value)) for name, value in facts.items()}
            text = json.dumps(line | data, ensure_ascii=False, allow_nan=False)
            with writing(self._path):
                self._file.write(text.encode("utf-8", "backslashreplace") + b"\n")
                self._file.flush()
        if self._visualdl is not None:
            for name, value in facts.items():
                if isinstance(value, float):
                    self._visualdl.add_scalar(tag=f"{event}/{name}", value=value, step=iteration)

    def _open_visualdl(self, run: Path) -> Any:
        """Open a VisualDL log if VisualDL is installed."""
        try:
            from visualdl import LogWriter
        except ImportError as error:
            if not (isinstance(error, ModuleNotFoundError) and error.name == "visualdl"):
                self.message(f"note: no log for VisualDL, which cannot be imported: {error}")
            return None
        return LogWriter(logdir=str(run / "visualdl"))


def _open(path: Path) -> BinaryIO:
    """Open for appending, on a new line even if a killed process left half of one."""
    file = path.open("ab+")
    try:
        _lock(file, path.parent)
    except BaseException:
        file.close()
        raise
    if file.seek(0, os.SEEK_END):
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
    return file


def _lock(file: BinaryIO, run: Path) -> None:
    """Keep a second training out of the run until the file is closed."""
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise TrainingError(
            f"another training is writing to {run}. Wait until it ends, or choose another folder (-o)"
        ) from error
    except OSError:  # a file system without locks
        return


def _plain(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, list):
        return [_plain(item) for item in data]
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    return data


def log_start(
    log: TrainingLog, recipe: Recipe, iteration: int, *, samples: int, parameters: int, world: int
) -> None:
    """Log the size of the training and the iteration it starts or resumes at."""
    size = (
        f"{samples} pictures of {recipe.data.dataset} {recipe.data.split}, "
        f"{parameters / 1e6:.2f} M parameters; "
    )
    if iteration < recipe.iterations:
        text = (
            f"{size}iterations {iteration + 1} to {recipe.iterations}, each of {recipe.batch} x "
            f"{recipe.accumulate} x {world} pictures (batch, accumulated batches, processes)"
        )
    else:
        text = f"{size}already trained for all {recipe.iterations} iterations"
    log.write("start", text, iteration, samples=samples, parameters=parameters, world=world)


def log_progress(
    log: TrainingLog,
    recipe: Recipe,
    iteration: int,
    meter: Meter,
    *,
    rate: float,
    memory: int | None,
) -> None:
    """Log the means of the last iterations.

    Args:
        log: to write to.
        recipe: of the training.
        iteration: steps made so far.
        meter: losses and speed of the last steps.
        rate: learning rate of the last step.
        memory: peak so far, bytes; None if unknown.
    """
    loss, main, auxiliary, semantic = meter.losses
    left = _clock((recipe.iterations - iteration) * meter.seconds_per_iteration)
    log.write(
        "train",
        f"{iteration}/{recipe.iterations}  loss {loss:.4f} (main {main:.4f}, auxiliary "
        f"{auxiliary:.4f}, semantic {semantic:.4f})  lr {rate:.3g}  "
        f"{meter.images_per_second:.2f} images/s  data {meter.data_share:.0%}  "
        + (f"memory {memory / 1e9:.2f} GB  " if memory else "")
        + f"left {left}",
        iteration,
        loss=loss,
        main=main,
        auxiliary=auxiliary,
        semantic=semantic,
        learning_rate=rate,
        images_per_second=meter.images_per_second,
        data_share=meter.data_share,
        memory=memory,
    )


def log_scores(log: TrainingLog, iteration: int, found: Scores, *, better: bool) -> None:
    """Log the scores of a validation."""
    log.write(
        "validation",
        f"validation after {iteration}: mean IoU {found.mean_iou:.4f}  Acc "
        f"{found.pixel_accuracy:.4f}  Kappa {found.kappa:.4f}  Dice {found.mean_dice:.4f}"
        + ("  (best so far)" if better else ""),
        iteration,
        convention=found.convention,
        mean_iou=found.mean_iou,
        pixel_accuracy=found.pixel_accuracy,
        kappa=found.kappa,
        mean_dice=found.mean_dice,
        iou=found.iou,
        best=better,
    )


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
