"""What a subcommand of `fastfcn` offers; `commands/` holds one file per subcommand.

A file of `commands/` imports what it needs inside `run`, so that ``fastfcn --help`` is quick.
"""

import argparse
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from fastfcn_infer.system import registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastfcn_infer.artifact.manifest import Model
    from fastfcn_infer.artifact.procedure import Procedure, Windows

_PACKAGE = "fastfcn_infer.cli.commands"


class Command(Protocol):
    """What a file of `commands/` offers; its file name is the command's name.

    A file may also have `JSON_HELP`, the help of ``--json`` if that prints more than one result.
    """

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
        metavar="DEVICE",
        default="auto",
        help="Device to run on: auto, cpu, cuda, cuda:N or N, or tensorrt (default: auto)",
    )
    runtimes = ", ".join(registry.names("fastfcn_infer.runtime.backends"))
    parser.add_argument(
        "--backend", default="auto", help=f"Runtime: auto, {runtimes} (default: auto)"
    )
    parser.add_argument(
        "--precision",
        default="auto",
        help="Precision to compute in: auto, what the model was made in; fp32; bf16, on processors that have it; "
        "tf32 or fp16, on GPUs; int8, if the model holds a graph in it (default: auto)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        help="Number of threads to compute with (default: one per available processor)",
    )
    parser.add_argument("--cache-dir", metavar="DIR", help="Keep downloads and conversions in DIR")
    parser.add_argument("--offline", action="store_true", help="Download nothing")
    add_quiet_argument(parser)


def add_quiet_argument(parser: argparse.ArgumentParser) -> None:
    """Declare ``--quiet``, of every command that may show progress; `main` hides progress bars then."""
    parser.add_argument(
        "--quiet",
        action="store_true",
        help="Print results, failures and warnings only, no progress",
    )


def add_procedure_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say how pictures become labels; see `choose`."""
    add = parser.add_argument_group("procedure: how a picture becomes labels").add_argument
    add(
        "--procedure",
        metavar="NAME",
        help="Procedure: whole, tiles, or as the authors of a dialect evaluate: paddleseg[-slide|-ms-flip], "
        "fastfcn[-ms], mmseg[-slide|-tta]; published: what the authors of the model publish scores "
        "with (default: as the model's manifest says)",
    )
    add(
        "--scales",
        metavar="S[,S]",
        help="Scales at which the network sees the picture, such as 0.75,1,1.25",
    )
    add(
        "--mirror",
        metavar="none|horizontal|vertical|both",
        help="Mirror images that the network also sees",
    )
    add("--crop", metavar="HxW", help="Height x width of sliding windows")
    add("--stride", metavar="HxW", help="Step between windows (default: two thirds of the crop)")
    add(
        "--merge",
        metavar="logits|probabilities|exp",
        help="What is averaged over the views",
    )


def choose(
    arguments: argparse.Namespace, otherwise: str | None = None
) -> "Callable[[Model], Procedure]":
    """Return what makes the procedure that was asked for, of the one of a model.

    Args:
        arguments: with the options of `add_procedure_arguments`.
        otherwise: the preset that is used and changed without ``--procedure``; None: the model's own.

    Raises:
        ValueError: the options make no sense, whatever the model; lists all faults.
    """
    from fastfcn_infer.artifact.procedure import refuse
    from fastfcn_infer.inference.conventions import check_name, check_procedure, choose_procedure

    changes, faults = _changes(arguments)
    name: str | None = otherwise if arguments.procedure is None else arguments.procedure
    for base, settings in (("whole" if name is None else name, {}), ("whole", changes)):
        try:
            check_name(base, **settings)
        except ValueError as error:
            faults.append(str(error))
    refuse(faults)

    def chosen(model: "Model") -> "Procedure":
        found = choose_procedure(name, model)
        if changes:
            found = replace(found, kind="custom", **changes)
            check_procedure(found, model)
        return found

    return chosen


def _changes(arguments: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Return the settings of a procedure that were given apart from its name, and what is wrong."""
    changes: dict[str, Any] = {}
    faults: list[str] = []
    if arguments.mirror is not None:
        changes["mirror"] = arguments.mirror
    if arguments.merge is not None:
        changes["merge"] = arguments.merge
    for setting, read in (("scales", _scales), ("windows", _windows)):
        try:
            found = read(arguments)
        except ValueError as error:
            faults.append(str(error))
        else:
            changes |= {} if found is None else {setting: found}
    return changes, faults


def _scales(arguments: argparse.Namespace) -> tuple[float, ...] | None:
    text = arguments.scales
    try:
        return None if text is None else tuple(float(word) for word in text.split(","))
    except ValueError as error:
        raise ValueError(
            f"--scales {text}: numbers separated by commas were expected, such as 0.75,1,1.25"
        ) from error


def _windows(arguments: argparse.Namespace) -> "Windows | None":
    if arguments.crop is None:
        if arguments.stride is not None:
            raise ValueError("--stride needs --crop, the size of the windows")
        return None
    from fastfcn_infer.artifact.procedure import Windows

    faults: list[str] = []
    crop = _sides("--crop", arguments.crop, faults)
    stride = None if arguments.stride is None else _sides("--stride", arguments.stride, faults)
    if crop is None or faults:
        raise ValueError("; ".join(faults))
    return Windows(crop, stride)


def read_size(option: str, text: str) -> tuple[int, int]:
    """Read the height and width of a picture.

    Raises:
        ValueError: it is not HEIGHTxWIDTH, or more pixels than a view may have.
    """
    from fastfcn_infer.artifact.limits import LARGEST_VIEW

    match = re.fullmatch(r"([1-9]\d{0,8})[xX]([1-9]\d{0,8})", text)
    if match is None or int(match[1]) * int(match[2]) > LARGEST_VIEW:
        raise ValueError(f"{option} {text}: height x width was expected, such as 512x1024")
    return int(match[1]), int(match[2])


def _sides(option: str, text: str, faults: list[str]) -> tuple[int, int] | None:
    words = text.lower().split("x")
    if len(words) not in (1, 2) or not all(word.isascii() and word.isdecimal() for word in words):
        faults.append(f"{option} {text}: HEIGHTxWIDTH was expected, such as 480x480")
        return None
    return int(words[0]), int(words[-1])


def add_label_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of every command that reads label maps; see `label_rules`."""
    from fastfcn_infer.data import label_options

    add = parser.add_argument
    add("--map-labels", metavar="VALUE=LABEL[,...]", help=label_options.MAP_HELP)
    add(
        "--label-orientation",
        choices=("auto", "upright", "stored"),
        default="auto",
        help=label_options.ORIENTATION_HELP,
    )
    add("--accept-labels", action="store_true", help=label_options.ACCEPT_HELP)


def label_rules(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the keyword arguments of `open_dataset` that say how label files are read.

    Raises:
        ValueError: ``--map-labels`` is not VALUE=LABEL.
    """
    from fastfcn_infer.data.label_options import read_map

    text = arguments.map_labels
    return {
        "map_labels": {} if text is None else read_map(text),
        "label_orientation": arguments.label_orientation,
    }


def add_checkpoint_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that describe a checkpoint, of which `--classes` is for any model; see `checkpoint_options`."""
    add = parser.add_argument
    add(
        "--classes",
        metavar="NAME|FILE.json",
        help="Names and colours of the classes: name of a class table, or a file (default: those of the "
        "model)",
    )
    add("--dialect", help="Dialect; only for a checkpoint (default: found from its keys)")
    add(
        "--output-stride",
        type=int,
        choices=(8, 16, 32),
        help="Output stride of the backbone; only for a checkpoint",
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
        "precision": arguments.precision,
        "threads": arguments.threads,
        "cache_dir": arguments.cache_dir,
        "local_files_only": arguments.offline,
    }
