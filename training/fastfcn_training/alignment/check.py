"""What a comparison is; `checks/` holds one file each, named like the report that it leaves.

A file offers, at module level,

``SUMMARY``
    what is compared, in one line;
``compare(setting) -> Comparison``
    compare.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from fastfcn_infer.system import registry
from fastfcn_training.alignment.reference import Reference

_PACKAGE = "fastfcn_training.alignment.checks"


@dataclass(frozen=True)
class Setting:
    """What comparisons may use.

    Args:
        reference: recorded values.
        camvid: root of CamVid; None: generated pictures take its place.
    """

    reference: Reference
    camvid: Path | None


@dataclass(frozen=True)
class Figure:
    """One number and what it should be.

    Args:
        name: of the number.
        found: what we computed.
        expected: what it should be.
        difference: between the two, as `Comparison.measure` says.
        allowed: largest difference that passes.
    """

    name: str
    found: float
    expected: float
    difference: float
    allowed: float

    @property
    def passed(self) -> bool:
        """Tell whether the numbers agree; what is not a number never does."""
        return self.difference <= self.allowed


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Args:
        ours: what was computed.
        theirs: what it was compared with.
        measure: what a difference is.
        figures: the numbers, at least one.
    """

    ours: str
    theirs: str
    measure: str
    figures: tuple[Figure, ...]

    @property
    def passed(self) -> bool:
        """Tell whether all numbers agree."""
        return bool(self.figures) and all(figure.passed for figure in self.figures)

    @property
    def ranked(self) -> tuple[Figure, ...]:
        """The numbers by how much of what is allowed they differ by, the worst first."""
        return tuple(sorted(self.figures, key=_share, reverse=True))


class Check(Protocol):
    """A file of `checks/`."""

    SUMMARY: str

    def compare(self, setting: Setting) -> Comparison:
        """Compare."""
        ...


def check_names() -> tuple[str, ...]:
    """List the comparisons, in alphabetical order."""
    return registry.names(_PACKAGE)


def load_check(name: str) -> Check:
    """Load a comparison by its name.

    Raises:
        KeyError: there is no such comparison.
    """
    return cast("Check", registry.load(_PACKAGE, name))


def relative(
    name: str, found: float, expected: float, allowed: float, *, floor: float = 0.0
) -> Figure:
    """Compare two numbers relative to the expected one, or to `floor` where that is larger."""
    scale = max(abs(expected), floor)
    return Figure(name, found, expected, abs(found - expected) / (scale or 1.0), allowed)


def absolute(name: str, found: float, expected: float, allowed: float) -> Figure:
    """Compare two numbers."""
    return Figure(name, found, expected, abs(found - expected), allowed)


def _share(figure: Figure) -> float:
    """Tell how much of what is allowed the difference is; infinite where nothing is."""
    if figure.passed:
        return figure.difference / figure.allowed if figure.allowed else 0.0
    share = figure.difference / figure.allowed if figure.allowed else math.inf
    return math.inf if math.isnan(share) else share
