"""What a subcommand of `fastfcn` offers; `commands/` holds one file per subcommand.

A file of `commands/` imports what it needs inside `run`, so that ``fastfcn --help`` is quick.
"""

import argparse
from typing import Any, Protocol, cast

from fastfcn_infer.system import registry

_PACKAGE = "fastfcn_infer.cli.commands"


class Command(Protocol):
    """What a file of `commands/` offers; its file name is the command's name."""

    SUMMARY: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do the work: results to stdout, progress to stderr; returns the exit code."""


def command_names() -> tuple[str, ...]:
    """List the subcommands."""
    return registry.names(_PACKAGE)


def load_command(name: str) -> Command:
    """Import a subcommand."""
    return cast("Command", registry.load(_PACKAGE, name))


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of every command that opens a model; see `open_options`."""
    parser.add_argument(
        "--device",
        default="auto",
        help="to run on: auto (the default), cpu, cuda, cuda:N or tensorrt",
    )
    runtimes = ", ".join(registry.names("fastfcn_infer.runtime.backends"))
    parser.add_argument(
        "--backend", default="auto", help=f"runtime: auto (the default), {runtimes}"
    )
    parser.add_argument(
        "--threads", type=int, help="to compute with (default: one per available processor)"
    )
    parser.add_argument("--cache-dir", metavar="DIR", help="keep downloads and conversions there")
    parser.add_argument("--offline", action="store_true", help="download nothing")


def add_checkpoint_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that describe a checkpoint; see `checkpoint_options`."""
    add = parser.add_argument
    add(
        "--classes",
        metavar="NAME|FILE.json",
        help="classes of a checkpoint: name of a class table, or a file",
    )
    add("--dialect", help="dialect of a checkpoint (default: found from its keys)")
    add(
        "--output-stride",
        type=int,
        choices=(8, 16, 32),
        help="output stride of a checkpoint's backbone",
    )


def checkpoint_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the keyword arguments of `Segmenter.from_pretrained` that a checkpoint needs."""
    return {
        "classes": arguments.classes,
        "dialect": arguments.dialect,
        "output_stride": arguments.output_stride,
    }


def open_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the keyword arguments of `Segmenter.from_pretrained`."""
    return {
        "device": arguments.device,
        "backend": arguments.backend,
        "threads": arguments.threads,
        "cache_dir": arguments.cache_dir,
        "local_files_only": arguments.offline,
    }
