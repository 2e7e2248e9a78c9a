"""``fastfcn benchmark``: measure how fast models are on this machine; compare with an earlier run."""

import argparse
import re
import sys
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from fastfcn_infer.cli import exit_codes, streams
from fastfcn_infer.cli.command import (
    add_model_arguments,
    add_procedure_arguments,
    choose,
    read_size,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastfcn_infer.artifact.artifact import Artifact
    from fastfcn_infer.artifact.manifest import Model
    from fastfcn_infer.artifact.procedure import Procedure
    from fastfcn_infer.artifact.variant import GraphPrecision
    from fastfcn_infer.benchmark.measure import Candidate
    from fastfcn_infer.benchmark.report import Report
    from fastfcn_infer.benchmark.workload import Case

SUMMARY = "Measure speed, memory and cold start of models; compare with an earlier run"
FORMATS = ("table", "json", "csv", "md", "html")
_BATCH = 8  # pictures of a run of predict_batch


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
        metavar="HxW[,HxW]",
        help="Height x width of the picture (default: 480x480)",
    )
    add(
        "--scenario",
        default="single",
        metavar="NAME[,NAME]",
        help="Scenarios: single, one call after the other; batch, predict_batch; stream, of decoded pictures; "
        "folder, from picture files to written labels and overlays (default: single)",
    )
    add(
        "--images",
        metavar="DIR",
        help="Pictures to label at their own sizes, a folder or a glob (default: the demo picture at --size)",
    )
    add(
        "--count",
        type=int,
        metavar="N",
        help="Number of pictures in a run of stream and folder, and most pictures of --images (default: 16)",
    )
    add(
        "--batch",
        metavar="N[,N]",
        help="Number of pictures in a run of single and batch (default: 1, and 8 for batch)",
    )
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
    add(
        "-o",
        "--output",
        metavar="FILE",
        help="Write the report to FILE, not to standard output; needed for --format html",
    )
    add_procedure_arguments(parser)
    add_model_arguments(parser)
    parser.epilog = (
        "--backend and --precision take several names, separated by commas, and time them in turn. Labels "
        "are compared with those of the first one."
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure and print the report; exit with 7 if a row became slower than was allowed."""
    from dataclasses import replace

    from fastfcn_infer.benchmark.compare import compare
    from fastfcn_infer.benchmark.measure import check_seconds, measure
    from fastfcn_infer.system.progress import Progress

    # Wrong options, and a base that cannot be read, are reported before minutes are spent.
    check_seconds(arguments.seconds)
    form = "json" if arguments.json else arguments.format
    _check_output(arguments.output, form)
    images = _images(arguments)
    cases = _cases(arguments, images)
    allowed = _share(arguments.max_regress)
    base = None if arguments.compare is None else _base(arguments.compare)
    chosen = choose(arguments)
    with ExitStack() as opened:
        candidates = _candidates(arguments, chosen, opened)
        total = len(candidates) * len(cases) * arguments.seconds
        with Progress("benchmark", total=round(total), unit="s") as bar:
            report = measure(
                candidates, cases, seconds=arguments.seconds, images=images, advance=bar.advance
            )
    if base is not None:
        found = compare(report, base, arguments.compare, allowed)
        report = replace(report, comparison=found)
    _write(report, form, arguments.output)
    slower = report.comparison is not None and report.comparison.regressed
    return exit_codes.TOO_DIFFERENT if slower else exit_codes.FINE


def _candidates(
    arguments: argparse.Namespace, chosen: "Callable[[Model], Procedure]", opened: ExitStack
) -> list["Candidate"]:
    """Open every model in every backend and precision; one graph is never opened twice in the same."""
    from fastfcn_infer.benchmark.measure import Candidate
    from fastfcn_infer.errors import ArtifactError, BackendError, UnknownName
    from fastfcn_infer.runtime.opening import open_as_asked
    from fastfcn_infer.runtime.precision import check_precision, graph_precision
    from fastfcn_infer.segmenter import Segmenter
    from fastfcn_infer.system.warn import warn

    precisions = list(dict.fromkeys(_words(arguments.precision)))
    for precision in precisions:
        check_precision(precision)
    found = {
        (model, made_in): _find(model, made_in, arguments)
        for made_in in dict.fromkeys(map(graph_precision, precisions))
        for model in arguments.models
    }
    names = [found[model, graph_precision(precisions[0])].model.name for model in arguments.models]
    if len(set(names)) < len(names):
        names = list(arguments.models)  # two exports of one checkpoint
    candidates: dict[tuple[str, str, str], Candidate] = {}
    failed: dict[tuple[str, str, str], ArtifactError | BackendError] = {}
    done = set[tuple[str, str]]()  # model with a backend, or with a precision, that was opened
    for model, name in zip(arguments.models, names, strict=True):
        for asked, precision in product(_words(arguments.backend), precisions):
            artifact = found[model, graph_precision(precision)]
            try:
                backend = open_as_asked(
                    asked,
                    artifact,
                    device=arguments.device,
                    threads=arguments.threads,
                    precision=precision,
                    cache=_cache(arguments),
                )
            except UnknownName:
                raise
            except (ArtifactError, BackendError) as error:
                failed[name, asked, precision] = error
                continue
            done.add((name, asked))
            done.add((name, precision))
            segmenter = opened.enter_context(Segmenter(artifact, backend, chosen(artifact.model)))
            facts = backend.facts
            candidate = Candidate(name, segmenter, backend)
            candidates[name, facts.backend, facts.precision] = candidate
    for (name, asked, precision), why in failed.items():
        if not {(name, asked), (name, precision)} <= done:  # it is not measured in any other way
            raise why
        warn(f"{name} in {asked} and {precision} is left out: {why}")
    return list(candidates.values())


def _find(model: str, precision: "GraphPrecision", arguments: argparse.Namespace) -> "Artifact":
    from fastfcn_infer.hub.conversion import Conversion
    from fastfcn_infer.hub.models import find_model

    conversion = Conversion(precision=precision)
    return find_model(model, _cache(arguments), conversion, local_files_only=arguments.offline)


def _cache(arguments: argparse.Namespace) -> Path | None:
    return None if arguments.cache_dir is None else Path(arguments.cache_dir)


def _images(arguments: argparse.Namespace) -> tuple[Path, ...]:
    from fastfcn_infer.benchmark.workload import PASS, find_images

    if arguments.count is not None and arguments.count < 1:
        raise ValueError(f"--count {arguments.count}: at least 1 was expected")
    if arguments.images is None:
        return ()
    if arguments.size is not None:
        raise ValueError("--images are labelled at their own sizes; leave out --size")
    return find_images(Path(arguments.images), arguments.count or PASS)


def _cases(arguments: argparse.Namespace, images: tuple[Path, ...]) -> list["Case"]:
    """Return what is measured: scenario by scenario, every size and batch of each."""
    from fastfcn_infer.benchmark.workload import PASS, Case, check_scenario, sizes_of

    scenarios = [check_scenario(name) for name in _words(arguments.scenario)]
    sizes = (
        sizes_of(images)[:1]
        if images
        else [read_size("--size", text) for text in _words(arguments.size or "480x480")]
    )
    batches = None if arguments.batch is None else list(map(_batch, _words(arguments.batch)))
    if batches is not None and not set(scenarios) & {"single", "batch"}:
        raise ValueError("--batch is for the scenarios single and batch; see --count")
    default = {"single": 1, "batch": _BATCH}
    cases = []
    for scenario in scenarios:
        one_pass = [arguments.count or PASS]
        counts = (batches or [default[scenario]]) if scenario in default else one_pass
        cases += [Case(size, count, scenario) for size in sizes for count in counts]
    return list(dict.fromkeys(cases))


def _batch(text: str) -> int:
    if re.fullmatch(r"[1-9]\d{0,3}", text) is None:
        raise ValueError(f"--batch {text}: a number from 1 to 9999 was expected")
    return int(text)


def _share(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)%?", text.strip())
    if match is None:
        raise ValueError(f"--max-regress {text}: a percentage was expected, such as 5%")
    return float(match[1]) / 100


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _base(path: str) -> "Report":
    from fastfcn_infer.benchmark.label_maps import check_labels
    from fastfcn_infer.benchmark.report import read_report
    from fastfcn_infer.system.small_file import read_small_file

    try:
        return check_labels(read_report(read_small_file(path)))
    except ValueError as error:
        raise ValueError(
            f"--compare {path}: a report that `fastfcn benchmark --format json` wrote was "
            f"expected: {error}"
        ) from error


def _check_output(output: str | None, form: str) -> None:
    """Refuse a file that cannot be written, and formats that cannot be made, before minutes are spent."""
    from fastfcn_infer.system.writing import check_folder

    if form == "html":
        from fastfcn_infer.benchmark.figures import load_matplotlib

        if output is None:
            raise ValueError("--format html needs -o FILE.html, which the report is written to")
        load_matplotlib()
    if output is not None:
        path = Path(output)
        if path.is_dir():
            raise ValueError(f"-o {output} is a folder; a file was expected")
        check_folder(path.parent)


def _write(report: "Report", form: str, output: str | None) -> None:
    """Print the report, or write it to a file, and print the comparison."""
    from fastfcn_infer.benchmark.report import comparison_lines, write_report
    from fastfcn_infer.system.atomic import write_file
    from fastfcn_infer.system.writing import make_folder

    if form == "html":
        from fastfcn_infer.benchmark.html_report import html_report

        text = html_report(report)
    else:
        text = write_report(report, form)
    if output is not None:
        make_folder(Path(output).parent)
        write_file(Path(output), f"{text}\n".encode())
    else:
        with streams.lossless_output(
            as_json=form == "json"
        ):  # it is read as a file of UTF-8 later
            print(text)
    if report.comparison is not None and (form != "json" or output is not None):
        # A CSV must stay one.
        stream = sys.stderr if form == "csv" else sys.stdout
        for line in comparison_lines(report.comparison):
            print(line, file=stream)
