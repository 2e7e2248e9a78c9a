"""How a training is run, and the weights it starts from: the options outside the recipe."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from fastfcn_infer.data.label_options import ACCEPT_HELP
from fastfcn_training.cli.overrides import natural, whole


@dataclass(frozen=True)
class RunOptions:
    """How a training is run, and the weights it starts from.

    Args:
        root: folder of the data set.
        run: folder for checkpoints and logs.
        resume: run, or checkpoint of a run, to continue.
        weights: checkpoint of any dialect to start from.
        pretrained: file with a backbone's weights to start from.
        workers: processes that read pictures; None: chosen for the machine.
        keep: number of last checkpoints to keep.
        log_every: iterations.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        save_dialect: project in whose format the weights are written too.
        export: folder for an artifact made from the weights.
        formats: graph formats of the artifact.
        dry_run: only plan the training.
        accept_labels: train although the labels lack something.
        quiet: print no progress.

    Raises:
        ValueError: a training is resumed, and other weights are given to start from.
    """

    root: Path | None = None
    run: Path | None = None
    resume: Path | None = None
    weights: Path | None = None
    pretrained: Path | None = None
    workers: int | None = None
    keep: int = 3
    log_every: int = 20
    device: str = "auto"
    save_dialect: str | None = None
    export: Path | None = None
    formats: tuple[str, ...] = ("onnx",)
    dry_run: bool = False
    accept_labels: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        """Refuse two sets of weights."""
        if self.resume is not None and (self.weights or self.pretrained):
            raise ValueError(
                "--resume continues with the weights of its run; --weights and --pretrained are "
                "for a new training"
            )


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Declare the options; their destinations are the fields of `RunOptions`."""
    add = group.add_argument
    add("--root", type=Path, metavar="DIR", help="Folder of the data set")
    add(
        "-o",
        "--output-folder",
        "--save_dir",
        dest="run",
        type=Path,
        metavar="RUN",
        help="Folder for checkpoints and logs",
    )
    add(
        "--resume",
        "--resume_model",
        type=Path,
        metavar="RUN",
        help="Continue an interrupted training, from its last checkpoint or from one you name",
    )
    add("--weights", type=Path, metavar="FILE", help="Start from a checkpoint of any dialect")
    add("--pretrained", type=Path, metavar="FILE", help="Start from the weights of a backbone")
    add(
        "--workers",
        "--num_workers",
        type=natural,
        metavar="N",
        help="Number of processes that read pictures (default: chosen for the machine)",
    )
    add(
        "--keep",
        "--keep_checkpoint_max",
        type=whole,
        metavar="K",
        help="Number of last checkpoints to keep; the best one is kept, too (default: 3)",
    )
    add(
        "--log-every",
        "--log_iters",
        type=whole,
        metavar="N",
        help="Iterations between log lines (default: 20)",
    )
    add("--device", help="Device: auto, cpu, cuda, cuda:N or N; gpu means cuda (default: auto)")
    add(
        "--save-dialect",
        metavar="NAME",
        help="Also write RUN/NAME.pdparams for another project: paddleseg or ncpaddle",
    )
    add("--export", type=Path, metavar="FOLDER", help="Also export the weights to an artifact")
    add(
        "--format",
        dest="formats",
        type=_formats,
        metavar="F[,F]",
        help="Formats for --export: onnx, paddle, or onnx,paddle (default: onnx)",
    )
    add("--accept-labels", action="store_true", help=ACCEPT_HELP)
    add("--dry-run", action="store_true", help="Print the recipe and its cost, and train nothing")
    add("--quiet", action="store_true", help="Print no progress: the result and notes only")


def _formats(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))
