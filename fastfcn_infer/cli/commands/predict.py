"""``fastfcn predict``: label the pictures of files, folders and globs, and write the results."""

import argparse
import errno
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastfcn_infer.cli import command, exit_codes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastfcn_infer.artifact.manifest import Model
    from fastfcn_infer.artifact.procedure import Procedure
    from fastfcn_infer.cli.inputs import Job, Skipped
    from fastfcn_infer.inference.forecast import Plan
    from fastfcn_infer.picture.tiff import Survey
    from fastfcn_infer.segmenter import Segmenter
    from fastfcn_infer.system.progress import Progress

SUMMARY = "Segment pictures, given as files, folders or globs"
KINDS = {
    "labels": ("_labels.png", "labels"),
    "labels-raw": ("_labels_raw.png", "labels-raw"),
    "overlay": ("_overlay.jpg", "overlay"),
    "color": ("_color.png", "color"),
    "json": (".json", "json"),
}
RASTER_KINDS = {"labels": "_labels.tif", "json": ".json"}
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
LARGEST_PICTURE = 2048 * 2048  # pixels of a TIFF; larger ones are labelled as rasters
_RASTERS = """\
A TIFF that is georeferenced or has more than 2048 x 2048 pixels is labelled as a raster: in windows,
at flat memory, into a tiled and compressed (Geo)TIFF, DIR/NAME_labels.tif, with the procedure tiles
unless --procedure names another. It needs fastfcn-infer[geo]. An interrupted run continues where it
stopped. A procedure that sees the whole picture (--procedure whole) labels it as any other picture.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _RASTERS
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("sources", nargs="+", metavar="SRC", help="Picture, folder or glob")
    add("-o", "--output", metavar="DIR", help="Write the results to DIR")
    add(
        "--dry-run",
        action="store_true",
        help="Say what each size of picture would take: views, memory, time; write nothing",
    )
    add(
        "-m",
        "--model",
        metavar="MODEL",
        help="Artifact, checkpoint, hub:OWNER/NAME or catalogue name (default: the embedded one)",
    )
    add(
        "--save",
        default="labels",
        metavar="KIND[,KIND]",
        help=f"Results to write, of {', '.join(KINDS)} (default: labels)",
    )
    add("--recursive", action="store_true", help="Search sub-folders, too")
    add(
        "--max-pixels",
        type=int,
        metavar="N",
        help="Refuse pictures of more than N pixels, but for rasters that are read in parts",
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
        help="Make results again that exist, and overwrite them",
    )
    command.add_checkpoint_arguments(parser)
    command.add_procedure_arguments(parser)
    command.add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Segment the pictures one by one; a bad one is reported and skipped (exit 3)."""
    from fastfcn_infer.cli.inputs import Skipped, jobs
    from fastfcn_infer.inference.raster.memory import parse_memory
    from fastfcn_infer.segmenter import Segmenter
    from fastfcn_infer.system.progress import Progress

    kinds = [word.strip() for word in arguments.save.split(",")]
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(
            f"--save {', '.join(unknown)}: expected one or more of {', '.join(KINDS)}"
        )
    if arguments.max_pixels is not None and arguments.max_pixels < 1:
        raise ValueError(f"--max-pixels {arguments.max_pixels}: at least 1 was expected")
    if arguments.output is None and not arguments.dry_run:
        raise ValueError("-o DIR, where the results are written, is missing (or --dry-run)")
    parse_memory(arguments.max_memory)
    skipped = Skipped()
    output = Path(arguments.output or ".")
    found = jobs(arguments.sources, output, recursive=arguments.recursive, skipped=skipped)
    reports = []
    options = command.open_options(arguments) | command.checkpoint_options(arguments)
    chosen, of_rasters = command.choose(arguments), command.choose(arguments, "tiles")
    with (
        Segmenter.from_pretrained(arguments.model, **options) as segmenter,
        Progress("predict", total=len(found), unit="pictures") as bar,
    ):
        segmenter.procedure = chosen(segmenter.model)
        windows = _windows(segmenter, of_rasters, arguments.procedure is not None)
        if arguments.dry_run:
            return _dry_run(segmenter, found, windows, bar, arguments)
        if not arguments.force:
            _refuse_others(segmenter, found, kinds, windows, arguments)
        try:
            for job in found:
                reports.append(_one(segmenter, job, kinds, windows, arguments))
                bar.advance()
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt(
                f"{len(reports)} of {len(found)} pictures are done; the same command continues there",
                *error.args,
            ) from error
    _print(reports, skipped, as_json=arguments.json, quiet=arguments.quiet)
    failed = any(report["status"] == "failed" for report in reports)
    return exit_codes.SOME_FAILED if failed else exit_codes.FINE


def _dry_run(
    segmenter: "Segmenter",
    found: "list[Job]",
    windows: "Procedure | None",
    bar: "Progress",
    arguments: argparse.Namespace,
) -> int:
    """Print what labelling the pictures would take."""
    from fastfcn_infer.cli.dry_run import Forecasts
    from fastfcn_infer.picture.read import read_upright_size

    limit = {} if arguments.max_pixels is None else {"max_pixels": arguments.max_pixels}

    def kind(path: Path) -> "Path | tuple[int, int]":
        raster = windows is not None and _survey(path) is not None
        return path if raster else read_upright_size(path, **limit)

    def plan(kind: "Path | tuple[int, int]") -> "Plan":
        if isinstance(kind, Path) and windows is not None:
            return segmenter.plan_raster(
                kind, windows, max_memory=arguments.max_memory, depth=arguments.depth, **limit
            )
        return segmenter.plan(kind)  # type: ignore[arg-type] # only rasters have a plan by path

    forecasts = Forecasts(kind, plan)
    for job in found:
        forecasts.add(job.source)
        bar.advance()
    return forecasts.report(as_json=arguments.json)


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


def _one(
    segmenter: "Segmenter",
    job: "Job",
    kinds: list[str],
    windows: "Procedure | None",
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """Make the results of a picture that are missing; `--force` makes all of them again."""
    from fastfcn_infer.errors import BackendError, ImageError

    report: dict[str, Any] = {"source": str(job.source), "kept": []}
    try:
        survey = None if windows is None else _survey(job.source)
        if survey is not None and windows is not None:
            done = _raster(segmenter, job, kinds, windows, survey, arguments, report["kept"])
        else:
            done = _picture(segmenter, job, kinds, arguments, report["kept"])
    except (ImageError, BackendError) as error:
        done = {"status": "failed", "error": str(error)}
    except MemoryError as error:
        done = {
            "status": "failed",
            "error": f"{job.source} needs more memory than there is: {error}",
        }
    except OSError as error:
        if error.errno in _OF_THE_DISK:  # no other result can be written either
            raise
        done = {"status": "failed", "error": f"a result could not be written: {error}"}
    return report | done


def _refuse_others(
    segmenter: "Segmenter",
    found: "list[Job]",
    kinds: list[str],
    windows: "Procedure | None",
    arguments: argparse.Namespace,
) -> None:
    """Refuse to leave alone what another model, procedure or picture made; see `earlier_results`."""
    from fastfcn_infer.cli.earlier_results import PICTURE, hash_picture, refuse_others
    from fastfcn_infer.system.atomic import has_content

    def existing() -> "Iterator[tuple[Path, dict[str, str]]]":
        made_by = segmenter.made_by(segmenter.procedure, arguments.depth)
        of_rasters = made_by if windows is None else segmenter.made_by(windows, arguments.depth)
        for job in found:
            name = job.target.name
            endings = [KINDS[kind][0] for kind in kinds]
            labels = job.target.with_name(name + RASTER_KINDS["labels"])
            raster = windows is not None and has_content(labels)
            endings += [RASTER_KINDS["labels"]] if raster else []
            paths = [job.target.with_name(name + ending) for ending in endings]
            present = [path for path in paths if has_content(path)]
            digest = hash_picture(job.source) if present and not raster else ""
            for path in present:
                yield path, of_rasters if raster else {**made_by, PICTURE: digest}

    refuse_others(existing())


def _survey(path: Path) -> "Survey | None":
    """Look at a TIFF that is to be labelled as a raster; None for all other pictures."""
    from fastfcn_infer.inference.raster.source import survey_tiff

    found = survey_tiff(path)
    if found is None or (
        not found.georeferenced and found.width * found.height <= LARGEST_PICTURE
    ):
        return None
    return found


def _missing(
    targets: dict[str, Path], arguments: argparse.Namespace, kept: list[str]
) -> dict[str, Path]:
    """Tell which results are to be made; those that are not are added to `kept`."""
    from fastfcn_infer.system.atomic import has_content

    found = {} if arguments.force else {k: p for k, p in targets.items() if has_content(p)}
    kept += map(str, found.values())
    return {kind: path for kind, path in targets.items() if kind not in found}


def _picture(
    segmenter: "Segmenter",
    job: "Job",
    kinds: list[str],
    arguments: argparse.Namespace,
    kept: list[str],
) -> dict[str, Any]:
    targets = {kind: job.target.with_name(job.target.name + KINDS[kind][0]) for kind in kinds}
    missing = _missing(targets, arguments, kept)
    if not missing:
        return {"status": "exists", "written": []}
    from dataclasses import replace

    from fastfcn_infer.cli import earlier_results

    limit = {} if arguments.max_pixels is None else {"max_pixels": arguments.max_pixels}
    digest = earlier_results.hash_picture(job.source)
    result = segmenter.predict(job.source, depth=arguments.depth, **limit)
    made_by = {**result.provenance, earlier_results.PICTURE: digest}
    result = replace(result, provenance=made_by)
    job.target.parent.mkdir(parents=True, exist_ok=True)
    for kind, path in missing.items():  # a JPEG cannot hold every picture
        result.save(path, kind=KINDS[kind][1])  # type: ignore[arg-type] # those of `KINDS`
    return {
        "status": "done",
        "written": [str(path) for path in missing.values()],
        "areas": result.areas(),
        "seconds": sum(result.timings.values()),
    }


def _raster(
    segmenter: "Segmenter",
    job: "Job",
    kinds: list[str],
    windows: "Procedure",
    survey: "Survey",
    arguments: argparse.Namespace,
    kept: list[str],
) -> dict[str, Any]:
    from fastfcn_infer.errors import ImageError
    from fastfcn_infer.system.atomic import has_content

    impossible = [kind for kind in kinds if kind not in RASTER_KINDS]
    if impossible:
        raise ImageError(
            f"{job.source} is labelled as a raster, and --save {','.join(impossible)} is for pictures "
            f"only: of a raster, {' and '.join(RASTER_KINDS)} can be saved. The labels have their "
            "colours; a program for maps shows them."
        )
    targets = {kind: job.target.with_name(job.target.name + RASTER_KINDS[kind]) for kind in kinds}
    missing = _missing(targets, arguments, kept)
    if not missing:
        return {"status": "exists", "written": []}
    labels = job.target.with_name(job.target.name + RASTER_KINDS["labels"])
    if has_content(labels) and not arguments.force:
        raise ImageError(
            f"{labels} exists, and {' and '.join(map(str, missing.values()))} of this raster would be "
            "made together with it; --force makes both."
        )
    line = "\r\x1b[K" if sys.stderr.isatty() else ""  # over the bar
    if not arguments.quiet:
        print(
            f"{line}{job.source}: {survey.height} x {survey.width} pixels (height x width), labelled as a raster "
            f"with the procedure {windows.kind}",
            file=sys.stderr,
        )
    job.target.parent.mkdir(parents=True, exist_ok=True)
    limit = {} if arguments.max_pixels is None else {"max_pixels": arguments.max_pixels}
    result = segmenter.predict_raster(
        job.source,
        labels,
        windows,
        max_memory=arguments.max_memory,
        depth=arguments.depth,
        **limit,
    )
    if "json" in missing:
        result.save_json(missing["json"])
    return {
        "status": "done",
        "written": [str(path) for path in ({"labels": labels} | missing).values()],
        "areas": result.areas(),
        "seconds": sum(result.timings.values()),
        "resumed_rows": result.resumed,
    }


def _print(
    reports: list[dict[str, Any]], skipped: "Skipped", *, as_json: bool, quiet: bool
) -> None:
    if as_json:
        print(json.dumps(reports, indent=2, ensure_ascii=False))
        return
    for report in reports:
        if report["status"] == "failed":
            print(f"failed: {report['source']}: {report['error']}", file=sys.stderr)
    if quiet:
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
    for line in skipped.lines():
        print(line)
    if count["failed"]:
        print(f"{count['failed']} failed")
