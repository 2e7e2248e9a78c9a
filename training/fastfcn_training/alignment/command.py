"""``fastfcn-train align``: five comparisons with the original code, each with a report."""

import argparse
import json
import sys
import time
from pathlib import Path

from fastfcn_infer.cli import exit_codes
from fastfcn_infer.cli.parser import Parser
from fastfcn_infer.system.machine import versions
from fastfcn_infer.system.writing import check_folder, make_folder
from fastfcn_training.alignment.check import Comparison, Setting, check_names, load_check
from fastfcn_training.alignment.reference import RECORDED, read_reference
from fastfcn_training.alignment.report import report_data, report_text, write_report
from fastfcn_training.paddle_setup import start

SUMMARY = "Compare this training with recorded values of the original code"


def make_parser() -> Parser:
    """Make the parser of the command line."""
    parser = Parser(prog="fastfcn-train align", description=SUMMARY, allow_abbrev=False)
    add = parser.add_argument
    add(
        "--reference",
        type=Path,
        default=RECORDED,
        metavar="FILE",
        help="File of recorded values (default: those of the original code, included in the package)",
    )
    add(
        "-o",
        "--output-folder",
        dest="folder",
        type=Path,
        default=Path("alignment"),
        metavar="DIR",
        help="Folder for the reports NAME.json and NAME.txt (default: alignment)",
    )
    add(
        "--only",
        action="append",
        choices=check_names(),
        metavar="NAME",
        help=f"Comparison to run; may be repeated: {', '.join(check_names())}",
    )
    add(
        "--camvid",
        type=Path,
        metavar="ROOT",
        help="Folder of CamVid, for train_align_diff (default: generated pictures)",
    )
    add("--quiet", action="store_true", help="Print no progress: the result only")
    add("--json", action="store_true", help="Print the result as JSON")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Compare, write the reports, and return exit code 4 if something differs.

    Everything is computed on the CPU, as the recorded values were.
    """
    check_folder(arguments.folder)
    lines = start.start("cpu")
    if not arguments.quiet:
        for line in lines:
            print(line, file=sys.stderr)
    setting = Setting(read_reference(arguments.reference), arguments.camvid)
    make_folder(arguments.folder)
    found: dict[str, Comparison] = {}
    for name in arguments.only or check_names():
        check = load_check(name)
        if not arguments.quiet:
            print(f"{name}: {check.SUMMARY} ...", file=sys.stderr, flush=True)
        began = time.perf_counter()
        found[name] = check.compare(setting)
        seconds = time.perf_counter() - began
        write_report(arguments.folder, name, found[name], versions(), seconds)
        if not arguments.json:
            print(report_text(name, found[name]), flush=True)
    passed = all(comparison.passed for comparison in found.values())
    if arguments.json:
        reports = {name: report_data(comparison) for name, comparison in found.items()}
        print(json.dumps({"passed": passed, "comparisons": reports}, indent=1, allow_nan=False))
    else:
        print(f"{'aligned' if passed else 'NOT aligned'}; the reports are in {arguments.folder}")
    return exit_codes.FINE if passed else exit_codes.NOT_VERIFIED
