"""The command ``fastfcn-train``: pictures with labels in, a checkpoint for ``fastfcn-export`` out."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fastfcn_infer import __version__, exit_codes

_EPILOG = """\
exit codes: 0 fine, 1 a bug of ours or a training that cannot go on, 2 usage, 3 a picture or the data
set cannot be read, 5 Paddle or a device is missing, 6 a checkpoint is damaged, 130 interrupted.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run it; returns the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if (given.recipe is None) == (given.resume is None):
        parser.error("exactly one of --recipe and --resume was expected")
    if given.run is None:
        given.run = given.resume
    if given.run is None:
        parser.error("-o RUN is missing")
    return exit_codes.run(lambda: _run(given), as_json=given.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastfcn-train",
        description="Train a FastFCN.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--recipe", metavar="NAME|FILE.json", help="what to learn and how")
    add("--resume", type=Path, metavar="RUN", help="go on with an interrupted training")
    add("-o", "--output-folder", dest="run", type=Path, metavar="RUN", help="checkpoints and logs")
    add("--root", type=Path, required=True, metavar="DIR", help="where the data set lies")
    add("--workers", type=int, default=2, metavar="N", help="processes that read pictures")
    add("--keep", type=int, default=3, metavar="K", help="last checkpoints to keep")
    add("--log-every", type=int, default=20, metavar="N", help="iterations")
    add("--device", default="auto", help="auto, cpu, gpu or gpu:N")
    add("--json", action="store_true", help="print the result as JSON")
    add("--version", action="version", version=f"fastfcn-train {__version__}")
    return parser


def _run(given: argparse.Namespace) -> int:
    # Imported late: --help and --version answer at once, and processors come before Paddle.
    from fastfcn_training import session

    return session.run(given)


if __name__ == "__main__":
    sys.exit(main())
