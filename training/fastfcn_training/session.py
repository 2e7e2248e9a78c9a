"""One call of ``fastfcn-train``: from what was said to the trained network."""

from dataclasses import dataclass, replace
from pathlib import Path

from fastfcn_infer import __version__
from fastfcn_infer.dataset import Dataset
from fastfcn_infer.errors import DatasetError
from fastfcn_infer.metrics import Scores
from fastfcn_infer.progress import Progress
from fastfcn_training import engine, launch
from fastfcn_training.arguments import Request
from fastfcn_training.changes import BALANCED, changed, with_class_weights
from fastfcn_training.class_weights import balanced, count_pixels
from fastfcn_training.conduct import Conduct
from fastfcn_training.forecast import Forecast, forecast
from fastfcn_training.form import Plan, Surroundings, load_form
from fastfcn_training.recipe import Recipe
from fastfcn_training.shelf import Shelf

_LEFTOVERS = {"log.jsonl", "visualdl", "checkpoints"}  # of a training that never saved


@dataclass(frozen=True)
class Outcome:
    """What a training left.

    Args:
        model: the last weights.
        best: the weights with the best scores; None: nothing was validated.
        scores: of the last validation.
        iterations: steps that were made.
    """

    model: Path
    best: Path | None
    scores: Scores | None
    iterations: int


@dataclass(frozen=True)
class Trial:
    """What a dry run finds out.

    Args:
        recipe: that would be followed.
        cost: of following it.
        notes: what users should know before they begin.
    """

    recipe: Recipe
    cost: Forecast
    notes: tuple[str, ...]


def try_out(request: Request) -> Trial:
    """Plan a training; needs no Paddle, and no pictures where their number is published.

    Raises:
        ValueError: what was said makes no training; lists all faults.
        DatasetError: the data set is needed and not there.
    """
    shelf = Shelf(estimate=True)
    plan, conduct = _planned(request, shelf)
    part = (plan.recipe.data.dataset, _root(conduct), plan.recipe.data.split)
    if request.changes.class_weights == BALANCED:
        plan = _balanced(plan, shelf.open(*part))
    cost = forecast(
        plan.recipe,
        pictures=shelf.count(*part),
        classes=shelf.classes(*part),
        world=launch.world(),
    )
    return Trial(plan.recipe, cost, (*_notes(plan, conduct), *shelf.notes))


def train(request: Request) -> Outcome:
    """Train to the end.

    Raises:
        ValueError: what was said makes no training; lists all faults.
        DatasetError, ImageError: the data set or a picture cannot be read.
        BackendMissing, DeviceUnavailable: Paddle or the device is not there.
        CheckpointError: what is resumed or begun with is damaged or does not fit.
        TrainingError: the training cannot go on.
        KeyboardInterrupt: somebody asked for it; after saving.
    """
    lines: tuple[str, ...] = ()
    if request.form is None:  # Paddle first, as it must be told how to start before it is imported
        lines = engine.start(request.conduct.get("device", "auto"))
    shelf = Shelf(estimate=False)
    plan, conduct = _planned(request, shelf)
    run, data = conduct.run, plan.recipe.data
    if run is None:
        raise ValueError("-o RUN is missing: where checkpoints and logs go")
    learned = shelf.open(data.dataset, _root(conduct), data.split)
    validated = None
    if data.validation_split is not None:
        validated = shelf.open(data.dataset, _root(conduct), data.validation_split)
    if plan.classes not in (None, len(learned.classes)):
        raise DatasetError(
            f"{learned.name} has {len(learned.classes)} classes, but {plan.classes} were spoken of"
        )
    _check_run(run, conduct.resume)
    if request.changes.class_weights == BALANCED:
        plan = _balanced(plan, learned)
    lines = lines or engine.start(conduct.device)
    conduct = replace(conduct, run=run)
    return _learn(plan, conduct, learned, validated, (*lines, *_notes(plan, conduct)))


def _learn(
    plan: Plan,
    conduct: Conduct,
    learned: Dataset,
    validated: Dataset | None,
    lines: tuple[str, ...],
) -> Outcome:
    # Paddle is there by now; these import it.
    from fastfcn_training.journal import Journal
    from fastfcn_training.processes import Processes
    from fastfcn_training.saving import open_checkpoint
    from fastfcn_training.trainer import Options, Trainer

    run = conduct.run or Path()
    checkpoint = None if conduct.resume is None else open_checkpoint(conduct.resume)
    processes = Processes()
    workers = conduct.workers
    if workers is None:
        workers = engine.reading_workers(gpu=processes.gpu)
    lines = (*lines, f"reading: {workers} processes")
    with Journal(run if processes.rank == 0 else None, visible=processes.rank == 0) as journal:
        iteration = 0 if checkpoint is None else checkpoint.progress.iteration
        journal.write("session", "\n".join(lines), iteration, version=__version__, notes=lines)
        trainer = Trainer(
            plan.recipe,
            learned,
            validated,
            Options(run, workers, conduct.keep, conduct.log_every),
            processes,
            resume=checkpoint,
        )
        scores = trainer.run(journal)
    best = run / "best.safetensors"
    return Outcome(
        run / "model.safetensors",
        best if validated is not None and best.exists() else None,
        scores,
        trainer.iteration,
    )


def _planned(request: Request, shelf: Shelf) -> tuple[Plan, Conduct]:
    """Put together what the form, the resumed run and the command line say; the last one wins."""
    said = dict(request.conduct)
    if request.form is None:
        plan = _resumed(said["resume"])
    else:
        form = load_form(request.form)
        surroundings = Surroundings(shelf.count, said.get("root"), launch.world())
        plan = form.plan(request.options, request.changes, surroundings)
        plan = replace(plan, recipe=changed(plan.recipe, request.changes))
    said = {**plan.conduct, **said}
    if plan.fine_tune:
        if "resume" not in said:
            raise ValueError("--ft needs --resume FILE, the weights to begin with")
        said["weights"] = said.pop("resume")
    elif "resume" in said and "run" not in request.conduct:
        said["run"] = _run_of(said["resume"])
    return plan, Conduct(**said)


def _resumed(path: Path) -> Plan:
    """Go on by the recipe that the training was begun with."""
    from fastfcn_training.saving import open_checkpoint

    return Plan(open_checkpoint(path).progress.recipe)


def _run_of(path: Path) -> Path:
    """Find the run that a checkpoint, if it is one, is of."""
    return path.parent.parent if (path / "progress.json").is_file() else path


def _root(conduct: Conduct) -> Path:
    if conduct.root is None:
        raise ValueError("--root DIR is missing: where the data set lies")
    return conduct.root


def _check_run(run: Path, resume: Path | None) -> None:
    """Refuse to write where another training, or anything else, has written."""
    if not run.exists() or (resume is not None and run.resolve() == _run_of(resume).resolve()):
        return
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


def _balanced(plan: Plan, data: Dataset) -> Plan:
    """Count the classes' pixels and weigh them."""
    with Progress("Count pixels", total=len(data.samples), unit="pictures") as bar:
        weights = balanced(count_pixels(data, bar.advance))
    return replace(plan, recipe=with_class_weights(plan.recipe, weights))


def _notes(plan: Plan, conduct: Conduct) -> tuple[str, ...]:
    notes = [f"note: {note}" for note in plan.notes]
    begins = (conduct.resume, conduct.weights, conduct.pretrained)
    if plan.backbone_of is not None and not any(begins):
        notes.append(
            f"note: the backbone begins with random weights, not with those of {plan.backbone_of}; "
            "nothing is fetched, so give them by --pretrained FILE"
        )
    return tuple(notes)
