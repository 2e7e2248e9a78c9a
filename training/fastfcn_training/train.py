"""One run of ``fastfcn-train``: from the command line's request to the trained weights."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fastfcn_export.network import choice
from fastfcn_infer.data.dataset import Dataset
from fastfcn_infer.evaluation.metrics import Scores
from fastfcn_infer.system.version import __version__
from fastfcn_infer.system.writing import check_folder
from fastfcn_training.checkpoint.export_trained import check_export, export_trained, final_weights
from fastfcn_training.checkpoint.files import LAST, describe
from fastfcn_training.checkpoint.save_dialect import SUFFIX, check_dialect, save_dialect
from fastfcn_training.cli.arguments import Request
from fastfcn_training.cli.job import (
    TrainingJob,
    balance_classes,
    build_job,
    check_classes,
    open_part,
    output_folder,
)
from fastfcn_training.cli.run_options import RunOptions
from fastfcn_training.data.check_part import check_part
from fastfcn_training.data.dataset_cache import DatasetCache
from fastfcn_training.network.pretrained import Pretrained, initial_network
from fastfcn_training.paddle_setup import launch, start
from fastfcn_training.recipe.cost_estimate import CostEstimate, estimate_cost
from fastfcn_training.recipe.recipe import Recipe

if TYPE_CHECKING:
    from fastfcn_training.checkpoint.files import Checkpoint
    from fastfcn_training.loop.log import TrainingLog


@dataclass(frozen=True)
class DryRun:
    """What ``--dry-run`` reports.

    Args:
        recipe: the training's recipe.
        cost: what following it costs.
        notes: what the user should know before starting.
    """

    recipe: Recipe
    cost: CostEstimate
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """The result of a training.

    Args:
        model: file of the best weights, which are the last ones if no validation said otherwise.
        iterations: steps made.
        scores: of the last validation in this run; None without one.
        other: the same weights in another project's format, if requested.
        artifact: exported from them, if requested.
    """

    model: Path
    iterations: int
    scores: Scores | None
    other: Path | None
    artifact: Path | None


def dry_run(request: Request) -> DryRun:
    """Plan a training; needs no Paddle, and no pictures if their number is published.

    Raises:
        ValueError: the request does not describe a training; lists all faults.
        DatasetError: the data set is needed and is missing.
    """
    datasets = DatasetCache(estimate=True)
    job = balance_classes(build_job(request, datasets), request, datasets)
    part = (job.recipe.data.dataset, job.run_options.root, job.recipe.data.split)
    cost = estimate_cost(
        job.recipe,
        pictures=datasets.count(*part),
        classes=datasets.classes(*part),
        world=launch.world(),
    )
    return DryRun(job.recipe, cost, (*job.notes, *datasets.notes))


def train(request: Request) -> Outcome:
    """Train to the end, then write everything that was requested.

    Raises:
        ValueError: the request does not describe a training; lists all faults.
        DatasetError, ImageError: the data set or a picture cannot be read.
        BackendMissing, DeviceUnavailable: Paddle, another package or the device is missing.
        CheckpointError: the checkpoint to resume, or the initial weights, are damaged or do not fit.
        TrainingError: the training cannot continue.
        WriteError: the folder of the training cannot be written.
        VerificationError, BackendError: the exported graph is wrong; the training itself is saved.
        KeyboardInterrupt: the training was interrupted; after saving.
    """
    datasets = DatasetCache(estimate=False)
    job = build_job(request, datasets)
    options, data = job.run_options, job.recipe.data
    run = output_folder(options)
    check_folder(run)
    if options.export is not None:
        check_export(options.export, options.formats, run)
    training = open_part(job, datasets, data.split)
    check_classes(job, training)
    validation = None
    if data.validation_split is not None:
        validation = open_part(job, datasets, data.validation_split)
    if options.save_dialect is not None:
        check_dialect(options.save_dialect, describe(job.recipe, training.classes, 0))
    lines = start.start(options.device)
    # A resumed training was checked when it began.
    checked = job.resumed is not None or options.accept_labels
    training, notes = check_part(training, learn=True, accept=checked)
    if validation is not None:
        validation, more = check_part(validation, learn=False, accept=checked)
        notes = (*notes, *more)
    job = replace(job, notes=(*job.notes, *notes))
    job = balance_classes(job, request, datasets)
    return _train(job, run, training, validation, lines)


def _train(
    job: TrainingJob,
    run: Path,
    training: Dataset,
    validation: Dataset | None,
    lines: tuple[str, ...],
) -> Outcome:
    # Paddle has been set up by now; these import it.
    from fastfcn_training.loop.log import TrainingLog
    from fastfcn_training.loop.trainer import Trainer, TrainerOptions
    from fastfcn_training.paddle_setup.distributed import ProcessGroup

    recipe, options, resumed = job.recipe, job.run_options, job.resumed
    initial = Pretrained({}, ())
    if resumed is None:
        initial = initial_network(
            choice.architecture(recipe.network, len(training.classes)),
            recipe.seed,
            backbone=options.pretrained,
            network=options.weights,
        )
    processes = ProcessGroup()
    first, workers = processes.rank == 0, options.workers
    if workers is None:
        workers = start.reading_workers(gpu=processes.gpu)
    with TrainingLog(run if first else None, visible=first and not options.quiet) as log:
        notes = [*job.notes, *(f"note: {note}" for note in initial.notes)]
        if first and resumed is not None:
            resumed = _with_best(run, options, resumed, notes)
        trainer = Trainer(
            recipe,
            training,
            validation,
            TrainerOptions(run, workers, options.keep, options.log_every),
            processes,
            weights=initial.weights or None,
            earlier=initial.trained_on,
            resume=resumed,
        )
        text = "\n".join((*lines, f"worker processes: {workers}", *notes))
        log.write("session", text, trainer.iteration, version=__version__, notes=text)
        if first and options.quiet and notes:
            log.notice("\n".join(notes))
        scores = trainer.run(log)
        outcome = Outcome(run / LAST, trainer.iteration, scores, None, None)
        return _write_outputs(outcome, run, options, log) if first else outcome


def _with_best(
    run: Path, options: RunOptions, resumed: "Checkpoint", notes: list[str]
) -> "Checkpoint":
    """Bring the best weights so far into the run's folder; if they are lost, forget their score."""
    from fastfcn_training.checkpoint.run_folder import restore_best

    best = resumed.progress.best
    if best is None or options.resume is None or restore_best(run, options.resume, best):
        return resumed
    notes.append(
        f"note: the best weights so far, after iteration {best.iteration}, no longer exist; from "
        "now on the best of the remaining validations is kept"
    )
    return replace(resumed, progress=replace(resumed.progress, best=None))


def _write_outputs(
    outcome: Outcome, run: Path, options: RunOptions, log: "TrainingLog"
) -> Outcome:
    """Convert the final weights into what was requested."""
    outcome = replace(outcome, model=final_weights(run))
    try:
        if options.save_dialect is not None:
            other = run / f"{options.save_dialect}{SUFFIX}"
            save_dialect(outcome.model, options.save_dialect, other)
            outcome = replace(outcome, other=other)
        if options.export is not None:
            export_trained(
                run,
                options.export,
                options.formats,
                report=lambda stage: log.message(f"export: {stage}"),
            )
            outcome = replace(outcome, artifact=options.export)
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(
            f"the training is finished: {outcome.model}; what is made from its weights is made with "
            f"--resume {run} and the same options"
        ) from error
    return outcome
