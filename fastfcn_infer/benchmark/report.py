"""A benchmark's report, and writing it as a table, Markdown, CSV or JSON; see `html_report` for HTML."""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from fastfcn_infer.benchmark.environment import Environment
from fastfcn_infer.benchmark.low_precision_product import Product
from fastfcn_infer.benchmark.timing import (
    ENOUGH_FOR_P50,
    ENOUGH_FOR_P90,
    ENOUGH_FOR_P99,
    Timing,
)
from fastfcn_infer.evaluation.agreement import Agreement
from fastfcn_infer.system import record
from fastfcn_infer.system.percent import percent
from fastfcn_infer.system.text_table import text_table

FORMATS = ("table", "json", "csv", "md")

Key: TypeAlias = tuple[str, str, str, str, str, str, tuple[int, int], int, int]


@dataclass(frozen=True)
class Agreed:
    """How far the labels of a row are those of the run's first model.

    Args:
        reference: title of the first row.
        pictures: that were labelled by both.
        counts: of their pixels.
    """

    reference: str
    pictures: int
    counts: Agreement


@dataclass(frozen=True)
class Row:
    """Timings of one model in one runtime and precision, for pictures of one size and one batch size."""

    model: str
    backend: str
    provider: str
    device: str
    precision: str
    threads: int
    size: tuple[int, int]  # height and width of the pictures
    batch: int  # pictures of a run
    ips: float  # pictures a second, from the decoded picture to labels; of a folder from file to files
    network_ips: float
    end_to_end: Timing  # of a run
    network: Timing  # of a run's pictures; in the same runs, or where stages overlap alone, in turn with them
    stages: Mapping[
        str, float
    ]  # median seconds of a run; where they overlap, they add up to more than it takes
    multiply_adds: int | None  # of a picture
    share_of_matrix_product: (
        float | None
    )  # the network's rate over the machine's in this precision
    cold_start_seconds: float  # from starting Python to the labels of a first picture
    peak_memory_bytes: int | None  # of that process, one batch included
    others_took: float | None  # share of the processors' time that other processes used
    procedure: str = field(default="whole", metadata=record.OMITTED)  # its kind
    scenario: str = field(
        default="single", metadata=record.OMITTED
    )  # a key of `workload.SCENARIOS`
    share_of_network: float | None = field(
        default=None, metadata=record.OMITTED
    )  # ips of network_ips
    agreement: Agreed | None = field(default=None, metadata=record.OMITTED)
    images: str = field(default="", metadata=record.OMITTED)  # hash of the user's pictures
    classes: str = field(default="", metadata=record.OMITTED)  # hash of their names
    model_sha256: str = field(default="", metadata=record.OMITTED)  # of its files; "": unknown
    gpu: str = field(default="", metadata=record.OMITTED)  # its name; "": none, or unknown
    # Seconds of a run that a share of them took at most, from none to all in equal steps.
    distribution: tuple[float, ...] = field(default=(), metadata=record.OMITTED)
    # Of the bundled photograph, see `label_maps.pack_labels`; empty if they take too much.
    labels: tuple[str, ...] = field(default=(), metadata=record.OMITTED)

    @property
    def key(self) -> Key:
        """What makes rows of two reports the same."""
        return self.model, self.backend, self.precision, *self.work

    @property
    def work(self) -> tuple[str, str, str, tuple[int, int], int, int]:
        """What has to be equal for rows to be comparable."""
        pictures = self.images, self.size, self.batch
        return self.scenario, self.procedure, *pictures, self.threads

    @property
    def title(self) -> str:
        """Name the row for people."""
        height, width = self.size
        words = [f"{self.model} in {self.backend}"]
        words += [] if self.precision == "fp32" else [self.precision]
        words += [] if self.scenario == "single" else [self.scenario]
        words += [] if self.procedure == "whole" else [self.procedure]
        words += [f"pictures {self.images}"] if self.images else []
        words += [f"{height}x{width}", f"batch {self.batch}", f"{self.threads} threads"]
        return ", ".join(words)


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
class Pair:
    """A row beside the one of the base that it was compared with.

    Args:
        row: its title.
        base_row: title of the other.
        differs: in what they differ, such as "precision: fp32 -> int8"; empty if they are the same.
        speed: pictures a second over those of the base.
        agreement: of the labels of the bundled photograph; None if a report does not hold them.
        no_agreement: why.
    """

    row: str
    base_row: str
    differs: tuple[str, ...]
    speed: float
    agreement: Agreement | None = None
    no_agreement: str = ""


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
    pairs: tuple[Pair, ...] = field(default=(), metadata=record.OMITTED)


@dataclass(frozen=True)
class Report:
    """A whole run; its JSON is what `--compare` reads."""

    format_version: Literal[1]  # of this JSON
    environment: Environment  # machine and versions
    seconds: float  # of timed runs for each row
    rows: tuple[Row, ...]  # what was measured, one for each setting
    comparison: Comparison | None = None  # with an earlier run
    # The machine's matrix product in the precisions other than float32 that ran.
    products: tuple[Product, ...] = field(default=(), metadata=record.OMITTED)


_TEXT: Mapping[str, Callable[[Row], str]] = {
    "model": lambda row: row.model,
    "backend": lambda row: row.backend,
    "precision": lambda row: row.precision,
    "device": lambda row: row.device,
    "scenario": lambda row: row.scenario,
    "procedure": lambda row: row.procedure,
    "size": lambda row: f"{row.size[0]}x{row.size[1]}",
    "batch": lambda row: str(row.batch),
    "threads": lambda row: str(row.threads),
    "ips": lambda row: f"{row.ips:.2f}",
    "network ips": lambda row: f"{row.network_ips:.2f}",
    "of network": lambda row: _number(row.share_of_network, 1, ".0%"),
    "labels agree": lambda row: _agreed(row.agreement),
    "end to end ms": lambda row: _quartiles(row.end_to_end),
    "p50": lambda row: _number(row.end_to_end.p50, 1e3, ".1f"),
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
_WORDS = (
    "model",
    "backend",
    "precision",
    "device",
    "scenario",
    "procedure",
    "size",
)  # left-aligned; the rest are numbers


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
    return "\n".join([*lines, "", *footnotes(report)])


def comparison_lines(found: Comparison) -> list[str]:
    """Write what became slower, speed and labels of rows that differ, and what makes it less reliable."""
    lines = [f"slower than {found.base}: {change.title}" for change in found.regressed]
    if not lines:
        lines = [
            f"{found.compared} rows compared with {found.base}: none is more than "
            f"{round(100 * found.max_regress, 2):g}% slower"
        ]
    lines += [_beside(pair) for pair in found.pairs if pair.differs or _relabels(pair)]
    lines += [f"not in {found.base}: {title}" for title in found.not_in_base]
    lines += [f"only in {found.base}: {title}" for title in found.only_in_base]
    lines += [f"note: {difference}" for difference in found.environment_differs]
    return lines


def _relabels(pair: Pair) -> bool:
    return pair.agreement is not None and pair.agreement.equal < pair.agreement.pixels


def _beside(pair: Pair) -> str:
    labels = f"labels not compared: {pair.no_agreement}"
    if pair.agreement is not None:
        away = pair.agreement.away_from_boundaries
        labels = (
            f"{percent(pair.agreement.overall, 2)}% of the labels of the photograph are equal, "
            f"{percent(away, 2)}% away from boundaries"
        )
    return (
        f"{pair.row}: {pair.speed:.2f} x the speed of {pair.base_row} "
        f"({'; '.join(pair.differs) or 'then'}); {labels}"
    )


def columns(report: Report) -> list[str]:
    """Name the columns, without those that say the same of every row or nothing."""
    rows = report.rows
    known = {
        "precision": any(row.precision != "fp32" for row in rows),
        "scenario": any(row.scenario != "single" for row in rows),
        "procedure": any(row.procedure != "whole" for row in rows),
        "of network": any(row.share_of_network is not None for row in rows),
        "labels agree": any(row.agreement is not None for row in rows),
    }
    return [name for name in _TEXT if known.get(name, True)]


def cells(report: Report) -> list[list[str]]:
    """Return the text of each column of each row."""
    return [[_TEXT[name](row) for name in columns(report)] for row in report.rows]


def is_number(column: str) -> bool:
    """Tell whether a column is aligned to the right."""
    return column not in _WORDS


def _table(report: Report) -> list[str]:
    names = columns(report)
    left = [at for at, name in enumerate(names) if not is_number(name)]
    return text_table([names, *cells(report)], left=left)


def _markdown(report: Report) -> list[str]:
    names = columns(report)
    lines = [[text.replace("|", "\\|") for text in line] for line in cells(report)]
    rules = ["---:" if is_number(name) else "---" for name in names]
    return ["| " + " | ".join(line) + " |" for line in [names, rules, *lines]]


def footnotes(report: Report) -> list[str]:
    """Say what the columns mean, and what was measured on what."""
    return [*notes(report), *_machine(report)]


def notes(report: Report) -> list[str]:
    """Say what the columns mean."""
    return [
        "Milliseconds per run of `batch` pictures, from decoded picture to labels (a folder: from file to "
        f"files): median [quartiles] of runs in turn. p50 needs at least {ENOUGH_FOR_P50} runs, p90 "
        f"{ENOUGH_FOR_P90}, p99 {ENOUGH_FOR_P99}.",
        *_agreements(report),
        *_products(report),
    ]


def others_text(report: Report) -> str:
    """Say how busy others kept the processors, in the row that suffered most."""
    known = [row.others_took for row in report.rows if row.others_took is not None]
    return f"at most {max(known):.1%}" if known else "unknown"


def _machine(report: Report) -> list[str]:
    """Say what was measured on what."""
    stamp = report.environment
    versions = ", ".join(f"{name} {version}" for name, version in stamp.versions.items())
    load = "unknown" if stamp.load_average_1_min is None else f"{stamp.load_average_1_min:.2f}"
    features = f" ({', '.join(stamp.features)})" if stamp.features else ""
    return [
        f"{stamp.cpu}{features}, {stamp.cores} processors, matrix product {stamp.matrix_product_gflops} "
        f"GFLOP/s; load average {load} before; used by other processes: {others_text(report)}.",
        f"{stamp.date}, {stamp.system}, Python {stamp.python}; {versions}.",
    ]


def _agreements(report: Report) -> list[str]:
    """Say what the labels were compared with."""
    found = [row.agreement for row in report.rows if row.agreement is not None]
    if not found:
        return []
    first = found[0]
    pictures = "one picture" if first.pictures == 1 else f"{first.pictures} pictures"
    return [
        f"Labels agree: with those of {first.reference}, on {pictures}: share of equal pixels, and away from "
        "boundaries."
    ]


def _products(report: Report) -> list[str]:
    """Say what the rates of the other precisions are, or why there is none."""
    rates = [
        f"{each.precision} {each.gflops} GFLOP/s ({each.note})"
        if each.gflops is not None
        else f"{each.precision} unknown: {each.note}"
        for each in report.products
    ]
    if any(row.device != "cpu" for row in report.rows):
        rates.append("unknown for GPUs")
    return [f"Matrix product in other precisions: {'; '.join(rates)}."] if rates else []


def _csv(report: Report) -> str:
    """Write one line per row with all its numbers, times in seconds; label maps and distributions are left out."""
    plain = [replace(row, labels=(), distribution=()) for row in report.rows]
    lines = [_flat(record.to_data(row)) for row in plain]
    names = list(dict.fromkeys(name for line in lines for name in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
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


def _agreed(found: Agreed | None) -> str:
    if found is None:
        return "-"
    return f"{percent(found.counts.overall, 2)}%, {percent(found.counts.away_from_boundaries, 2)}%"


def _quartiles(found: Timing) -> str:
    low, high = found.lower_quartile * 1e3, found.upper_quartile * 1e3
    return f"{found.median * 1e3:.1f} [{low:.1f} .. {high:.1f}]"


def _number(value: float | None, scale: float, form: str) -> str:
    return "-" if value is None else format(value * scale, form)
