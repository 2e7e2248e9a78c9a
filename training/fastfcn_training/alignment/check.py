"""A comparison of the alignment; `checks/` has one file for each, named like its report.

A file of `checks/` has, at module level,

``SUMMARY``
    what is compared, in one line;
``compare(setting) -> Comparison``
    does the comparison.
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
    """Inputs of a comparison.

    Args:
        reference: recorded values.
        camvid: root of CamVid; None: use generated pictures instead.
    """

    reference: Reference
    camvid: Path | None


@dataclass(frozen=True)
class Figure:
    """One number and its expected value.

    Args:
        name: of the number.
        found: our value.
        expected: the reference value.
        difference: between the two, in terms of `Comparison.measure`.
        allowed: largest difference that passes.
    """

    name: str
    found: float
    expected: float
    difference: float
    allowed: float

    @property
    def passed(self) -> bool:
        """Tell whether the numbers agree; NaN never does."""
        return self.difference <= self.allowed


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Args:
        ours: what was computed.
        theirs: what it was compared with.
        measure: how differences are measured.
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
        """The numbers by difference relative to what is allowed, the worst first."""
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
        KeyError: unknown name.
    """
    return cast("Check", registry.load(_PACKAGE, name))


def relative(
    name: str, found: float, expected: float, allowed: float, *, floor: float = 0.0
) -> Figure:
    """Compare two numbers relative to the expected one, or to `floor` if that is larger."""
    scale = max(abs(expected), floor)
    return Figure(name, found, expected, abs(found - expected) / (scale or 1.0), allowed)


def absolute(name: str, found: float, expected: float, allowed: float) -> Figure:
    """Compare two numbers by their absolute difference."""
    return Figure(name, found, expected, abs(found - expected), allowed)


def _share(figure: Figure) -> float:
    """Give the difference relative to what is allowed; infinite if none is allowed."""
    if figure.passed:
        return figure.difference / figure.allowed if figure.allowed else 0.0
    share = figure.difference / figure.allowed if figure.allowed else math.inf
    return math.inf if math.isnan(share) else share
