"""The training loop: step, log, validate, save, and repeat."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.dialect.trained import Trained
from fastfcn_export.network import choice
from fastfcn_export.network.primitives import Weights
from fastfcn_infer.artifact.manifest import TrainedOn
from fastfcn_infer.data.dataset import Dataset
from fastfcn_infer.data.trained_on import describe_training
from fastfcn_infer.evaluation.metrics import Confusion, Scores, scores
from fastfcn_training.checkpoint.files import (
    BEST,
    LAST,
    Best,
    Checkpoint,
    Progress,
    checkpoints,
    describe,
)
from fastfcn_training.checkpoint.resume_checks import check_classes, check_resumed
from fastfcn_training.checkpoint.run_folder import RunFolder
from fastfcn_training.data.batches import Batch, batches
from fastfcn_training.data.sampler import Sampler
from fastfcn_training.errors import TrainingError
from fastfcn_training.loop.interrupt import Interrupt
from fastfcn_training.loop.log import TrainingLog, log_progress, log_scores, log_start
from fastfcn_training.loop.meter import Meter
from fastfcn_training.loop.step import TrainingStep
from fastfcn_training.loop.validation import validate
from fastfcn_training.network.initial_weights import initial_weights
from fastfcn_training.network.paddle_network import TrainingNetwork
from fastfcn_training.paddle_setup.distributed import ProcessGroup
from fastfcn_training.recipe import schedules
from fastfcn_training.recipe.recipe import Recipe


@dataclass(frozen=True)
class TrainerOptions:
    """How a training is run; none of these changes its result.

    Args:
        run: folder for checkpoints and logs; no other training may write there.
        workers: processes that read pictures.
        keep: number of last checkpoints to keep; the best one is kept too.
        log_every: iterations between log lines; 0: only at the end.

    Raises:
        ValueError: no checkpoint would be kept.
    """

    run: Path
    workers: int = 2
    keep: int = 3
    log_every: int = 20

    def __post_init__(self) -> None:
        """Refuse to keep no checkpoint."""
        if self.keep < 1:
            raise ValueError(f"keep is {self.keep}, expected at least 1 checkpoint")


class Trainer:
    """A training, started or resumed.

    Args:
        recipe: what to train and how.
        data: the training part of the data set.
        validation: the validation part; None: no validation.
        options: how to run it.
        processes: the processes that train together; only the first one writes.
        weights: initial weights, by our names; None: drawn from the recipe's seed.
        earlier: what the initial weights were trained on.
        resume: checkpoint to continue from instead.

    Attributes:
        iteration: steps made so far.

    Raises:
        TrainingError: `resume` belongs to another recipe, data set or number of processes.
        CheckpointError: weights or optimiser state do not fit the network.
        DeviceUnavailable: the recipe asks for mixed precision and there is no GPU.
        DatasetError: the data set has too few pictures for a batch.
        ValueError: recipe and data sets have different classes.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Dataset,
        validation: Dataset | None,
        options: TrainerOptions,
        processes: ProcessGroup,
        *,
        weights: Weights | None = None,
        earlier: Sequence[TrainedOn] = (),
        resume: Checkpoint | None = None,
    ) -> None:
        self._recipe, self._data, self._validation = recipe, data, validation
        self._options, self._processes = options, processes
        self._sampler = Sampler(
            len(data.samples), recipe.batch, recipe.seed, processes.rank, processes.world
        )
        check_classes(recipe, data, validation)
        architecture = choice.architecture(recipe.network, len(data.classes))
        if resume is not None:
            check_resumed(resume.progress, recipe, data, processes.world)
            weights = resume.weights
        elif weights is None:
            weights = initial_weights(architecture, recipe.seed)
        self._training_step = TrainingStep(recipe, architecture, weights, processes)
        self._run_folder = RunFolder(options.run, options.keep) if processes.rank == 0 else None
        self.iteration = 0
        self._best: Best | None = None
        if resume is not None:
            self._training_step.load(resume.optimiser, resume.progress.loss_scale)
            self.iteration, self._best = resume.progress.iteration, resume.progress.best
        known = () if resume is None else resume.progress.trained_on
        self._trained_on = known or describe_training(data, earlier)

    @property
    def network(self) -> TrainingNetwork:
        """The network with its current weights."""
        return self._training_step.network

    def run(self, log: TrainingLog) -> Scores | None:
        """Train to the end of the recipe.

        Returns:
            The scores of the last validation, if there was one.

        Raises:
            TrainingError: the loss is not finite, names the pictures; or it cannot be saved.
            KeyboardInterrupt: the training was interrupted; after saving.
            ImageError, DatasetError: a picture or its labels cannot be read.
        """
        recipe, options, last = self._recipe, self._options, None
        self._log_start(log)
        stream = batches(
            self._data,
            recipe.augmentation,
            self._sampler,
            start=self.iteration * recipe.accumulate,
            workers=options.workers,
        )
        interrupt = Interrupt(visible=self._processes.rank == 0)
        with self._telling_what_is_saved(), stream as pictures, interrupt:
            meter = Meter()
            while self.iteration < recipe.iterations:
                self._step(pictures, meter)
                if self._due(options.log_every):
                    self._log_progress(log, meter)
                    meter = Meter()
                if self._due(recipe.validation_every):
                    last = self._validate(log) or last
                    meter = Meter()
                finished = self.iteration == recipe.iterations
                stop = self._processes.any(interrupt.requested) and not finished
                if stop or self._due(recipe.save_every):
                    self.save()
                if stop:
                    raise KeyboardInterrupt(
                        f"saved after iteration {self.iteration} of {recipe.iterations}; continue with "
                        f"--resume {options.run}"
                    )
        self._save_final_weights()
        return last

    def save(self) -> None:
        """Write a checkpoint.

        Raises:
            TrainingError: it cannot be written, or some weights are not finite.
        """
        if self._run_folder is None:
            return
        optimiser, scale = self._training_step.state()
        progress = Progress(
            self._recipe,
            self.iteration,
            self._processes.world,
            self._best,
            samples=len(self._data.samples),
            loss_scale=scale,
            trained_on=self._trained_on,
        )
        self._run_folder.save(
            Checkpoint(progress, self.network.weights(), optimiser), self.trained()
        )

    @contextlib.contextmanager
    def _telling_what_is_saved(self) -> Iterator[None]:
        """Let the second Ctrl-C, after which nothing is saved, say what was saved before."""
        try:
            yield
        except KeyboardInterrupt as error:
            if not error.args:
                run, saved = self._options.run, checkpoints(self._options.run)
                kept = "no checkpoint was saved"
                if saved:
                    kept = f"continue from iteration {int(saved[-1].name)} with --resume {run}"
                error.args = (
                    f"stopped at once after iteration {self.iteration} of {self._recipe.iterations}; {kept}",
                )
            raise

    def _save_final_weights(self) -> None:
        """Write the last weights; they are also the best if no validation said which are better."""
        if self._run_folder is None:
            return
        for name in (LAST,) if self._best is not None else (LAST, BEST):
            self._run_folder.save_weights(name, self.network.weights(), self.trained())

    def trained(self) -> Trained:
        """Describe the network and its conventions."""
        return describe(self._recipe, self._data.classes, self.iteration, self._trained_on)

    def _due(self, every: int) -> bool:
        at_end = self.iteration == self._recipe.iterations
        return at_end or (every > 0 and self.iteration % every == 0)

    def _step(self, pictures: Iterator[Batch], meter: Meter) -> None:
        recipe, world = self._recipe, self._processes.world
        step = self._training_step.compute_gradients(pictures, self.iteration)
        losses = self._processes.mean(step.losses)
        if not (step.finite and np.isfinite(losses).all()):
            raise TrainingError(self._divergence(step.losses))
        self._training_step.update_weights(
            schedules.rate(recipe.schedule, self.iteration, recipe.iterations)
        )
        self.iteration += 1
        meter.add(losses, recipe.batch * recipe.accumulate * world, step.waited)

    def _divergence(self, losses: NDArray[np.float64]) -> str:
        """Say which pictures led to a loss or gradient that is not finite."""
        sampler, parts = self._sampler, self._recipe.accumulate
        bad = np.zeros(sampler.world, np.int64)
        bad[sampler.rank] = not np.isfinite(losses).all()
        # Gradients are averaged over all processes, so they do not tell whose pictures are at fault.
        ranks = np.flatnonzero(self._processes.sum(bad)).tolist() or range(sampler.world)
        paths = [
            str(self._data.samples[draw.index].picture)
            for rank in ranks
            for part in range(parts)
            for draw in replace(sampler, rank=rank).draws(self.iteration * parts + part)
        ]
        return (
            f"the loss of iteration {self.iteration}, or its gradient, is not a number. Its "
            f"pictures: {', '.join(paths)}. Check their labels, or start again with a lower "
            "learning rate or with gradient clipping; everything saved before is intact"
        )

    def _validate(self, log: TrainingLog) -> Scores | None:
        if self._validation is None:
            return None
        processes, recipe = self._processes, self._recipe
        # Each process has running statistics of its own pictures; the first one's are saved.
        tensors = self.network.named_tensors().values()
        processes.broadcast(tensor for tensor in tensors if tensor.stop_gradient)
        counts = validate(
            self.network, self._validation, recipe, rank=processes.rank, world=processes.world
        ).counts
        found = scores(Confusion.from_counts(processes.sum(counts)), recipe.convention)
        score = found.final if recipe.convention == "fastfcn" else found.mean_iou
        # A score that is NaN is never the best.
        better = score > (-np.inf if self._best is None else self._best.score)
        if better:
            self._best = Best(score, self.iteration)
            if self._run_folder is not None:
                self._run_folder.save_weights(BEST, self.network.weights(), self.trained())
        log_scores(log, self.iteration, found, better=better)
        return found

    def _log_start(self, log: TrainingLog) -> None:
        log_start(
            log,
            self._recipe,
            self.iteration,
            samples=len(self._data.samples),
            parameters=sum(int(t.size) for t in self.network.named_trainable().values()),
            world=self._processes.world,
        )

    def _log_progress(self, log: TrainingLog, meter: Meter) -> None:
        recipe = self._recipe
        log_progress(
            log,
            recipe,
            self.iteration,
            meter,
            rate=schedules.rate(recipe.schedule, self.iteration - 1, recipe.iterations),
            memory=self._processes.memory(),
        )
