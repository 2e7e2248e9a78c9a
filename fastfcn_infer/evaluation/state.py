"""A file with the counts of an evaluation, so that an interrupted one can be continued.

A state belongs to one model on one part of one data set, and is never continued with another.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal

import numpy as np

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.data.dataset import Dataset
from fastfcn_infer.errors import EvaluationError
from fastfcn_infer.evaluation.metrics import Confusion
from fastfcn_infer.system import record
from fastfcn_infer.system.atomic import write_file
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.small_file import read_small_file
from fastfcn_infer.system.version import __version__

_MOST_BYTES = 1 << 28  # of the counts of thousands of classes


@dataclass(frozen=True)
class Run:
    """Everything that the counts depend on."""

    model: str
    model_sha256: str
    dataset: str
    split: str
    folder: str  # common to all pictures
    pictures: int
    names_sha256: str  # of the pictures' names, in order
    labels_sha256: str  # of how the values and the orientation of label files are read
    procedure: Procedure
    backend: str
    version: str  # of fastfcn-infer
    precision: str = field(default="fp32", metadata=record.OMITTED)  # of the arithmetic

    @property
    def key(self) -> str:
        """A short name, unique to this run."""
        return hashlib.sha256(_bytes(record.to_json(self))).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Tally:
    """The counts so far; replaced as a whole, so that an interruption leaves the old or the new.

    Args:
        confusion: of the pictures that could be counted.
        seen: number of pictures processed, from the first.
        failed: those of them that could not be counted -> why.
        seconds: that it took.
    """

    confusion: Confusion
    seen: int = 0
    failed: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def counted(self) -> int:
        """Number of pictures that were counted."""
        return self.seen - len(self.failed)

    def has_counted(self, index: int, name: str) -> bool:
        """Tell whether a picture was counted, and so must not be counted again."""
        return index < self.seen and name not in self.failed

    def counting(self, index: int, name: str, found: Confusion, seconds: float) -> "Tally":
        """Return the tally with a picture counted, which may have failed before."""
        failed = {other: why for other, why in self.failed.items() if other != name}
        return Tally(
            self.confusion + found, max(self.seen, index + 1), failed, self.seconds + seconds
        )

    def failing(self, index: int, name: str, why: str, seconds: float) -> "Tally":
        """Return the tally with a picture that could not be counted."""
        return replace(
            self,
            seen=max(self.seen, index + 1),
            failed={**self.failed, name: why},
            seconds=self.seconds + seconds,
        )


@dataclass(frozen=True)
class _State:
    """The content of a state file."""

    format_version: Literal[1]
    run: Run
    seen: int
    failed: Mapping[str, str]
    seconds: float
    counts: tuple[tuple[int, ...], ...]


def describe_run(
    artifact: Artifact, procedure: Procedure, made_by: Mapping[str, str], dataset: Dataset
) -> Run:
    """Describe what the counts of an evaluation depend on.

    Args:
        artifact: with the graph that is run.
        procedure: how pictures become labels.
        made_by: what runs it, at least its ``backend`` and ``precision``; see `Predictor.provenance`.
        dataset: pictures with labels.

    Raises:
        OSError: a lone ``.onnx`` cannot be read.
    """
    names = [sample.name for sample in dataset.samples]
    folders = [os.path.realpath(path) for path in {s.picture.parent for s in dataset.samples}]
    return Run(
        artifact.model.name,
        artifact.fingerprint,
        dataset.name,
        dataset.split,
        os.path.commonpath(folders) if folders else "",
        len(names),
        _sha256(names),
        _sha256([str(sorted(dataset.values.items())), dataset.label_orientation]),
        procedure,
        made_by["backend"],
        __version__,
        made_by["precision"],
    )


def read_state(path: Path, run: Run, classes: int) -> Tally | None:
    """Read what an earlier run counted; None if there is no file.

    Raises:
        EvaluationError: the file is not a state, or that of another run; says what differs.
        OSError: it cannot be read.
    """
    try:
        text = read_small_file(path, _MOST_BYTES)
        state = record.from_json(_State, text)
        confusion = Confusion.from_counts(np.array(state.counts, dtype=np.int64))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, OverflowError) as error:
        raise EvaluationError(
            f"{path} is not the state of an evaluation: {error}. Delete it, or give another file."
        ) from error
    differing = [
        f"{part.name}: {printable(str(getattr(state.run, part.name)))} then, {getattr(run, part.name)} now"
        for part in fields(Run)
        if getattr(state.run, part.name) != getattr(run, part.name)
    ]
    if differing:
        lines = "".join(f"\n- {line}" for line in differing)
        raise EvaluationError(
            f"{path} is the state of another evaluation:{lines}\n"
            "Give another file or folder, or --fresh (fresh=True) to discard the old counts."
        )
    tally = Tally(confusion, state.seen, dict(state.failed), state.seconds)
    if confusion.classes != classes or not 0 <= tally.counted <= tally.seen <= run.pictures:
        raise EvaluationError(f"{path} contradicts itself. Delete it, or give another file.")
    return tally


def write_state(path: Path, run: Run, tally: Tally) -> None:
    """Write what was counted so far, in one step.

    Raises:
        OSError: it could not be written; an older state is unchanged.
    """
    counts = tuple(tuple(row) for row in tally.confusion.counts.tolist())
    state = _State(1, run, tally.seen, tally.failed, tally.seconds, counts)
    # What UTF-8 lacks, undecodable bytes of names, JSON escapes in the same way.
    write_file(path, record.to_json(state, indent=None).encode("utf-8", "backslashreplace"))


def _sha256(lines: Sequence[str]) -> str:
    return hashlib.sha256(_bytes("\n".join(lines))).hexdigest()


def _bytes(text: str) -> bytes:
    """Encode a text with names of files, whose undecodable bytes come out as they are on the disk."""
    return text.encode("utf-8", "surrogateescape")
