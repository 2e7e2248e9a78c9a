"""``fastfcn benchmark``: measure how fast models are on this machine; compare with an earlier run."""

import argparse
import re
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from fastfcn_infer.cli import exit_codes, streams
from fastfcn_infer.cli.command import add_model_arguments, add_procedure_arguments, choose

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastfcn_infer.artifact.manifest import Model
    from fastfcn_infer.artifact.procedure import Procedure
    from fastfcn_infer.benchmark.measure import Candidate, Case
    from fastfcn_infer.benchmark.report import Report

SUMMARY = "Measure speed, memory and cold start of models; compare with an earlier run"
FORMATS = ("table", "json", "csv", "md")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add(
        "models",
        nargs="+",
        metavar="MODEL",
        help="Artifact, checkpoint, hub:OWNER/NAME or catalogue name",
    )
    add(
        "--size",
        default="480x480",
        metavar="HxW[,HxW]",
        help="Height x width of the picture (default: 480x480)",
    )
    add("--batch", default="1", metavar="N[,N]", help="Pictures at a time (default: 1)")
    add(
        "--seconds",
        type=float,
        default=5.0,
        metavar="S",
        help="Seconds of timed runs for each row (default: 5)",
    )
    add(
        "--compare",
        metavar="BASE.json",
        help="Compare with a report of --format json; the exit code is 7 if something is slower",
    )
    add(
        "--max-regress",
        default="5%",
        metavar="PERCENT",
        help="How much slower is accepted (default: 5%%)",
    )
    add("--format", choices=FORMATS, default="table", help="Format of the report (default: table)")
    add_procedure_arguments(parser)
    add_model_arguments(parser)
    parser.epilog = (
        "--backend takes several runtimes, separated by commas, and times them in turn."
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure and print the report; exit with 7 if a row became slower than was allowed."""
    from dataclasses import replace

    from fastfcn_infer.benchmark.compare import compare
    from fastfcn_infer.benchmark.measure import check_seconds, measure
    from fastfcn_infer.system.progress import Progress

    # Wrong options, and a base that cannot be read, are reported before minutes are spent.
    check_seconds(arguments.seconds)
    cases = _cases(arguments.size, arguments.batch)
    allowed = _share(arguments.max_regress)
    base = None if arguments.compare is None else _base(arguments.compare)
    chosen = choose(arguments)
    with ExitStack() as opened:
        candidates = _candidates(arguments, chosen, opened)
        total = len(candidates) * len(cases) * arguments.seconds
        with Progress("benchmark", total=round(total), unit="s") as bar:
            report = measure(candidates, cases, seconds=arguments.seconds, advance=bar.advance)
    if base is not None:
        found = compare(report, base, arguments.compare, allowed)
        report = replace(report, comparison=found)
    _print(report, "json" if arguments.json else arguments.format)
    slower = report.comparison is not None and report.comparison.regressed
    return exit_codes.TOO_SLOW if slower else exit_codes.FINE


def _candidates(
    arguments: argparse.Namespace, chosen: "Callable[[Model], Procedure]", opened: ExitStack
) -> list["Candidate"]:
    """Open every model in every backend; one graph is never opened twice by the same backend."""
    from fastfcn_infer.benchmark.measure import Candidate
    from fastfcn_infer.hub.conversion import Conversion
    from fastfcn_infer.hub.models import find_model
    from fastfcn_infer.runtime.backend import open_backend
    from fastfcn_infer.runtime.precision import check_precision, precision_to_export
    from fastfcn_infer.segmenter import Segmenter
    from fastfcn_infer.system.machine import cpu_budget

    threads = cpu_budget().threads if arguments.threads is None else arguments.threads
    cache = None if arguments.cache_dir is None else Path(arguments.cache_dir)
    check_precision(arguments.precision)
    conversion = Conversion(precision=precision_to_export(arguments.precision))
    found = [
        find_model(model, cache, conversion, local_files_only=arguments.offline)
        for model in arguments.models
    ]
    names = [artifact.model.name for artifact in found]
    if len(set(names)) < len(names):
        names = list(arguments.models)  # two exports of one checkpoint
    candidates: dict[tuple[str, str], Candidate] = {}
    for name, artifact in zip(names, found, strict=True):
        for asked in _words(arguments.backend):
            backend = open_backend(
                asked,
                artifact,
                device=arguments.device,
                threads=threads,
                precision=arguments.precision,
            )
            segmenter = opened.enter_context(Segmenter(artifact, backend, chosen(artifact.model)))
            candidates[name, backend.facts.backend] = Candidate(name, segmenter, backend)
    return list(candidates.values())


def _cases(sizes: str, batches: str) -> list["Case"]:
    from fastfcn_infer.artifact.limits import LARGEST_VIEW
    from fastfcn_infer.benchmark.measure import Case

    cases = []
    for size in _words(sizes):
        match = re.fullmatch(r"([1-9]\d{0,8})[xX]([1-9]\d{0,8})", size)
        if match is None or int(match[1]) * int(match[2]) > LARGEST_VIEW:
            raise ValueError(f"--size {size}: height x width was expected, such as 512x1024")
        for batch in _words(batches):
            if re.fullmatch(r"[1-9]\d{0,3}", batch) is None:
                raise ValueError(f"--batch {batch}: a number from 1 to 9999 was expected")
            cases.append(Case((int(match[1]), int(match[2])), int(batch)))
    return list(dict.fromkeys(cases))


def _share(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)%?", text.strip())
    if match is None:
        raise ValueError(f"--max-regress {text}: a percentage was expected, such as 5%")
    return float(match[1]) / 100


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _base(path: str) -> "Report":
    from fastfcn_infer.benchmark.report import read_report

    try:
        return read_report(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(
            f"--compare {path}: a report that `fastfcn benchmark --format json` wrote was "
            f"expected: {error}"
        ) from error


def _print(report: "Report", form: str) -> None:
    from fastfcn_infer.benchmark.report import comparison_lines, write_report

    with streams.lossless_output(as_json=form == "json"):  # it is read as a file of UTF-8 later
        print(write_report(report, form))
    if report.comparison is not None and form != "json":
        # A CSV must stay one.
        stream = sys.stderr if form == "csv" else sys.stdout
        for line in comparison_lines(report.comparison):
            print(line, file=stream)
