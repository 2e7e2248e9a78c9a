"""A benchmark's report, and writing it as a table, Markdown, CSV or JSON."""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from fastfcn_infer.benchmark.environment import Environment
from fastfcn_infer.benchmark.timing import ENOUGH_FOR_P90, ENOUGH_FOR_P99, Timing
from fastfcn_infer.system import record

FORMATS = ("table", "json", "csv", "md")

Key: TypeAlias = tuple[str, str, str, tuple[int, int], int, int]


@dataclass(frozen=True)
class Row:
    """Timings of one model in one runtime, for pictures of one size and one batch size."""

    model: str
    backend: str
    provider: str
    device: str
    precision: str
    threads: int
    size: tuple[int, int]  # height and width of the pictures
    batch: int
    ips: float  # pictures a second, from the decoded picture to labels
    network_ips: float
    end_to_end: Timing  # of a batch
    network: Timing  # of a batch, in the same runs
    stages: Mapping[str, float]  # median seconds of a batch
    multiply_adds: int | None  # of a picture
    share_of_matrix_product: float | None  # the network's rate over the machine's
    cold_start_seconds: float  # from starting Python to the labels of a first picture
    peak_memory_bytes: int | None  # of that process, one batch included
    others_took: float | None  # share of the processors' time that other processes used
    procedure: str = field(default="whole", metadata=record.OMITTED)  # its kind

    @property
    def key(self) -> Key:
        """What makes rows of two reports comparable."""
        return self.model, self.backend, self.procedure, self.size, self.batch, self.threads

    @property
    def title(self) -> str:
        """Name the row for people."""
        height, width = self.size
        procedure = "" if self.procedure == "whole" else f"{self.procedure}, "
        return (
            f"{self.model} in {self.backend}, {procedure}{height}x{width}, batch {self.batch}, "
            f"{self.threads} threads"
        )


@dataclass(frozen=True)
class Change:
    """A row that became slower: seconds then and now."""

    row: str
    measure: Literal["network", "end_to_end"]
    base_seconds: float
    seconds: float

    @property
    def title(self) -> str:
        """Name the change for people."""
        slower = self.seconds / self.base_seconds - 1
        return (
            f"{self.row}: {self.measure} {self.base_seconds * 1e3:.1f} -> "
            f"{self.seconds * 1e3:.1f} ms, {slower:+.1%}"
        )


@dataclass(frozen=True)
class Comparison:
    """The result of comparing with an earlier report: what became slower than was allowed."""

    base: str
    max_regress: float  # share, 0.05 for 5 %
    compared: int  # rows
    regressed: tuple[Change, ...]
    not_in_base: tuple[str, ...]  # rows measured now and not then
    only_in_base: tuple[str, ...]
    environment_differs: tuple[str, ...]  # differences that make the comparison less reliable


@dataclass(frozen=True)
class Report:
    """A whole run; its JSON is what `--compare` reads."""

    format_version: Literal[1]
    environment: Environment
    seconds: float  # of timed runs for each row
    rows: tuple[Row, ...]
    comparison: Comparison | None = None


_TEXT: Mapping[str, Callable[[Row], str]] = {
    "model": lambda row: row.model,
    "backend": lambda row: row.backend,
    "device": lambda row: row.device,
    "procedure": lambda row: row.procedure,
    "size": lambda row: f"{row.size[0]}x{row.size[1]}",
    "batch": lambda row: str(row.batch),
    "threads": lambda row: str(row.threads),
    "ips": lambda row: f"{row.ips:.2f}",
    "network ips": lambda row: f"{row.network_ips:.2f}",
    "end to end ms": lambda row: _quartiles(row.end_to_end),
    "p90": lambda row: _number(row.end_to_end.p90, 1e3, ".1f"),
    "p99": lambda row: _number(row.end_to_end.p99, 1e3, ".1f"),
    "network ms": lambda row: _quartiles(row.network),
    "preprocess": lambda row: _number(row.stages.get("preprocess"), 1e3, ".1f"),
    "labels": lambda row: _number(row.stages.get("labels"), 1e3, ".1f"),
    "G multiply-adds": lambda row: _number(row.multiply_adds, 1e-9, ".2f"),
    "of matrix product": lambda row: _number(row.share_of_matrix_product, 1, ".0%"),
    "cold start s": lambda row: f"{row.cold_start_seconds:.2f}",
    "peak MB": lambda row: _number(row.peak_memory_bytes, 1e-6, ".0f"),
    "runs": lambda row: str(row.end_to_end.runs),
}
_WORDS = ("model", "backend", "device", "procedure", "size")  # left-aligned; the rest are numbers


def read_report(text: str | bytes) -> Report:
    """Read a report that `--format json` wrote.

    Raises:
        ValueError: it is not such a report; names every wrong field.
    """
    return record.from_json(Report, text)


def write_report(report: Report, form: str) -> str:
    """Write a report.

    Args:
        report: of a run.
        form: one of `FORMATS`.
    """
    if form == "json":
        return record.to_json(report)
    if form == "csv":
        return _csv(report)
    lines = _markdown(report) if form == "md" else _table(report)
    return "\n".join([*lines, "", *_footnotes(report)])


def comparison_lines(found: Comparison) -> list[str]:
    """Write what became slower, and what makes the comparison less reliable."""
    lines = [f"slower than {found.base}: {change.title}" for change in found.regressed]
    if not lines:
        lines = [
            f"{found.compared} rows compared with {found.base}: none is more than "
            f"{100 * found.max_regress:.3g}% slower"
        ]
    lines += [f"not in {found.base}: {title}" for title in found.not_in_base]
    lines += [f"only in {found.base}: {title}" for title in found.only_in_base]
    lines += [f"note: {difference}" for difference in found.environment_differs]
    return lines


def _columns(report: Report) -> list[str]:
    """Leave out percentiles that no row has enough runs for, and a procedure that is always whole."""
    known = {
        "procedure": any(row.procedure != "whole" for row in report.rows),
        "p90": any(row.end_to_end.p90 is not None for row in report.rows),
        "p99": any(row.end_to_end.p99 is not None for row in report.rows),
    }
    return [name for name in _TEXT if known.get(name, True)]


def _table(report: Report) -> list[str]:
    columns = _columns(report)
    cells = [[_TEXT[name](row) for name in columns] for row in report.rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if name in _WORDS else text.rjust(width)
            for name, text, width in zip(columns, line, widths, strict=True)
        ).rstrip()
        for line in [columns, *cells]
    ]


def _markdown(report: Report) -> list[str]:
    columns = _columns(report)
    cells = [[_TEXT[name](row).replace("|", "\\|") for name in columns] for row in report.rows]
    rules = ["---" if name in _WORDS else "---:" for name in columns]
    return ["| " + " | ".join(line) + " |" for line in [columns, rules, *cells]]


def _footnotes(report: Report) -> list[str]:
    stamp = report.environment
    versions = ", ".join(f"{name} {version}" for name, version in stamp.versions.items())
    others = max(
        (row.others_took for row in report.rows if row.others_took is not None), default=0
    )
    load = "unknown" if stamp.load_average_1_min is None else f"{stamp.load_average_1_min:.2f}"
    return [
        "Milliseconds per batch, from decoded picture to labels: median [quartiles] of runs in "
        f"turn. p90 needs at least {ENOUGH_FOR_P90} runs, p99 at least {ENOUGH_FOR_P99}.",
        f"{stamp.cpu}, {stamp.cores} processors, matrix product {stamp.matrix_product_gflops} "
        f"GFLOP/s; load average {load} before; other processes used at most {others:.1%}.",
        f"{stamp.date}, {stamp.system}, Python {stamp.python}; {versions}.",
    ]


def _csv(report: Report) -> str:
    """Write one line per row with all its numbers, times in seconds."""
    lines = [_flat(record.to_data(row)) for row in report.rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]) if lines else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue().rstrip("\n")


def _flat(data: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat |= _flat(value, f"{name}.")
        elif isinstance(value, list):
            flat[name] = "x".join(map(str, value))
        else:
            flat[name] = value
    return flat


def _quartiles(found: Timing) -> str:
    low, high = found.lower_quartile * 1e3, found.upper_quartile * 1e3
    return f"{found.median * 1e3:.1f} [{low:.1f} .. {high:.1f}]"


def _number(value: float | None, scale: float, form: str) -> str:
    return "-" if value is None else format(value * scale, form)
