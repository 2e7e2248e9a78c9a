"""How a training is carried out: all that does not change what is learned."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from fastfcn_training.cli.overrides import natural, whole


@dataclass(frozen=True)
class Conduct:
    """How a training is carried out.

    Args:
        root: where the data set lies.
        run: folder for checkpoints and logs.
        resume: run, or checkpoint of a run, to go on with.
        weights: checkpoint of any dialect whose weights to begin with.
        pretrained: file with weights of the backbone to begin with.
        workers: processes that read pictures; None: as many as suit the machine.
        keep: last checkpoints to keep.
        log_every: iterations.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        save_dialect: project for which to write the weights as well.
        export: folder for an artifact made of them.
        formats: of its graph.
        dry_run: train nothing.

    Raises:
        ValueError: a training that goes on is to begin with other weights.
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

    def __post_init__(self) -> None:
        """Refuse two sets of weights."""
        if self.resume is not None and (self.weights or self.pretrained):
            raise ValueError(
                "--resume goes on with the weights of its run; --weights and --pretrained are for "
                "a training that begins"
            )


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Declare the options; their destinations are the fields of `Conduct`."""
    add = group.add_argument
    add("--root", type=Path, metavar="DIR", help="where the data set lies")
    add(
        "-o",
        "--output-folder",
        "--save_dir",
        dest="run",
        type=Path,
        metavar="RUN",
        help="checkpoints and logs",
    )
    add(
        "--resume",
        "--resume_model",
        type=Path,
        metavar="RUN",
        help="go on with an interrupted training, or with one of its checkpoints",
    )
    add("--weights", type=Path, metavar="FILE", help="begin with a checkpoint of any dialect")
    add(
        "--pretrained",
        type=Path,
        metavar="FILE",
        help="begin with a backbone's weights, such as ImageNet's; nothing is ever fetched",
    )
    add(
        "--workers",
        "--num_workers",
        type=natural,
        metavar="N",
        help="processes that read pictures (default: as many as suit the machine)",
    )
    add(
        "--keep", "--keep_checkpoint_max", type=whole, metavar="K", help="checkpoints (default: 3)"
    )
    add("--log-every", "--log_iters", type=whole, metavar="N", help="iterations (default: 20)")
    add("--device", help="auto, cpu, cuda or cuda:N (gpu is the same); default: auto")
    add("--save-dialect", metavar="NAME", help="also write RUN/NAME.pdparams: paddleseg, ncpaddle")
    add("--export", type=Path, metavar="FOLDER", help="make an artifact of the trained weights")
    add(
        "--format",
        dest="formats",
        type=_formats,
        metavar="F[,F]",
        help="onnx, paddle; of --export",
    )
    add("--dry-run", action="store_true", help="print the recipe and what it costs; train nothing")


def _formats(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))
