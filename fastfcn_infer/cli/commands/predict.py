"""``fastfcn predict``: label the pictures of files, folders and globs, and write the results."""

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fastfcn_infer.cli import command, exit_codes, films, live, result_options
from fastfcn_infer.cli.output import ALL_KINDS, Output, choose_output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastfcn_infer.artifact.manifest import Model
    from fastfcn_infer.artifact.procedure import Procedure
    from fastfcn_infer.cli.inputs import Job, Skipped
    from fastfcn_infer.cli.job_record import JobRecord
    from fastfcn_infer.inference.forecast import Plan
    from fastfcn_infer.inference.probability.options import ResultOptions
    from fastfcn_infer.segmenter import Segmenter
    from fastfcn_infer.system.progress import Progress

SUMMARY = "Segment pictures, given as files, folders or globs, or on standard input"
JSON_HELP = "Print a line of JSON for each picture as soon as it is done"
_RASTERS = """\
A TIFF that is georeferenced or has more than 2048 x 2048 pixels is labelled as a raster: in windows,
with constant memory, into a tiled and compressed (Geo)TIFF, DIR/NAME_labels.tif, with the procedure tiles
unless --procedure names another. It needs fastfcn-infer[geo]. An interrupted run continues where it
stopped. A procedure that sees the whole picture (--procedure whole) labels it as any other picture.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _RASTERS
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add(
        "sources",
        nargs="+",
        metavar="SRC",
        help="Picture, video, folder, glob or list (.txt); - reads a picture from standard input; camera:0, or an "
        "address such as rtsp://HOST/PATH, is labelled until Ctrl-C",
    )
    add(
        "-o",
        "--output",
        metavar="DIR|FILE",
        help="Write the results to a folder, or the one result of one picture to a file such as out.png",
    )
    add(
        "--dry-run",
        action="store_true",
        help="Estimate views, memory and time for each size of picture; write nothing",
    )
    add(
        "-m",
        "--model",
        metavar="MODEL",
        help="Artifact, checkpoint, hub:OWNER/NAME or catalogue name (default: the embedded one)",
    )
    add(
        "--save",
        action="append",
        metavar="KIND[,KIND]",
        help=f"Results to write, of {', '.join(ALL_KINDS)} (default: labels, or what the suffix of FILE says)",
    )
    add(
        "--simplify",
        type=float,
        default=0.0,
        metavar="PIXELS",
        help="Simplify the outlines of polygons (geojson, labelme) by moving them at most that far; neighbours still "
        "share them (default: 0)",
    )
    add(
        "--min-area",
        type=int,
        default=0,
        metavar="PIXELS",
        help="Omit regions smaller than that from the polygons (default: 0)",
    )
    add(
        "--palette",
        choices=("dataset", "paddleseg", "distinct"),
        default="dataset",
        help="Colours of the classes: those of the data set, those of PaddleSeg's predict.py, or distinct ones that "
        "colour-blind people can tell apart, too (default: dataset)",
    )
    add("--recursive", action="store_true", help="Also search sub-folders")
    add(
        "--max-pixels",
        type=int,
        metavar="N",
        help="Refuse pictures of more than N pixels, except rasters, which are read in parts",
    )
    add(
        "--max-memory",
        default="1GiB",
        metavar="SIZE",
        help="Memory that a raster may use beyond the model, such as 800MiB (default: 1GiB)",
    )
    add(
        "--depth",
        type=int,
        metavar="BITS",
        help="Number of bits, 8 to 16, that pictures of 16 bits use, such as 12 (default: 16)",
    )
    add(
        "--force",
        action="store_true",
        help="Replace existing results",
    )
    add(
        "--jobs",
        type=int,
        default=2,
        metavar="N",
        help="Threads that write results while the next pictures are labelled (default: 2)",
    )
    add(
        "--resume",
        metavar="FILE",
        help="Record each finished picture as a line of JSON in FILE, and skip recorded ones",
    )
    add(
        "--json-list",
        action="store_true",
        help="Print one list of JSON at the end, not the lines of --json",
    )
    result_options.add_arguments(parser)
    films.add_arguments(parser)
    command.add_checkpoint_arguments(parser)
    command.add_procedure_arguments(parser)
    command.add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Segment the pictures one by one; a bad one is reported and skipped (exit 3)."""
    from fastfcn_infer.cli.inputs import STDIN, Skipped, jobs, standard_input
    from fastfcn_infer.inference.raster.memory import parse_memory

    output = replace(
        choose_output(
            arguments.output, None if arguments.save is None else ",".join(arguments.save)
        ),
        min_area=arguments.min_area,
        simplify=arguments.simplify,
    )
    if arguments.max_pixels is not None and arguments.max_pixels < 1:
        raise ValueError(f"--max-pixels {arguments.max_pixels}: at least 1 was expected")
    if arguments.output is None and not arguments.dry_run:
        raise ValueError("-o DIR, where the results are written, is missing (or --dry-run)")
    parse_memory(arguments.max_memory)
    films.check_arguments(arguments)
    if arguments.jobs < 1:
        raise ValueError(f"--jobs {arguments.jobs}: at least 1 was expected")
    if arguments.resume is not None and arguments.force:
        raise ValueError(
            "--resume skips what is done, and --force makes it again; give one of them"
        )
    skipped = Skipped()
    overwrite = arguments.force or arguments.dry_run
    if any(map(live.is_live, arguments.sources)):
        live.check(output, arguments)
        return _live(output, arguments)
    if arguments.sources == [STDIN]:
        output.check(1, force=overwrite)
        films.check_sources([], arguments)
        with standard_input(output.folder) as job:
            return _segment([job], output, skipped, arguments)
    found = jobs(arguments.sources, output.folder, recursive=arguments.recursive, skipped=skipped)
    output.check(len(found), force=overwrite)
    films.check_sources([job.source for job in found], arguments)
    return _segment(found, output, skipped, arguments)


def _live(output: Output, arguments: argparse.Namespace) -> int:
    """Label a camera or an address."""
    from fastfcn_infer.segmenter import Segmenter

    options = command.open_options(arguments) | command.checkpoint_options(arguments)
    of_results = result_options.result_options(arguments, output.kinds)
    chosen = command.choose(arguments)
    with Segmenter.from_pretrained(arguments.model, **options) as opened_model:
        segmenter = opened_model
        if arguments.palette != "dataset":
            segmenter = opened_model.with_palette(arguments.palette)
        segmenter.procedure = chosen(segmenter.model)
        films.check_model(segmenter.model, arguments)
        of_results.check(segmenter.model)
        report = live.label(segmenter, output, arguments, of_results)
    _tell_live(report, arguments)
    return exit_codes.SOME_FAILED if "error" in report else exit_codes.FINE


def _segment(
    found: "list[Job]", output: Output, skipped: "Skipped", arguments: argparse.Namespace
) -> int:
    from fastfcn_infer.cli.labelling import Labelling
    from fastfcn_infer.segmenter import Segmenter
    from fastfcn_infer.system.atomic import ABANDONED, sweep
    from fastfcn_infer.system.progress import Progress

    if not arguments.dry_run:
        output.check_writable(found)
    reports: list[dict[str, Any]] = []
    options = command.open_options(arguments) | command.checkpoint_options(arguments)
    of_results = result_options.result_options(arguments, output.kinds)
    chosen, of_rasters = command.choose(arguments), command.choose(arguments, "tiles")
    with (
        Segmenter.from_pretrained(arguments.model, **options) as opened_model,
        Progress("predict", total=len(found), unit="pictures") as bar,
        ExitStack() as opened,
    ):
        segmenter = opened_model
        if arguments.palette != "dataset":
            segmenter = opened_model.with_palette(arguments.palette)
        segmenter.procedure = chosen(segmenter.model)
        _check_model(segmenter.model, output, arguments, of_results)
        windows = _windows(segmenter, of_rasters, arguments.procedure is not None)
        if arguments.dry_run:
            return _dry_run(segmenter, found, windows, bar, arguments, of_results)
        for folder in {path.parent for job in found for path in output.paths(job).values()}:
            sweep(folder, ABANDONED)
        record = _record(segmenter, output, arguments, of_results, opened)
        if not arguments.force:
            fresh = [job for job in found if record is None or not record.has(job.source)]
            _refuse_others(segmenter, fresh, output, windows, arguments, of_results, record)
        try:
            labelling = Labelling(segmenter, output, windows, arguments, of_results, record)
            for report in labelling.reports(found):
                reports.append(report)
                _tell(report, bar, arguments)
            collected = labelling.collect(found)
        except OSError:  # of the disk
            bar.clear()
            print(f"{len(reports)} of {len(found)} pictures are done", file=sys.stderr)
            raise
        except KeyboardInterrupt as error:
            more = error.args or ("the same command continues there",)  # a raster's rows are kept
            done = f"{len(reports)} of {len(found)} pictures are done"
            raise KeyboardInterrupt("; ".join((done, *more))) from error
    _summarise(reports, skipped, collected, arguments)
    failed = any(report["status"] == "failed" for report in reports)
    return exit_codes.SOME_FAILED if failed else exit_codes.FINE


def _check_model(
    model: "Model", output: Output, arguments: argparse.Namespace, options: "ResultOptions"
) -> None:
    """Refuse options that do not fit the model, before anything is labelled."""
    films.check_model(model, arguments)
    options.check(model)
    classes = options.relabelling(model).grouping
    output.check_classes(classes.names, classes.colors)


def _record(
    segmenter: "Segmenter",
    output: Output,
    arguments: argparse.Namespace,
    options: "ResultOptions",
    opened: ExitStack,
) -> "JobRecord | None":
    from fastfcn_infer.cli.job_record import JobRecord

    if arguments.resume is None:
        return None
    made_by = segmenter.made_by(segmenter.procedure, arguments.depth) | options.made_by()
    made_by |= output.made_by() | films.frames_by(arguments)
    path = Path(arguments.resume)
    return opened.enter_context(JobRecord(path, made_by, output.kinds, output.folder))


def _dry_run(
    segmenter: "Segmenter",
    found: "list[Job]",
    windows: "Procedure | None",
    bar: "Progress",
    arguments: argparse.Namespace,
    options: "ResultOptions",
) -> int:
    """Print what labelling the pictures would take."""
    from fastfcn_infer.artifact.manifest import RGB
    from fastfcn_infer.cli.dry_run import Forecasts
    from fastfcn_infer.cli.labelling import survey
    from fastfcn_infer.picture.read import read_upright_size

    limit = {} if arguments.max_pixels is None else {"max_pixels": arguments.max_pixels}
    is_rgb = segmenter.model.input.channels == RGB

    def kind(path: Path) -> "Path | tuple[int, int]":
        if films.is_film(path):
            return films.announce(path, arguments)
        raster = windows is not None and survey(path) is not None
        return path if raster else read_upright_size(path, is_rgb=is_rgb, **limit)

    keep: Literal["scores"] | None = "scores" if options.need_scores else None

    def plan(kind: "Path | tuple[int, int]") -> "Plan":
        if isinstance(kind, Path) and windows is not None:
            return segmenter.plan_raster(
                kind, windows, max_memory=arguments.max_memory, depth=arguments.depth, **limit
            )
        return segmenter.plan(kind, keep=keep)  # type: ignore[arg-type] # only rasters have a plan by path

    forecasts = Forecasts(kind, plan)
    for job in found:
        forecasts.add(job)
        bar.advance()
    return forecasts.report(as_json=arguments.json or arguments.json_list)


def _windows(
    segmenter: "Segmenter", of_rasters: "Callable[[Model], Procedure]", named: bool
) -> "Procedure | None":
    """Return the procedure of rasters; None if they are labelled as all other pictures."""
    from fastfcn_infer.inference.raster.predict import can_be_labelled_in_parts

    if can_be_labelled_in_parts(segmenter.procedure):
        return segmenter.procedure
    try:
        found = of_rasters(segmenter.model)
    except ValueError:
        if named:
            raise
        return None  # the model's output allows no windows
    return found if can_be_labelled_in_parts(found) else None


def _refuse_others(
    segmenter: "Segmenter",
    found: "list[Job]",
    output: Output,
    windows: "Procedure | None",
    arguments: argparse.Namespace,
    options: "ResultOptions",
    record: "JobRecord | None",
) -> None:
    """Refuse to leave alone what another model, procedure or picture made; see `earlier_results`."""
    from fastfcn_infer.cli import earlier_results
    from fastfcn_infer.cli.earlier_results import PICTURE, hash_picture, refuse_others
    from fastfcn_infer.system.atomic import has_content

    def existing() -> "Iterator[tuple[Path, dict[str, str]]]":
        procedures = segmenter.procedure, windows or segmenter.procedure
        made_by, of_rasters = (
            segmenter.made_by(one, arguments.depth) | options.made_by() | output.made_by()
            for one in procedures
        )
        for job in found:
            film = films.is_film(job.source)
            labels = output.raster_labels(job)
            raster = windows is not None and not film and has_content(labels)
            paths = (output.film_paths(job) if film else output.paths(job)).values()
            present = [
                one
                for path in (*paths, *([labels] if raster else []))
                for one in earlier_results.found_in(path)
            ]
            of_picture = films.made_by(segmenter, arguments, options) if film else made_by
            if present and not raster and not (record and record.is_changed(job.source)):
                of_picture = {**of_picture, PICTURE: hash_picture(job.source)}
            for path in present:
                yield path, of_rasters if raster else of_picture

    refuse_others(existing())


def _tell(report: dict[str, Any], bar: "Progress", arguments: argparse.Namespace) -> None:
    """Print what becomes of a picture as soon as it is known, and count it."""
    if arguments.json and not arguments.json_list:
        bar.clear()
        print(json.dumps(report, ensure_ascii=False), flush=True)
    elif report["status"] == "failed" and not arguments.json_list:
        bar.clear()
        print(f"failed: {report['source']}: {report['error']}", file=sys.stderr)
    if report["status"] == "exists":
        bar.skip()
    else:
        bar.advance()


def _tell_live(report: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Print what became of the source."""
    if arguments.json or arguments.json_list:
        found = [report] if arguments.json_list else report
        print(json.dumps(found, ensure_ascii=False), flush=True)
    elif not arguments.quiet:
        print(
            f"{report['frames']} frames labelled, {report['dropped']} dropped while the network was busy"
        )
    if "error" in report and not arguments.json:
        print(f"failed: {report['error']}", file=sys.stderr)


def _summarise(
    reports: list[dict[str, Any]],
    skipped: "Skipped",
    collected: list[Path],
    arguments: argparse.Namespace,
) -> None:
    if arguments.json_list:
        print(json.dumps(reports, indent=2, ensure_ascii=False))
    if arguments.json_list or arguments.json or arguments.quiet:
        return
    count = {
        status: sum(report["status"] == status for report in reports)
        for status in ("done", "exists", "failed")
    }
    print(f"{count['done']} of {len(reports)} pictures segmented")
    kept = sum(len(report["kept"]) for report in reports)
    if kept:
        print(
            f"Results that existed already and were left alone: {kept}. Those that say what made them "
            "are those of this model, these pictures and these options; --force makes all again."
        )
    if collected:
        print(f"Over all pictures: {', '.join(map(str, collected))}")
    for line in skipped.lines():
        print(line)
    if count["failed"]:
        print(f"{count['failed']} failed")
