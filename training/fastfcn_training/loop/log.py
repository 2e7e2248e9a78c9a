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

from fastfcn_infer.evaluation.metrics import Scores
from fastfcn_infer.system import record
from fastfcn_training.loop.meter import Meter
from fastfcn_training.recipe.recipe import Recipe


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


def tell_start(
    journal: Journal, recipe: Recipe, iteration: int, *, samples: int, parameters: int, world: int
) -> None:
    """Say what is about to be learned, from which iteration on, by how many processes."""
    journal.write(
        "start",
        f"{samples} pictures of {recipe.data.dataset} {recipe.data.split}, "
        f"{parameters / 1e6:.2f} M parameters; iterations {iteration} to {recipe.iterations}, each "
        f"of {recipe.batch} x {recipe.accumulate} x {world} pictures (batch, accumulated, "
        "processes)",
        iteration,
        samples=samples,
        parameters=parameters,
        world=world,
    )


def tell_progress(
    journal: Journal,
    recipe: Recipe,
    iteration: int,
    meter: Meter,
    *,
    rate: float,
    memory: int | None,
) -> None:
    """Say what the last iterations were like.

    Args:
        journal: to say it to.
        recipe: of the training.
        iteration: steps that were made.
        meter: of the last of them.
        rate: the learning rate of the very last.
        memory: bytes, at most so far; None: not known.
    """
    loss, main, auxiliary, semantic = meter.losses
    left = _clock((recipe.iterations - iteration) * meter.seconds_per_iteration)
    journal.write(
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


def tell_scores(journal: Journal, iteration: int, found: Scores, *, better: bool) -> None:
    """Say how good the network is on the part to validate on."""
    journal.write(
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
