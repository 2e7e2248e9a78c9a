"""PaddleSeg's configuration files and flags: ``--config fastfcn_resnet50_os8_ade20k.yml``.

Source: reference/fastfcn_semantics.md, 5.2, 5.3 and 6.2; docs/training.md lists the deliberate
differences.
"""

import argparse
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastfcn_infer.errors import BackendMissing
from fastfcn_training.cli.overrides import Overrides, whole
from fastfcn_training.cli.paddleseg.data_schema import Padding
from fastfcn_training.cli.paddleseg.files import Config, read_config
from fastfcn_training.cli.paddleseg.recipe import classes, recipe
from fastfcn_training.cli.paddleseg.sections import Sections, read_sections
from fastfcn_training.cli.recipe_source import Context, Plan

TITLE = "PaddleSeg's configuration files, and its flags"


@dataclass(frozen=True)
class Options:
    """PaddleSeg's flags, except those shared with other recipe sources.

    Args:
        config: the file.
        opts: ``KEY.KEY=VALUE`` settings, applied last.
        batch_each: pictures per step of each process.
        learning_rate: the highest.
        do_eval: validate whenever a checkpoint is saved.
        amp_level: of mixed precision.
        use_vdl: insist on a log for VisualDL.
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
    add(
        "--config",
        type=Path,
        metavar="FILE.yml",
        help="Configuration, which is read with its _base_ files",
    )
    add(
        "--opts",
        nargs="+",
        metavar="KEY=VALUE",
        help="Changes to the file, such as optimizer.momentum=0.8",
    )
    add(
        "--batch_size",
        dest="batch_each",
        type=whole,
        metavar="N",
        help="Pictures per step of each process",
    )
    add("--learning_rate", type=float, metavar="LR", help="Highest learning rate")
    add("--do_eval", action="store_true", help="Validate whenever a checkpoint is saved")
    add("--amp_level", choices=("O1",), help="Level of mixed precision")
    add(
        "--use_vdl",
        action="store_true",
        help="Require VisualDL, which is otherwise used only if installed",
    )


def plan(options: Options, overrides: Overrides, context: Context) -> Plan:
    """Make the recipe.

    Raises:
        ValueError: the configuration cannot be read, or describes no training that can be done
            here; lists all faults.
        BackendMissing: PyYAML, or VisualDL with ``--use_vdl``, is missing.
    """
    config = _with_flags(read_config(options.config, options.opts), options, overrides)
    try:
        sections = read_sections(config)
        every = overrides.save_every
        made = recipe(
            sections,
            validate=sections.train.do_eval or overrides.validate_every is not None,
            save_every=sections.train.save_interval if every is None else every,
        )
    except ValueError as error:
        faults = str(error).replace("\n", "\n  ")
        raise ValueError(
            f"{options.config} does not describe a training that can be done here:\n  {faults}"
        ) from error
    if options.use_vdl and importlib.util.find_spec("visualdl") is None:
        raise BackendMissing(
            "--use_vdl needs VisualDL, which is not installed: pip install visualdl"
        )
    pretrained = (sections.model.pretrained, sections.backbone.pretrained)
    urls = [text for text in pretrained if _is_url(text)]
    return Plan(
        made, _run_options(sections), _notes(sections), classes(sections), (*urls, None)[0]
    )


def _with_flags(config: Config, options: Options, overrides: Overrides) -> Config:
    """Put the command line's values into the configuration, before it is checked."""
    given = {"iters": overrides.iterations, "batch_size": options.batch_each}
    config = config | {key: value for key, value in given.items() if value is not None}
    rates = config.get("lr_scheduler")
    if options.learning_rate is not None and isinstance(rates, dict):
        config["lr_scheduler"] = rates | {"learning_rate": options.learning_rate}
    train = config.get("train", {})
    if options.do_eval and isinstance(train, dict):
        config["train"] = train | {"do_eval": True}
    return config


def _run_options(sections: Sections) -> dict[str, Any]:
    """Collect what the configuration says about how the training is run."""
    train, machine = sections.train, sections.global_section
    paths = {
        "root": sections.training.dataset_root,
        "run": train.save_dir,
        "resume": train.resume_model,
        "weights": sections.model.pretrained,
        "pretrained": sections.backbone.pretrained,
    }
    given: dict[str, Any] = {
        key: Path(text) for key, text in paths.items() if text is not None and not _is_url(text)
    }
    given |= {"keep": train.keep_checkpoint_max, "log_every": train.log_iters}
    if machine.num_workers:  # PaddleSeg's default, 0, would keep training waiting for pictures
        given["workers"] = machine.num_workers
    if machine.device == "cpu":  # "gpu" means a GPU if there is one
        given["device"] = "cpu"
    return given


def _notes(sections: Sections) -> tuple[str, ...]:
    if any(isinstance(item, Padding) for item in sections.validation_transforms):
        return ("val_dataset.transforms: Padding is ignored; pictures are validated whole",)
    return ()


def _is_url(text: str | None) -> bool:
    return text is not None and "://" in text
