"""The flags of the original code, with its defaults: ``--dataset ade20k --model encnet --jpu jpu``.

Source: reference/fastfcn_semantics.md, 5.2, 5.3 and 6.1; docs/training.md lists the deliberate
differences.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastfcn_export.network.choice import NetworkChoice
from fastfcn_infer.data.dataset import dataset_names
from fastfcn_training.cli.overrides import Overrides, natural, whole
from fastfcn_training.cli.recipe_source import Context, Plan
from fastfcn_training.recipe.recipe import Augmentation, Data, Losses, Optimiser, Recipe, Schedule

TITLE = "the flags of the original FastFCN code, with its defaults"

_ROOT = Path("~/.encoding/data")
_DEPTHS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


@dataclass(frozen=True)
class Published:
    """How the original trains on a data set.

    Args:
        dataset: our name of the data set.
        epochs: length of the training.
        rate: learning rate for a batch of 16.
        train: our name of the part that the original calls "train".
        padding_label: label of padded pixels; None: ignored.
        rotation: largest angle in either direction, degrees.
    """

    dataset: str
    epochs: int | None = None
    rate: float | None = None
    train: str = "train"
    padding_label: int | None = None
    rotation: float = 0.0


# The original gives padded pixels the label 0, which is no class in most data sets, but the
# background in VOC.
_PUBLISHED: Mapping[str, Published] = {
    "ade20k": Published("ade20k", 120, 0.01),
    "pcontext": Published("pascal_context_59", 80, 0.001),
    "citys": Published("cityscapes", 240, 0.01, rotation=10.0),
    "pascal_voc": Published("voc", 50, 0.0001, padding_label=0),
    "pascal_aug": Published("voc", 50, 0.001, "trainaug", padding_label=0),
}
_SYNONYMS = {"cityscapes": "citys", "pascal_context_59": "pcontext", "voc": "pascal_voc"}


@dataclass(frozen=True)
class Options:
    """The original's flags; see its ``option.py``."""

    dataset: str = "ade20k"
    model: str = "encnet"
    backbone: str = "resnet50"
    jpu: str | None = None
    dilated: bool = False
    lateral: bool = False
    base_size: int = 520
    crop_size: int = 480
    train_split: str = "train"
    aux: bool = False
    aux_weight: float = 0.2
    se_loss: bool = False
    se_weight: float = 0.2
    epochs: int | None = None
    start_epoch: int = 0
    batch_size: int = 16
    test_batch_size: int | None = None
    lr: float | None = None
    lr_scheduler: str = "poly"
    lr_step: int | None = None
    momentum: float = 0.9
    weight_decay: float = 1e-4
    no_cuda: bool = False
    checkname: str = "default"
    ft: bool = False
    no_val: bool = False
    family: str = "wuhuikai"


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Declare the flags."""
    add = group.add_argument
    names = ", ".join(_PUBLISHED)
    add(
        "--dataset",
        metavar="NAME",
        help=f"Data set: {names}, or any name that `fastfcn datasets` lists",
    )
    add(
        "--model",
        choices=("encnet", "psp", "deeplab", "fcn"),
        help="Kind of head (default: encnet)",
    )
    add("--backbone", choices=_DEPTHS, help="Backbone (default: resnet50)")
    add(
        "--jpu", nargs="?", const="jpu", type=str.lower, choices=("jpu", "jpu_x"), help="Use a JPU"
    )
    add("--dilated", action="store_true", help="Dilate the backbone, to an output stride of 8")
    add(
        "--lateral", action="store_true", help="Let EncNet also use the features of earlier stages"
    )
    add(
        "--base-size",
        type=whole,
        metavar="N",
        help="Short side of pictures before they are scaled, in pixels (default: 520)",
    )
    add("--crop-size", type=whole, metavar="N", help="Side of the crops, in pixels (default: 480)")
    add("--train-split", metavar="PART", help="Part to train on (default: train)")
    add("--aux", action="store_true", help="Train an auxiliary head")
    add(
        "--aux-weight", type=float, metavar="W", help="Weight of the auxiliary loss (default: 0.2)"
    )
    add("--se-loss", action="store_true", help="Train with the semantic encoding loss")
    add("--se-weight", type=float, metavar="W", help="Weight of that loss (default: 0.2)")
    add(
        "--epochs",
        type=whole,
        metavar="N",
        help="Length of the training, in epochs (default: as published for the data set)",
    )
    add(
        "--start_epoch",
        type=natural,
        metavar="N",
        help="Accepted if it is 0: --resume continues a run",
    )
    add(
        "--batch-size",
        type=whole,
        metavar="N",
        help="Pictures per step, of all processes together (default: 16)",
    )
    add("--test-batch-size", type=whole, metavar="N", help="Accepted without effect")
    add(
        "--lr",
        type=float,
        help="Learning rate of the backbone (default: as published, scaled to the batch)",
    )
    add(
        "--lr-scheduler",
        choices=("poly", "cos", "step"),
        help="Schedule of the learning rate (default: poly)",
    )
    add("--lr-step", type=whole, metavar="N", help="Epochs per step of --lr-scheduler step")
    add("--momentum", type=float, metavar="M", help="Momentum of the optimiser (default: 0.9)")
    add(
        "--weight-decay",
        type=float,
        metavar="W",
        help="Weight decay of the optimiser (default: 1e-4)",
    )
    add("--no-cuda", action="store_true", help="Train on the CPU, as --device cpu does")
    add(
        "--checkname",
        metavar="NAME",
        help="Name of the run, whose folder is runs/DATASET/MODEL/NAME without -o (default: default)",
    )
    add("--ft", action="store_true", help="Fine-tune: take only the weights from --resume FILE")
    add("--no-val", action="store_true", help="Do not validate")
    add(
        "--family",
        choices=("wuhuikai", "ncpaddle"),
        help="Code to follow: the original, or ncpaddle, its Paddle port, with a plain stem and one learning "
        "rate (default: wuhuikai)",
    )


def plan(options: Options, overrides: Overrides, context: Context) -> Plan:
    """Make the recipe; pictures are counted to convert epochs into iterations.

    Raises:
        ValueError: the flags do not describe a training; lists all faults.
        DatasetError: the data set is not where it is expected.
    """
    name = options.dataset.lower()
    published = _PUBLISHED.get(_SYNONYMS.get(name, name), Published(name))
    network = _checked(options, published, overrides, context.world)
    split = published.train if options.train_split == "train" else options.train_split
    root = context.root or _ROOT.expanduser()
    batches = context.count(published.dataset, root, split) // options.batch_size
    accumulate = overrides.accumulate or 1
    epoch = max(batches // accumulate, 1)  # iterations
    epochs = options.epochs or published.epochs
    recipe = Recipe(
        Data(published.dataset, split, None if options.no_val else "val"),
        iterations=overrides.iterations or epoch * (epochs or 1),
        batch=options.batch_size // context.world,
        network=network,
        augmentation=_augmentation(options, published),
        losses=Losses(options.aux_weight, options.se_weight),
        optimiser=Optimiser(
            momentum=options.momentum,
            weight_decay=options.weight_decay,
            head_factor=1.0 if options.family == "ncpaddle" else 10.0,
        ),
        schedule=Schedule(
            options.lr_scheduler,  # type: ignore[arg-type]  # argparse has checked it
            _rate(options, published, accumulate),
            step=epoch * (options.lr_step or 0),
        ),
        seed=1,
        validation_every=epoch,
        save_every=epoch,
        convention="fastfcn",
    )
    run = Path("runs", name, options.model, options.checkname)
    run_options: dict[str, Any] = {"root": root, "run": run}
    if options.no_cuda:
        run_options["device"] = "cpu"
    return Plan(
        recipe,
        run_options,
        _notes(options, split),
        backbone_source=f"ImageNet ({options.backbone})",
        fine_tune=options.ft,
    )


def _checked(
    options: Options, published: Published, overrides: Overrides, world: int
) -> NetworkChoice:
    """Check that the flags fit together; returns the network."""
    faults = []
    if published.dataset not in dataset_names():
        faults.append(
            f"--dataset {options.dataset}: expected {', '.join(_PUBLISHED)}, or one of "
            f"{', '.join(dataset_names())}"
        )
    elif published.epochs is None:
        # Nothing is published for it.
        if options.lr is None:
            faults.append(f"--lr is missing; none is published for {options.dataset}")
        if options.epochs is None and overrides.iterations is None:
            faults.append(f"--epochs is missing; none are published for {options.dataset}")
    if options.batch_size % world:
        faults.append(f"--batch-size {options.batch_size} is not a multiple of {world} processes")
    if (options.lr_scheduler == "step") != (options.lr_step is not None):
        faults.append("--lr-scheduler step and --lr-step EPOCHS must be given together")
    if options.start_epoch:
        faults.append("--start_epoch: leave it out; --resume RUN continues where the run stopped")
    try:
        network = _network(options)
    except ValueError as error:
        faults.append(str(error))
    if faults:
        raise ValueError("; ".join(faults))
    return network


def _network(options: Options) -> NetworkChoice:
    return NetworkChoice(
        options.backbone,  # type: ignore[arg-type]  # argparse has checked these
        "plain" if options.family == "ncpaddle" else "deep",
        output_stride=8 if options.dilated else 32,
        jpu=options.jpu,  # type: ignore[arg-type]
        head=options.model,  # type: ignore[arg-type]
        laterals=options.lateral,
        auxiliary=options.aux,
        semantic=options.se_loss,
        family=options.family,  # type: ignore[arg-type]
    )


def _augmentation(options: Options, published: Published) -> Augmentation:
    return Augmentation(
        base_size=options.base_size,
        crop=(options.crop_size, options.crop_size),
        rotation=published.rotation,
        padding_label=published.padding_label,
    )


def _rate(options: Options, published: Published, accumulate: int) -> float:
    """Scale the published rate with the number of pictures per step, as the original does."""
    if options.lr is not None:
        return options.lr
    return (published.rate or 0.0) / 16 * options.batch_size * accumulate


def _notes(options: Options, split: str) -> tuple[str, ...]:
    notes = []
    if split == "trainval" and not options.no_val:
        notes.append("the validation part val is also trained on, so its scores are too high")
    if options.test_batch_size is not None:
        notes.append("--test-batch-size has no effect: whole pictures are validated one by one")
    return tuple(notes)
