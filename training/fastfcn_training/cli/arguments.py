"""The command line of ``fastfcn-train``: its options, and which part of the program each is for."""

import argparse
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from fastfcn_infer.cli.parser import Parser
from fastfcn_infer.system.version import __version__
from fastfcn_training.cli import overrides, run_options
from fastfcn_training.cli.overrides import Overrides
from fastfcn_training.cli.recipe_source import load_source, source_names
from fastfcn_training.cli.run_options import RunOptions

_USAGE = """\
fastfcn-train (--dataset NAME | --config FILE.yml | --recipe NAME) --root DIR -o RUN [option ...]
       fastfcn-train --resume RUN --root DIR
       fastfcn-train align [option ...]
"""
_DESCRIPTION = """\
Train a FastFCN. Describe the training in one of three ways, or continue one with --resume RUN.
`fastfcn-train align` compares this implementation with recorded values of the original code.
"""
_EPILOG = """\
several GPUs: python -m paddle.distributed.launch --gpus 0,1 fastfcn-train ...

exit codes: 0 success, 1 a bug in this program, 2 wrong usage, 3 a picture or the data set cannot be
read, 4 the exported graph differs from the network, 5 Paddle or a device is missing, 6 a checkpoint
is damaged or does not fit, 8 the training cannot continue, 9 something cannot be written (disk full,
read-only folder), 130 interrupted and saved.
"""


@dataclass(frozen=True)
class Request:
    """What the command line asks for.

    Args:
        source: name of the recipe source; None: the recipe is that of the run to resume.
        options: of the recipe source.
        overrides: changes to the recipe.
        run_options: the fields of `RunOptions` that were given.
    """

    source: str | None
    options: Any
    overrides: Overrides
    run_options: Mapping[str, Any]


def make_parser() -> Parser:
    """Make the parser; options that are not given are not in its namespace."""
    parser = Parser(
        prog="fastfcn-train",
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        # The original's --batch-size and PaddleSeg's --batch_size differ: no guessing.
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="Print the result as JSON")
    parser.add_version(f"fastfcn-train {__version__}")
    for name in source_names():
        source = load_source(name)
        source.add_arguments(parser.add_argument_group(source.TITLE))
    overrides.add_arguments(
        parser.add_argument_group("changes to the recipe, whatever its source")
    )
    run_options.add_arguments(
        parser.add_argument_group("how the training is run, and the weights it starts from")
    )
    return parser


def read_request(given: Mapping[str, Any]) -> Request:
    """Sort the options that were given.

    Raises:
        ValueError: some contradict each other, or none describes a training.
    """
    by_source = {name: _select(load_source(name).Options, given) for name in source_names()}
    by_source = {name: options for name, options in by_source.items() if options}
    changes = _select(Overrides, given)
    run = _select(RunOptions, given)
    if len(by_source) > 1:
        first, second, *_ = by_source.values()
        raise ValueError(
            f"{_flag(first)} and {_flag(second)} belong to two different ways of describing a "
            "training; use one of them"
        )
    if "formats" in run and "export" not in run:
        raise ValueError(
            f"{_flag(['formats'])} is the format of --export FOLDER, which is missing"
        )
    if not by_source:
        if "resume" not in run:
            raise ValueError(
                "which training? Give --dataset, --config or --recipe, or continue one with "
                "--resume RUN"
            )
        if changes:
            raise ValueError(
                f"{_flag(changes)} would change the training that is resumed; start a new one from "
                "its weights instead (--weights FILE)"
            )
        return Request(None, None, Overrides(), run)
    ((name, options),) = by_source.items()
    kind = load_source(name).Options
    missing = [f.name for f in fields(kind) if f.default is MISSING and f.name not in options]
    if missing:
        raise ValueError(f"{_flag(options)} needs {_flag(missing)}")
    return Request(name, kind(**options), Overrides(**changes), run)


def _select(kind: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Select the options that are fields of a dataclass."""
    found = {field.name: given[field.name] for field in fields(kind) if field.name in given}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in found.items()}


def _flag(names: Mapping[str, Any] | list[str]) -> str:
    """Give the command-line option that sets the first of some fields."""
    name = next(iter(names))
    return next(a.option_strings[0] for a in make_parser()._actions if a.dest == name)
