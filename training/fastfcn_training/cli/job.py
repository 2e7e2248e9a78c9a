"""What was said, put together: by the form, by the run that is resumed, by the command line."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastfcn_infer.data.dataset import Dataset
from fastfcn_infer.errors import DatasetError
from fastfcn_training.cli.arguments import Request
from fastfcn_training.cli.form import Plan, Surroundings, load_form
from fastfcn_training.cli.overrides import BALANCED, changed, with_class_weights
from fastfcn_training.cli.run_options import Conduct
from fastfcn_training.data.class_weights import counted_weights
from fastfcn_training.data.dataset_cache import Shelf
from fastfcn_training.paddle_setup import launch, start
from fastfcn_training.recipe.recipe import Recipe

if TYPE_CHECKING:
    from fastfcn_training.checkpoint.files import Checkpoint

_LEFTOVERS = {"log.jsonl", "visualdl", "checkpoints"}  # of a training that never saved


@dataclass(frozen=True)
class Intent:
    """A training that is wanted.

    Args:
        recipe: what to learn and how.
        conduct: how it is carried out.
        root: where the data set lies.
        notes: what users should know before they begin, a line each.
        classes: number of classes that were spoken of; None: none were.
        resumed: what to go on from; None: it begins.
    """

    recipe: Recipe
    conduct: Conduct
    root: Path
    notes: tuple[str, ...] = ()
    classes: int | None = None
    resumed: "Checkpoint | None" = None


def intended(request: Request, shelf: Shelf) -> Intent:
    """Put together what was said; the command line has the last word.

    Raises:
        ValueError: what was said makes no training; lists all faults.
        DatasetError: the data set had to be looked at and is not there.
        CheckpointError: the run to resume has no checkpoint, or a damaged one.
        BackendMissing: the package that reads checkpoints or configurations is not installed.
    """
    resumed = None
    if request.form is None:
        resumed = _opened(request.conduct["resume"])
        plan = Plan(resumed.progress.recipe)
    else:
        plan = _described(request.form, request, shelf)
    conduct = _conduct(plan, request)
    if resumed is None and conduct.resume is not None:
        resumed = _opened(conduct.resume)
    if conduct.root is None:
        raise ValueError("--root DIR is missing: where the data set lies")
    recipe = plan.recipe
    if request.changes.class_weights == BALANCED:
        learned = shelf.open(recipe.data.dataset, conduct.root, recipe.data.split)
        recipe = with_class_weights(recipe, counted_weights(learned))
    return Intent(recipe, conduct, conduct.root, _notes(plan, conduct), plan.classes, resumed)


def check_classes(intent: Intent, data: Dataset) -> None:
    """Check that the data set has the classes that were spoken of.

    Raises:
        DatasetError: it has not.
    """
    if intent.classes not in (None, len(data.classes)):
        raise DatasetError(
            f"{data.name} at {intent.root} has {len(data.classes)} classes, but the training was "
            f"described with {intent.classes}"
        )


def run_folder(conduct: Conduct) -> Path:
    """Give the folder to write to, where nothing else has written.

    Raises:
        ValueError: there is none, it is no folder, or it holds something else.
    """
    run, resume = conduct.run, conduct.resume
    if run is None:
        raise ValueError("-o RUN is missing: where checkpoints and logs go")
    goes_on = resume is not None and run.resolve() == _run_of(resume).resolve()
    if not run.exists() or goes_on:
        return run
    if not run.is_dir():
        raise ValueError(f"{run} is no folder; checkpoints and logs need one of their own")
    if any((run / "checkpoints").glob("[0-9]*")):
        raise ValueError(
            f"{run} holds a training already. Go on with it (--resume {run}), or name another "
            "folder (-o)"
        )
    others = sorted({path.name for path in run.iterdir()} - _LEFTOVERS)
    if others:
        raise ValueError(
            f"{run} holds {', '.join(others[:5])}; an empty folder was expected, or none"
        )
    return run


def _described(form: str, request: Request, shelf: Shelf) -> Plan:
    surroundings = Surroundings(shelf.count, request.conduct.get("root"), launch.world())
    plan = load_form(form).plan(request.options, request.changes, surroundings)
    return replace(plan, recipe=changed(plan.recipe, request.changes))


def _opened(path: Path) -> "Checkpoint":
    start.need("safetensors")
    from fastfcn_training.checkpoint.files import open_checkpoint

    return open_checkpoint(path)


def _conduct(plan: Plan, request: Request) -> Conduct:
    said: dict[str, Any] = {**plan.conduct, **request.conduct}
    if plan.fine_tune:
        if "resume" not in said:
            raise ValueError("--ft needs --resume FILE, the weights to begin with")
        said["weights"] = said.pop("resume")
    elif "resume" in said and "run" not in request.conduct:
        said["run"] = _run_of(said["resume"])
    return Conduct(**said)


def _run_of(path: Path) -> Path:
    """Find the run that a checkpoint, if it is one, is of."""
    return path.parent.parent if (path / "progress.json").is_file() else path


def _notes(plan: Plan, conduct: Conduct) -> tuple[str, ...]:
    notes = [f"note: {note}" for note in plan.notes]
    begins = (conduct.resume, conduct.weights, conduct.pretrained)
    if plan.backbone_of is not None and not any(begins):
        notes.append(
            f"note: the backbone begins with random weights, not with those of {plan.backbone_of}; "
            "nothing is fetched, so give them by --pretrained FILE"
        )
    return tuple(notes)
