"""The report of a comparison: a JSON file with every number, and a short text."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastfcn_infer.system.atomic import write_file
from fastfcn_training.alignment.check import Comparison, Figure

_SHOWN = 8  # numbers in the text, worst first


def write_report(
    folder: Path, name: str, found: Comparison, versions: Mapping[str, str], seconds: float
) -> None:
    """Write ``NAME.json`` and ``NAME.txt``.

    Args:
        folder: to write to; it must exist.
        name: of the comparison.
        found: its result.
        versions: package -> version.
        seconds: time it took.
    """
    data = report_data(found) | {"versions": dict(versions), "seconds": round(seconds, 1)}
    text = json.dumps({"comparison": name} | data, indent=1, allow_nan=False)
    write_file(folder / f"{name}.json", (text + "\n").encode())
    write_file(folder / f"{name}.txt", report_text(name, found).encode())


def report_data(found: Comparison) -> dict[str, Any]:
    """Convert a comparison to JSON data; NaN and infinity become null."""
    return {
        "passed": found.passed,
        "ours": found.ours,
        "theirs": found.theirs,
        "measure": found.measure,
        "figures": [
            {
                "name": figure.name,
                "found": _number(figure.found),
                "expected": _number(figure.expected),
                "difference": _number(figure.difference),
                "allowed": figure.allowed,
                "passed": figure.passed,
            }
            for figure in found.figures
        ],
    }


def report_text(name: str, found: Comparison) -> str:
    """Summarise what was compared, whether it passed, and which numbers differ most."""
    failed = sum(not figure.passed for figure in found.figures)
    count = len(found.figures)
    verdict = "passed" if found.passed else f"FAILED: {failed} of {count} numbers differ"
    shown = found.ranked[:_SHOWN]
    width = max((len(figure.name) for figure in shown), default=0)
    lines = [
        f"{name}: {verdict}",
        f"  ours        {found.ours}",
        f"  theirs      {found.theirs}",
        f"  difference  {found.measure}",
        f"  numbers     {count}; the largest differences relative to what is allowed:",
        f"    {'':{width}}  {'found':>14}  {'expected':>14}  {'difference':>10}  {'allowed':>8}",
        *(_line(figure, width) for figure in shown),
    ]
    return "\n".join(lines) + "\n"


def _line(figure: Figure, width: int) -> str:
    mark = "" if figure.passed else "  FAILED"
    return (
        f"    {figure.name:{width}}  {figure.found:14.8g}  {figure.expected:14.8g}  "
        f"{figure.difference:10.2g}  {figure.allowed:8.2g}{mark}"
    )


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
