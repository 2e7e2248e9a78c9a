"""PaddleSeg's configuration files and flags: ``--config fastfcn_resnet50_os8_ade20k.yml``.

Source: reference/fastfcn_semantics.md, 5.2, 5.3 and 6.2; what differs on purpose is listed in
docs/training.md.
"""

import argparse
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastfcn_infer.errors import BackendMissing
from fastfcn_training.cli.form import Plan, Surroundings
from fastfcn_training.cli.overrides import Changes, whole
from fastfcn_training.cli.paddleseg.files import Config, read_config
from fastfcn_training.cli.paddleseg.picture_schema import Padding
from fastfcn_training.cli.paddleseg.recipe import classes, recipe
from fastfcn_training.cli.paddleseg.sections import Parts, take_apart

TITLE = "PaddleSeg's configuration files, and its flags"


@dataclass(frozen=True)
class Options:
    """What PaddleSeg's flags say, as far as no other form shares them.

    Args:
        config: the file.
        opts: ``KEY.KEY=VALUE`` that are set last.
        batch_each: pictures of a step of each process.
        learning_rate: the largest.
        do_eval: validate whenever a checkpoint is saved.
        amp_level: of mixed precision.
        use_vdl: VisualDL must be there.
    """

    config: Path
    opts: tuple[str, ...] = ()
    batch_each: int | None = None
    learning_rate: float | None = None
    do_eval: bool = False
    amp_level: str = "O1"
    use_vdl: bool = False


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Declare the flags."""
    add = group.add_argument
    add("--config", type=Path, metavar="FILE.yml", help="with its _base_ files")
    add("--opts", nargs="+", metavar="KEY=VALUE", help="changes, such as optimizer.momentum=0.8")
    add("--batch_size", dest="batch_each", type=whole, metavar="N", help="of each process")
    add("--learning_rate", type=float, metavar="LR", help="the largest")
    add("--do_eval", action="store_true", help="validate whenever a checkpoint is saved")
    add("--amp_level", choices=("O1",), help="of mixed precision")
    add("--use_vdl", action="store_true", help="VisualDL is always used where it is installed")


def plan(options: Options, changes: Changes, surroundings: Surroundings) -> Plan:
    """Make the recipe.

    Raises:
        ValueError: the configuration cannot be read, or there is no such training; lists all
            faults.
        BackendMissing: PyYAML is not installed.
    """
    config = _changed(read_config(options.config, options.opts), options, changes)
    try:
        parts = take_apart(config)
        every = changes.save_every
        made = recipe(
            parts,
            validate=parts.train.do_eval or changes.validate_every is not None,
            save_every=parts.train.save_interval if every is None else every,
        )
    except ValueError as error:
        faults = str(error).replace("\n", "\n  ")
        raise ValueError(f"{options.config} describes no training:\n  {faults}") from error
    if options.use_vdl and importlib.util.find_spec("visualdl") is None:
        raise BackendMissing(
            "--use_vdl needs VisualDL, which is not installed: pip install visualdl"
        )
    urls = [text for text in (parts.model.pretrained, parts.backbone.pretrained) if _is_url(text)]
    return Plan(made, _conduct(parts), _notes(parts), classes(parts), (*urls, None)[0])


def _changed(config: Config, options: Options, changes: Changes) -> Config:
    """Put what was said on the command line into the configuration, before it is looked at."""
    said = {"iters": changes.iterations, "batch_size": options.batch_each}
    config = config | {key: value for key, value in said.items() if value is not None}
    rates = config.get("lr_scheduler")
    if options.learning_rate is not None and isinstance(rates, dict):
        config["lr_scheduler"] = rates | {"learning_rate": options.learning_rate}
    train = config.get("train", {})
    if options.do_eval and isinstance(train, dict):
        config["train"] = train | {"do_eval": True}
    return config


def _conduct(parts: Parts) -> dict[str, Any]:
    """Collect what the configuration says about how the training is carried out."""
    train, everywhere = parts.train, parts.everywhere
    paths = {
        "root": parts.learned.dataset_root,
        "run": train.save_dir,
        "resume": train.resume_model,
        "weights": parts.model.pretrained,
        "pretrained": parts.backbone.pretrained,
    }
    said: dict[str, Any] = {
        key: Path(text) for key, text in paths.items() if text is not None and not _is_url(text)
    }
    said |= {"keep": train.keep_checkpoint_max, "log_every": train.log_iters}
    if everywhere.num_workers:  # 0 is PaddleSeg's default and what nobody wants
        said["workers"] = everywhere.num_workers
    if everywhere.device == "cpu":  # "gpu" means a GPU if there is one
        said["device"] = "cpu"
    return said


def _notes(parts: Parts) -> tuple[str, ...]:
    if any(isinstance(item, Padding) for item in parts.validation_transforms):
        return ("val_dataset.transforms: Padding is left out, pictures are validated whole",)
    return ()


def _is_url(text: str | None) -> bool:
    return text is not None and "://" in text
