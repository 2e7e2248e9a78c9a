"""What a model card says that an artifact does not hold: measured figures, limits and the licence.

Figures come from reports of the commands and are checked to be of the model.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias, TypeVar, cast

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.artifact.variant import GraphPrecision
from fastfcn_infer.system import record
from fastfcn_infer.system.excerpt import excerpt, printable
from fastfcn_infer.system.small_file import LargerFileError, read_small_file

Several: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]  # one, or a list


@dataclass(frozen=True)
class Score:
    """Scores of a model on a data set, as `fastfcn evaluate --json` writes them; shares in 0..1."""

    dataset: str
    split: str
    convention: str
    pictures: int
    mean_iou: float | None
    pixel_accuracy: float | None
    provenance: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    failed: tuple[Mapping[str, str], ...] = ()  # pictures that are not counted

    def __post_init__(self) -> None:
        """Check that shares are shares, and not percentages."""
        for name in ("mean_iou", "pixel_accuracy"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise ValueError(f"{name} is {share}; 0 to 1 was expected")

    @property
    def kind(self) -> str:
        """The kind of the procedure that it was measured with."""
        return self.provenance.get("procedure", "unknown")

    @property
    def settings(self) -> str:
        """The settings, in JSON, of a procedure that the user composed; empty if the kind says all."""
        return self.provenance.get("procedure_settings", "") if self.kind == "custom" else ""

    @property
    def procedure(self) -> str:
        """The procedure in words: its kind, and the settings that the kind does not say."""
        return f"{self.kind} {self.settings}".rstrip()

    @property
    def precision(self) -> str:
        """The precision that it was measured in."""
        return self.provenance.get("precision", "unknown")


@dataclass(frozen=True)
class Speed:
    """A row of the report that `fastfcn benchmark --format json` writes, and its machine."""

    model: str
    backend: str
    device: str
    precision: str
    threads: int
    size: tuple[int, int]  # height and width of the pictures
    batch: int
    ips: float  # pictures a second
    cpu: str
    date: str
    procedure: str = "whole"
    scenario: str = "single"
    model_sha256: str = ""  # of the model's files; empty: unknown
    gpu: str = ""  # its name; empty: none, or unknown


@dataclass(frozen=True)
class CardFacts:
    """What a card says that an artifact does not hold."""

    scores: tuple[Score, ...] = ()
    speeds: tuple[Speed, ...] = ()
    licence: str | None = None  # the Hub's identifier, such as apache-2.0; None: not stated
    limits: tuple[str, ...] = ()  # sentences


def read_facts(
    scores: Several,
    speeds: Several,
    licence: str | None,
    limits: Sequence[str],
) -> CardFacts:
    """Read the files of a card; see `read_score` and `read_speeds`.

    One file, or one sentence of `limits`, may be given as it is.

    Raises:
        ValueError: a file is something else, or `licence` is no identifier.
        OSError: a file cannot be read.
    """
    if licence is not None and re.fullmatch(r"[a-z0-9][a-z0-9.-]*", licence) is None:
        raise ValueError(
            f"license {excerpt(licence)} is not an identifier of the Hub, such as apache-2.0, mit, "
            "cc-by-nc-4.0 or other"
        )
    return CardFacts(
        tuple(read_score(path) for path in _several(scores)),
        tuple(speed for path in _several(speeds) for speed in read_speeds(path)),
        licence,
        tuple(map(str, _several(limits))),
    )


def _several(given: Several) -> Sequence[str | os.PathLike[str]]:
    """Return a list of what may be one: a text is no list of its letters."""
    return [given] if isinstance(given, str | os.PathLike) else given


def read_score(path: str | os.PathLike[str]) -> Score:
    """Read what ``fastfcn evaluate --json`` printed.

    Raises:
        ValueError: it is something else.
        OSError: the file cannot be read.
    """
    command = "fastfcn evaluate --json"
    return _known(Score, _read(path, command), path, command)


def read_speeds(path: str | os.PathLike[str]) -> tuple[Speed, ...]:
    """Read the rows of a report that ``fastfcn benchmark --format json`` printed.

    Raises:
        ValueError: it is something else.
        OSError: the file cannot be read.
    """
    command = "fastfcn benchmark --format json"
    data = _read(path, command)
    rows, machine = data.get("rows"), data.get("environment")
    if not isinstance(rows, list) or not isinstance(machine, dict):
        raise ValueError(_expected(path, command, "no rows and no environment were found"))
    about = {key: machine.get(key) for key in ("cpu", "date")}
    return tuple(
        _known(Speed, {**row, **about}, path, command) for row in rows if isinstance(row, dict)
    )


def check_measured(artifact: Artifact, facts: CardFacts) -> None:
    """Refuse figures of another model.

    Raises:
        ValueError: a score or a speed is not of `artifact`.
    """
    ours = {
        artifact.in_precision(cast("GraphPrecision", precision)).fingerprint
        for precision in artifact.precisions
    }
    wrong = [
        f"the score on {score.dataset}, part {score.split}, is of "
        f"{excerpt(score.provenance.get('model', 'an unknown model'))} with the files "
        f"{score.provenance.get('model_sha256', 'unknown')[:12]}"
        for score in facts.scores
        if score.provenance.get("model_sha256") not in ours
    ]
    wrong += [
        f"the speed in {speed.backend} is of {excerpt(speed.model)} with the files "
        f"{speed.model_sha256[:12] or 'unknown'}"
        for speed in facts.speeds
        if (
            speed.model_sha256 not in ours
            if speed.model_sha256
            else speed.model != artifact.model.name
        )
    ]
    if wrong:
        raise ValueError(
            f"these figures are not of {printable(artifact.model.name)} with the files "
            f"{artifact.fingerprint[:12]}: {'; '.join(wrong)}. Measure this model, and pass that file."
        )


def _read(path: str | os.PathLike[str], command: str) -> dict[str, Any]:
    try:
        data = json.loads(read_small_file(path))
    except LargerFileError as error:
        raise ValueError(_expected(path, command, str(error))) from error
    except (ValueError, RecursionError) as error:
        raise ValueError(_expected(path, command, "it is not JSON")) from error
    if not isinstance(data, dict):
        raise ValueError(_expected(path, command, f"found {excerpt(data)}"))
    return data


_Read = TypeVar("_Read", Score, Speed)


def _known(
    kind: type[_Read], data: Mapping[str, Any], path: str | os.PathLike[str], command: str
) -> _Read:
    """Read the fields that are known of what has more of them."""
    known = {each.name: data[each.name] for each in fields(kind) if each.name in data}
    try:
        return record.from_data(kind, known)
    except record.RecordError as error:
        raise ValueError(_expected(path, command, str(error))) from error


def _expected(path: str | os.PathLike[str], command: str, found: str) -> str:
    return f"{os.fspath(path)}: a report that `{command}` wrote was expected: {found}"
