"""``fastfcn predict``: label the pictures of files, folders and globs, and write the results."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastfcn_infer.cli import command, exit_codes

if TYPE_CHECKING:
    from fastfcn_infer.cli.inputs import Job
    from fastfcn_infer.segmenter import Segmenter

SUMMARY = "segment pictures, given as files, folders or globs"
KINDS = {
    "labels": ("_labels.png", "labels"),
    "overlay": ("_overlay.jpg", "overlay"),
    "color": ("_color.png", "color"),
    "json": (".json", "json"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("sources", nargs="+", metavar="SRC", help="picture, folder or glob")
    add("-o", "--output", metavar="DIR", required=True, help="write the results there")
    add(
        "-m",
        "--model",
        help="artifact, checkpoint, hub:OWNER/NAME or catalogue name (default: the embedded one)",
    )
    add(
        "--save",
        default="labels",
        metavar="KIND[,KIND]",
        help=f"results to write, of {', '.join(KINDS)} (default: labels)",
    )
    add("--recursive", action="store_true", help="search sub-folders, too")
    add("--max-pixels", type=int, metavar="N", help="refuse pictures of more pixels")
    add(
        "--depth",
        type=int,
        metavar="BITS",
        help="bits, 8 to 16, that pictures of 16 bits use, such as 12 (default: all 16)",
    )
    add(
        "--force",
        action="store_true",
        help="make results that exist again, and overwrite them",
    )
    command.add_checkpoint_arguments(parser)
    command.add_procedure_arguments(parser)
    command.add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Segment the pictures one by one; a bad one is reported and skipped (exit 3)."""
    from fastfcn_infer.cli.inputs import jobs
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
    found = jobs(arguments.sources, Path(arguments.output), recursive=arguments.recursive)
    reports = []
    options = command.open_options(arguments) | command.checkpoint_options(arguments)
    chosen = command.choose(arguments)
    with (
        Segmenter.from_pretrained(arguments.model, **options) as segmenter,
        Progress("predict", total=len(found), unit="pictures") as bar,
    ):
        segmenter.procedure = chosen(segmenter.model)
        for job in found:
            reports.append(_one(segmenter, job, kinds, arguments))
            bar.advance()
    _print(reports, as_json=arguments.json)
    failed = any(report["status"] == "failed" for report in reports)
    return exit_codes.SOME_FAILED if failed else exit_codes.FINE


def _one(
    segmenter: "Segmenter", job: "Job", kinds: list[str], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Make the results of a picture that are missing; `--force` makes all of them again."""
    from fastfcn_infer.errors import ImageError
    from fastfcn_infer.system.atomic import has_content

    report: dict[str, Any] = {"source": str(job.source)}
    targets = {kind: job.target.with_name(job.target.name + KINDS[kind][0]) for kind in kinds}
    kept = {} if arguments.force else {k: p for k, p in targets.items() if has_content(p)}
    missing = {kind: path for kind, path in targets.items() if kind not in kept}
    report["kept"] = [str(path) for path in kept.values()]
    if not missing:
        return report | {"status": "exists", "written": []}
    limit = {} if arguments.max_pixels is None else {"max_pixels": arguments.max_pixels}
    try:
        result = segmenter.predict(job.source, depth=arguments.depth, **limit)
        job.target.parent.mkdir(parents=True, exist_ok=True)
        for kind, path in missing.items():  # a JPEG cannot hold every picture
            result.save(path, kind=KINDS[kind][1])  # type: ignore[arg-type] # the four of `KINDS`
    except ImageError as error:
        return report | {"status": "failed", "error": str(error)}
    return report | {
        "status": "done",
        "written": [str(path) for path in missing.values()],
        "areas": result.areas(),
        "seconds": sum(result.timings.values()),
    }


def _print(reports: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(reports, indent=2, ensure_ascii=False))
        return
    for report in reports:
        if report["status"] == "failed":
            print(f"failed: {report['source']}: {report['error']}", file=sys.stderr)
    count = {
        status: sum(report["status"] == status for report in reports)
        for status in ("done", "exists", "failed")
    }
    print(f"{count['done']} of {len(reports)} pictures segmented")
    kept = sum(len(report["kept"]) for report in reports)
    if kept:
        print(
            f"Results that existed already and were left alone: {kept}. They were not checked "
            "against this model and these pictures; --force makes them again."
        )
    if count["failed"]:
        print(f"{count['failed']} failed")
