"""The command ``fastfcn``: run a subcommand, and turn errors into exit codes."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from fastfcn_infer.cli import exit_codes
from fastfcn_infer.cli.command import command_names, load_command
from fastfcn_infer.system.version import __version__

_EPILOG = """\
exit codes: 0 fine, 1 a bug of ours, 2 usage, 3 some inputs failed, 4 verification failed,
5 a runtime or device is missing, 6 a file is bad or was tampered with, 7 a comparison
found something slower.
"""


class UsageError(ValueError):
    """The command line is wrong."""


class _Parser(argparse.ArgumentParser):
    """Raises an error for a wrong command line, so that it is reported like any other, also as JSON."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise UsageError(f"{message}. See {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run it; returns the exit code."""
    parser = _Parser(
        prog="fastfcn",
        description="FastFCN semantic segmentation: pictures in, exact masks out.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fastfcn {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name in command_names():
        command = load_command(name)
        sub = subparsers.add_parser(
            name, help=command.SUMMARY, description=command.SUMMARY, allow_abbrev=False
        )
        command.add_arguments(sub)
        sub.add_argument("--json", action="store_true", help="print the result as JSON")
    words = sys.argv[1:] if arguments is None else arguments

    def work() -> int:
        given = parser.parse_args(words)
        if given.command is None:
            if words:
                raise UsageError(f"a COMMAND is missing. See {parser.prog} --help")
            parser.print_help()
            return exit_codes.FINE
        return load_command(given.command).run(given)

    return exit_codes.run(work, as_json="--json" in words)


if __name__ == "__main__":
    sys.exit(main())
