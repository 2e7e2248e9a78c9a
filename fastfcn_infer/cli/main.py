"""The command ``fastfcn``: run a subcommand, and turn errors into exit codes."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext

from fastfcn_infer.cli import exit_codes
from fastfcn_infer.cli.command import command_names, load_command
from fastfcn_infer.cli.parser import Parser
from fastfcn_infer.system.progress import no_progress
from fastfcn_infer.system.version import __version__

_EPILOG = """\
exit codes: 0 fine, 1 a bug of ours, 2 usage, 3 some inputs failed, 4 verification failed,
5 a runtime or device is missing, 6 a file is bad or was tampered with, 7 a comparison
found something slower or labels that differ too much, 9 a result cannot be written
(disk full, read-only folder).
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run it; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments

    def work() -> int:
        parser = make_parser()
        given = parser.parse_args(words)
        if given.command is None:
            if words:
                parser.error("a COMMAND is missing")
            parser.print_help()
            return exit_codes.FINE
        with no_progress() if getattr(given, "quiet", False) else nullcontext():
            return load_command(given.command).run(given)

    program = " ".join(["fastfcn", *(word for word in words[:1] if word in command_names())])
    return exit_codes.run(
        work, as_json="--json" in words or "--json-list" in words, program=program
    )


def make_parser() -> Parser:
    """Make the parser of the command line, with one below it for each command."""
    parser = Parser(
        prog="fastfcn",
        description="FastFCN semantic segmentation: pictures in, exact masks out.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_version(f"fastfcn {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name in command_names():
        command = load_command(name)
        sub = subparsers.add_parser(
            name, help=command.SUMMARY, description=command.SUMMARY, allow_abbrev=False
        )
        command.add_arguments(sub)
        said = getattr(command, "JSON_HELP", "Print the result as JSON")
        sub.add_argument("--json", action="store_true", help=said)
    return parser


if __name__ == "__main__":
    sys.exit(main())
