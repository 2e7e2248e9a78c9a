"""``fastfcn demo``: segment the bundled photograph with the bundled model."""

import argparse
import json

from fastfcn_infer.cli import exit_codes
from fastfcn_infer.cli.command import add_model_arguments, open_options

SUMMARY = "Segment the bundled photograph with the bundled model, to see that it works"
PHOTOGRAPH = "street.jpg"
CREDIT = "by Davis E. King, from dlib's examples, public domain"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        default=".",
        help="Write the two result pictures to DIR (default: the current folder)",
    )
    add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write ``fastfcn_demo_labels.png`` and ``fastfcn_demo_overlay.jpg``; print the classes."""
    from importlib import resources
    from pathlib import Path

    from fastfcn_infer.hub.models import EMBEDDED
    from fastfcn_infer.segmenter import Segmenter
    from fastfcn_infer.system.writing import check_folder, make_folder

    photograph = resources.files("fastfcn_infer") / "assets" / "demo" / PHOTOGRAPH
    folder = Path(arguments.output)
    make_folder(folder)
    check_folder(folder)
    with Segmenter.from_pretrained(**open_options(arguments)) as segmenter:
        result = segmenter.predict(photograph.read_bytes())
        runtime = segmenter.runtime
    written = [folder / "fastfcn_demo_labels.png", folder / "fastfcn_demo_overlay.jpg"]
    for path in written:
        result.save(path)
    seconds = sum(result.timings.values())
    if arguments.json:
        report = {
            "model": EMBEDDED,
            "areas": result.areas(),
            "seconds": seconds,
            "timings": dict(result.timings),
            "runtime": runtime.backend,
            "written": [str(path) for path in written],
        }
        print(json.dumps(report, indent=2))
        return exit_codes.FINE
    height, width = result.size
    print(f"model    {EMBEDDED}")
    print(f"picture  {PHOTOGRAPH}, {height} x {width}, {CREDIT}")
    print(f"runtime  {runtime.backend} ({runtime.provider}), {runtime.threads} threads")
    print()
    for name, area in result.areas().items():
        print(f"{name:<24}{area:>7.1%}  {'#' * round(40 * area)}")
    print()
    stages = ", ".join(f"{stage} {took * 1000:.0f} ms" for stage, took in result.timings.items())
    print(f"time     {seconds:.3f} s: {stages}")
    for path in written:
        print(f"wrote    {path}")
    return exit_codes.FINE
