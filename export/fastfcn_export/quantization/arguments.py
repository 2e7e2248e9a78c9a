"""The options of ``fastfcn-export --precision int8``."""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from fastfcn_infer.cli import command
from fastfcn_infer.cli.parser import Parser
from fastfcn_infer.system import registry

if TYPE_CHECKING:
    from fastfcn_export.quantization.settings import QuantizationSettings
    from fastfcn_infer.data.dataset import Dataset

_DATASETS = "fastfcn_infer.data.datasets"
_SETTINGS = ("min_agreement", "max_loss", "calibration_pictures", "search_seconds")
_OF_DATASETS = ("root", "split", "map_labels", "ignore_names", "max_loss")
# Options that say nothing without --precision int8, as argparse names them.
_ONLY_HERE = (*_SETTINGS, "calibrate", "root", "split", "map_labels", "reduce_range")


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    from fastfcn_infer.data import label_options

    names = ", ".join(registry.names(_DATASETS))
    add = parser.add_argument_group(
        "int8: --precision int8 adds a graph to an artifact"
    ).add_argument
    add(
        "--calibrate",
        metavar="PICTURES|DATASET",
        help="Pictures similar to those that the model will see: a folder, a glob, a list of paths (.txt), or a data set "
        f"with --root: {names}. Two of three calibrate, the others check the result",
    )
    add("--root", type=Path, metavar="DIR", help="Folder of the data set")
    add("--split", metavar="PART", help="Part of the data set (default: train)")
    add("--map-labels", metavar="VALUE=LABEL[,...]", help=label_options.MAP_HELP)
    add(
        "--ignore-names",
        action="store_true",
        help="Accept a data set whose classes have other names in the same order",
    )
    add(
        "--min-agreement",
        type=float,
        metavar="SHARE",
        help="Share of the pixels whose label must equal float32's (default: 0.95; with --precision fp16, on the verification's picture, 0.995)",
    )
    add(
        "--max-loss",
        type=float,
        metavar="POINTS",
        help="Mean IoU that may be lost, in points; with a labelled data set (default: 0.5)",
    )
    add(
        "--calibration-pictures",
        type=int,
        metavar="N",
        help="Calibrate on N pictures at most, and hold out half as many (default: 60)",
    )
    add(
        "--search-seconds",
        type=float,
        metavar="N",
        help="Stop trying other graphs after N seconds (default: 600)",
    )
    add(
        "--reduce-range",
        action="store_true",
        help="Use 7 bits of weights, for processors without VNNI, on which sums could overflow",
    )


def check(given: argparse.Namespace) -> None:
    """Refuse a command line that lacks an option of int8, or has one in vain.

    Raises:
        ValueError: it does; with the whole command where that can be said.
    """
    if given.precision != "int8":
        said = [name for name in _ONLY_HERE if getattr(given, name) not in (None, False)]
        if given.precision == "fp16" and "min_agreement" in said:
            said.remove("min_agreement")
        if said or given.ignore_names:
            options = ", ".join(_option(name) for name in said) or "--ignore-names"
            raise ValueError(
                f"{options}: for --precision int8 only{_command(given) if given.calibrate else ''}"
            )
    elif given.calibrate is None:
        raise ValueError(
            f"--precision int8 needs pictures to calibrate on: {_command(given, 'PICTURES')}"
        )
    elif given.verify == "off":
        raise ValueError(
            "--verify off: a graph in int8 is not written without proof. Leave it out, or require less with "
            "--min-agreement 0"
        )
    elif given.dry_run:
        raise ValueError("--dry-run describes checkpoints; leave --precision int8 out for that")
    elif _is_dataset(given.calibrate) and given.root is None:
        raise ValueError(
            f"--calibrate {given.calibrate} is a data set: give its folder, --root DIR. (A folder of that name is "
            f"./{given.calibrate})"
        )
    elif not _is_dataset(given.calibrate):
        said = [
            _option(name) for name in _OF_DATASETS if getattr(given, name) not in (None, False)
        ]
        if said:
            raise ValueError(
                f"{', '.join(said)}: only for a data set, and --calibrate {given.calibrate} is none of "
                f"{', '.join(registry.names(_DATASETS))}"
            )


def settings(given: argparse.Namespace) -> "QuantizationSettings":
    """Return what is required.

    Raises:
        ValueError: a number is out of its range.
    """
    from fastfcn_export.quantization.settings import QuantizationSettings

    said = {name: getattr(given, name) for name in _SETTINGS if getattr(given, name) is not None}
    return QuantizationSettings(**said, reduce_range=given.reduce_range)


def pictures(given: argparse.Namespace) -> "str | Dataset":
    """Return the pictures, as `quantize` takes them.

    Raises:
        DatasetError: the data set is not laid out as expected.
        ValueError: ``--map-labels`` is not VALUE=LABEL, or ``--max-loss`` is asked for without labels.
    """
    if not _is_dataset(given.calibrate):
        return str(given.calibrate)
    from fastfcn_infer.data.dataset import open_dataset

    given.label_orientation = "auto"
    rules = command.label_rules(given)
    found = open_dataset(given.calibrate, given.root, given.split or "train", **rules)
    if given.max_loss is not None and any(sample.label is None for sample in found.samples):
        raise ValueError(
            f"--max-loss {given.max_loss:g}: without labels no mean IoU can be compared, and {found.name}, part "
            f"{found.split}, has none"
        )
    return found


def _is_dataset(name: str) -> bool:
    return name in registry.names(_DATASETS)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _command(given: argparse.Namespace, calibrate: str | None = None) -> str:
    words = ["fastfcn-export", given.checkpoint, "--precision", "int8", "--calibrate"]
    words.append(calibrate or given.calibrate)
    for name, said in (("--root", given.root), ("--split", given.split), ("-o", given.folder)):
        words += [] if said is None else [name, str(said)]
    text = shlex.join(words)
    return text if calibrate else f". The command is: {text}"
