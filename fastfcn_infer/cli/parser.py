"""The parser of all commands: a wrong command line is an error of one line, and help texts are sentences."""

import argparse
from typing import Any, NoReturn


class UsageError(ValueError):
    """The command line is wrong."""


class Parser(argparse.ArgumentParser):
    """Raises `UsageError` for a wrong command line, so that it is reported like any other error.

    Takes the options of `argparse.ArgumentParser`, but for `add_help`: there always is ``--help``.
    """

    def __init__(self, **options: Any) -> None:
        """Declare ``--help``, in the words of the other options."""
        super().__init__(add_help=False, **options)
        self.add_argument(
            "-h",
            "--help",
            action="help",
            default=argparse.SUPPRESS,
            help="Show this help and exit",
        )

    def add_version(self, text: str) -> None:
        """Declare ``--version``."""
        self.add_argument(
            "--version", action="version", version=text, help="Print the version and exit"
        )

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise UsageError(f"{message}. See {self.prog} --help")
