"""One call of ``fastfcn-train``: from what was said to the trained network."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fastfcn_export.network import choice
from fastfcn_infer.data.dataset import Dataset
from fastfcn_infer.evaluation.metrics import Scores
from fastfcn_infer.system.version import __version__
from fastfcn_training.checkpoint.export_trained import (
    LAST,
    check_export,
    delivered,
    export_trained,
)
from fastfcn_training.checkpoint.save_dialect import SUFFIX, check_dialect, save_dialect
from fastfcn_training.cli.arguments import Request
from fastfcn_training.cli.job import Intent, check_classes, intended, run_folder
from fastfcn_training.cli.run_options import Conduct
from fastfcn_training.data.dataset_cache import Shelf
from fastfcn_training.network.pretrained import Pretrained, first_weights
from fastfcn_training.paddle_setup import launch, start
from fastfcn_training.recipe.cost_estimate import Forecast, forecast
from fastfcn_training.recipe.recipe import Recipe

if TYPE_CHECKING:
    from fastfcn_training.loop.log import Journal


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


@dataclass(frozen=True)
class Outcome:
    """What a training left.

    Args:
        model: the weights it is judged by, the best or else the last.
        iterations: steps that were made.
        scores: of the last validation; None: there was none.
        other: the same weights in another project's file, if that was asked for.
        artifact: made of them, if that was asked for.
    """

    model: Path
    iterations: int
    scores: Scores | None
    other: Path | None
    artifact: Path | None


def try_out(request: Request) -> Trial:
    """Plan a training; needs no Paddle, and no pictures where their number is published.

    Raises:
        ValueError: what was said makes no training; lists all faults.
        DatasetError: the data set is needed and not there.
    """
    shelf = Shelf(estimate=True)
    intent = intended(request, shelf)
    part = (intent.recipe.data.dataset, intent.root, intent.recipe.data.split)
    cost = forecast(
        intent.recipe,
        pictures=shelf.count(*part),
        classes=shelf.classes(*part),
        world=launch.world(),
    )
    return Trial(intent.recipe, cost, (*intent.notes, *shelf.notes))


def train(request: Request) -> Outcome:
    """Train to the end, then deliver.

    Raises:
        ValueError: what was said makes no training; lists all faults.
        DatasetError, ImageError: the data set or a picture cannot be read.
        BackendMissing, DeviceUnavailable: Paddle, another package or the device is not there.
        CheckpointError: what is resumed or begun with is damaged or does not fit.
        TrainingError: the training cannot go on.
        VerificationError, BackendError: the artifact is not the network; the training is saved.
        KeyboardInterrupt: somebody asked for it; after saving.
    """
    shelf = Shelf(estimate=False)
    intent = intended(request, shelf)
    conduct, data = intent.conduct, intent.recipe.data
    learned = shelf.open(data.dataset, intent.root, data.split)
    check_classes(intent, learned)
    validated = None
    if data.validation_split is not None:
        validated = shelf.open(data.dataset, intent.root, data.validation_split)
    run = run_folder(conduct)
    if conduct.export is not None:
        check_export(conduct.export, conduct.formats)
    return _learn(intent, run, learned, validated, start.start(conduct.device))


def _learn(
    intent: Intent, run: Path, learned: Dataset, validated: Dataset | None, lines: tuple[str, ...]
) -> Outcome:
    # Paddle is there by now; these import it.
    from fastfcn_training.loop.log import Journal
    from fastfcn_training.loop.trainer import Options, Trainer
    from fastfcn_training.paddle_setup.distributed import Processes

    recipe, conduct, resumed = intent.recipe, intent.conduct, intent.resumed
    begin = Pretrained({}, ())
    if resumed is None:
        begin = first_weights(
            choice.architecture(recipe.network, len(learned.classes)),
            recipe.seed,
            backbone=conduct.pretrained,
            network=conduct.weights,
        )
    processes = Processes()
    first, workers = processes.rank == 0, conduct.workers
    if workers is None:
        workers = start.reading_workers(gpu=processes.gpu)
    options = Options(run, workers, conduct.keep, conduct.log_every)
    with Journal(run if first else None, visible=first) as journal:
        trainer = Trainer(
            recipe,
            learned,
            validated,
            options,
            processes,
            weights=begin.weights or None,
            resume=resumed,
        )
        if conduct.save_dialect is not None:
            check_dialect(conduct.save_dialect, trainer.trained())
        notes = (*intent.notes, *(f"note: {note}" for note in begin.notes))
        text = "\n".join((*lines, f"reading: {workers} processes", *notes))
        journal.write("session", text, trainer.iteration, version=__version__, notes=text)
        scores = trainer.run(journal)
        outcome = Outcome(run / LAST, trainer.iteration, scores, None, None)
        return _delivered(outcome, run, conduct, journal) if first else outcome


def _delivered(outcome: Outcome, run: Path, conduct: Conduct, journal: "Journal") -> Outcome:
    """Make of the weights what was asked for."""
    outcome = replace(outcome, model=delivered(run))
    if conduct.save_dialect is not None:
        other = run / f"{conduct.save_dialect}{SUFFIX}"
        save_dialect(outcome.model, conduct.save_dialect, other)
        outcome = replace(outcome, other=other)
    if conduct.export is not None:
        export_trained(
            run,
            conduct.export,
            conduct.formats,
            report=lambda stage: journal.say(f"export: {stage}"),
        )
        outcome = replace(outcome, artifact=conduct.export)
    return outcome
