"""The training to run: recipe source, checkpoint to resume and command line put together."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastfcn_infer.data.dataset import Dataset, with_label_rules
from fastfcn_infer.errors import DatasetError
from fastfcn_training.cli.arguments import Request
from fastfcn_training.cli.overrides import BALANCED, apply_overrides, with_class_weights
from fastfcn_training.cli.recipe_source import Context, Plan, load_source
from fastfcn_training.cli.run_options import RunOptions
from fastfcn_training.data.class_weights import counted_weights
from fastfcn_training.data.dataset_cache import DatasetCache
from fastfcn_training.paddle_setup import launch, start
from fastfcn_training.recipe.recipe import Recipe

if TYPE_CHECKING:
    from fastfcn_training.checkpoint.files import Checkpoint

_LARGEST_LINE = 1 << 16  # bytes of a log's first line


@dataclass(frozen=True)
class TrainingJob:
    """A training to run.

    Args:
        recipe: what to train and how.
        run_options: how to run it.
        notes: what the user should know before it starts, one line each.
        classes: number of classes that the recipe source states; None if it states none.
        resumed: checkpoint to continue from; None for a new training.
    """

    recipe: Recipe
    run_options: RunOptions
    notes: tuple[str, ...] = ()
    classes: int | None = None
    resumed: "Checkpoint | None" = None


def build_job(request: Request, datasets: DatasetCache) -> TrainingJob:
    """Put recipe source, checkpoint and command line together; the command line wins.

    Class weights that have to be counted are left to `balance_classes`.

    Raises:
        ValueError: the request does not describe a training; lists all faults.
        DatasetError: the pictures have to be counted and the data set is missing.
        CheckpointError: the run to resume has no checkpoint, or a damaged one.
        BackendMissing: the package that reads checkpoints or configurations is not installed.
    """
    resumed = None
    if request.source is None:
        resumed = _open(request.run_options["resume"])
        plan = Plan(resumed.progress.recipe)
    else:
        plan = _plan(request.source, request, datasets)
    options = _run_options(plan, request)
    if resumed is None and options.resume is not None:
        resumed = _open(options.resume)
    if options.root is None and not datasets.estimate:
        raise ValueError("--root DIR is missing: the folder of the data set")
    return TrainingJob(plan.recipe, options, _notes(plan, options), plan.classes, resumed)


def balance_classes(job: TrainingJob, request: Request, datasets: DatasetCache) -> TrainingJob:
    """Put counted class weights into the recipe, if ``--class-weights balanced`` asks for them.

    Raises:
        DatasetError: the data set is missing, or some of its labels cannot be read.
    """
    if request.overrides.class_weights != BALANCED:
        return job
    training = open_part(job, datasets, job.recipe.data.split)
    return replace(job, recipe=with_class_weights(job.recipe, counted_weights(training)))


def open_part(job: TrainingJob, datasets: DatasetCache, split: str) -> Dataset:
    """Open a part of the data set of a training, whose recipe says how label files are read.

    Raises:
        DatasetError: the data set is missing, or not laid out as expected.
        ValueError: the recipe gives values labels that cannot be.
    """
    data = job.recipe.data
    opened = datasets.open(data.dataset, job.run_options.root, split)
    return with_label_rules(opened, dict(data.map_labels), data.label_orientation)


def check_classes(job: TrainingJob, data: Dataset) -> None:
    """Check that the data set has the number of classes that the recipe source states.

    Raises:
        DatasetError: it has another number.
    """
    if job.classes not in (None, len(data.classes)):
        raise DatasetError(
            f"{data.name} at {job.run_options.root} has {len(data.classes)} classes, but the "
            f"training was described with {job.classes}"
        )


def output_folder(options: RunOptions) -> Path:
    """Give the folder for checkpoints and logs; nothing but the resumed run may be in it.

    Raises:
        ValueError: none is given, it is a file, or it holds something else.
    """
    run, resume = options.run, options.resume
    if run is None:
        raise ValueError("-o RUN is missing: the folder for checkpoints and logs")
    continues = resume is not None and os.path.realpath(run) == os.path.realpath(_run_of(resume))
    if not run.exists() or continues:
        return run
    if not run.is_dir():
        raise ValueError(f"{run} is a file; checkpoints and logs need a folder of their own")
    if any((run / "checkpoints").glob("[0-9]*/progress.json")):
        raise ValueError(
            f"{run} already holds a training. Continue it (--resume {run}), or choose another "
            "folder (-o)"
        )
    others = sorted(path.name for path in run.iterdir() if not _is_leftover(path))
    if others:
        raise ValueError(f"{run} holds {', '.join(others[:5])}; expected an empty or a new folder")
    return run


def _is_leftover(path: Path) -> bool:
    """Tell whether it is what a training leaves that ended before its first checkpoint."""
    if path.name == "checkpoints":
        return path.is_dir() and all(item.name.startswith(".") for item in path.iterdir())
    if path.name == "visualdl":
        return path.is_dir()
    return path.name == "log.jsonl" and path.is_file() and _is_log(path)


def _is_log(path: Path) -> bool:
    with path.open("rb") as file:
        first = file.readline(_LARGEST_LINE)
    try:
        return not first or json.loads(first)["event"] == "session"
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _plan(source: str, request: Request, datasets: DatasetCache) -> Plan:
    context = Context(datasets.count, request.run_options.get("root"), launch.world())
    plan = load_source(source).plan(request.options, request.overrides, context)
    return replace(plan, recipe=apply_overrides(plan.recipe, request.overrides))


def _open(path: Path) -> "Checkpoint":
    start.need("safetensors")
    from fastfcn_training.checkpoint.files import open_checkpoint

    return open_checkpoint(path)


def _run_options(plan: Plan, request: Request) -> RunOptions:
    given: dict[str, Any] = {**plan.run_options, **request.run_options}
    if plan.fine_tune:
        if "resume" not in given:
            raise ValueError("--ft needs --resume FILE, the weights to start from")
        given["weights"] = given.pop("resume")
    elif "resume" in given and "run" not in request.run_options:
        given["run"] = _run_of(given["resume"])
    return RunOptions(**given)


def _run_of(path: Path) -> Path:
    """Give the run that a path names, directly or by one of its checkpoints."""
    return path.parent.parent if (path / "progress.json").is_file() else path


def _notes(plan: Plan, options: RunOptions) -> tuple[str, ...]:
    notes = [f"note: {note}" for note in plan.notes]
    given = (options.resume, options.weights, options.pretrained)
    if plan.backbone_source is not None and not any(given):
        notes.append(
            f"note: the backbone starts from random weights, not from {plan.backbone_source}: "
            "nothing is downloaded. Give the weights with --pretrained FILE"
        )
    return tuple(notes)
