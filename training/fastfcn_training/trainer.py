"""The training loop: read, learn, tell, validate, save; and again."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from fastfcn_export.network import choice
from fastfcn_export.target import Weights
from fastfcn_export.trained import Trained
from fastfcn_infer.dataset import Dataset
from fastfcn_infer.errors import FastFCNError
from fastfcn_infer.metrics import Confusion, Scores, scores
from fastfcn_training import losses, schedules
from fastfcn_training.batches import Batch, batches, network_input
from fastfcn_training.initial_weights import initial_weights
from fastfcn_training.interrupt import Interrupt
from fastfcn_training.journal import Journal
from fastfcn_training.optimisers import NamedOptimiser
from fastfcn_training.order import Order
from fastfcn_training.paddle_train import TrainingNetwork
from fastfcn_training.processes import Processes
from fastfcn_training.recipe import Recipe
from fastfcn_training.saving import Best, Checkpoint, Progress, save_checkpoint, save_weights
from fastfcn_training.validation import validate


class TrainingError(FastFCNError, RuntimeError):
    """The training cannot go on: the loss is not a number, or resumed with another recipe."""


@dataclass(frozen=True)
class Options:
    """What does not change what is learned.

    Args:
        run: folder for checkpoints and logs.
        workers: processes that read pictures.
        keep: last checkpoints to keep.
        log_every: iterations.
    """

    run: Path
    workers: int = 2
    keep: int = 3
    log_every: int = 20


class Trainer:
    """A training, from the first or from a later iteration.

    Args:
        recipe: what to learn.
        data: the part to learn from.
        validation: the part to validate on; None: no validation.
        options: where to and how.
        processes: this one and those beside it.
        weights: to begin with, by our names; None: drawn from the recipe's seed.
        resume: go on from here instead.

    Raises:
        TrainingError: `resume` was made by another recipe.
        DatasetError: the data set has too few pictures for a batch.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Dataset,
        validation: Dataset | None,
        options: Options,
        processes: Processes,
        *,
        weights: Weights | None = None,
        resume: Checkpoint | None = None,
    ) -> None:
        self._recipe, self._data, self._validation = recipe, data, validation
        self._options, self._processes = options, processes
        self._order = Order(
            len(data.samples), recipe.batch, recipe.seed, processes.rank, processes.world
        )
        architecture = choice.architecture(recipe.network, len(data.classes))
        if resume is not None:
            _check(resume.progress, recipe, processes)
            weights = resume.weights
        elif weights is None:
            weights = initial_weights(architecture, recipe.seed)
        self.network = TrainingNetwork(
            architecture,
            weights,
            synchronised=processes.synchronise_norms,
            freeze_norms=recipe.freeze_norms,
        )
        self._optimiser = NamedOptimiser(recipe.optimiser, self.network.named_trainable())
        self._forward = processes.wrap(self.network)
        self._scaler = processes.scaler(recipe.precision)
        self.iteration = 0
        self._best: Best | None = None
        if resume is not None:
            self._optimiser.load(resume.optimiser)
            self.iteration, self._best = resume.progress.iteration, resume.progress.best

    def run(self, journal: Journal) -> Scores | None:
        """Train to the end of the recipe.

        Returns:
            The scores of the last validation, if there was one.

        Raises:
            TrainingError: the loss is not a number; names the pictures.
            KeyboardInterrupt: after saving.
            ImageError, DatasetError: a picture or its labels cannot be read.
        """
        recipe, last = self._recipe, None
        start = self.iteration * recipe.accumulate
        stream = batches(
            self._data,
            recipe.augmentation,
            self._order,
            start=start,
            workers=self._options.workers,
        )
        with stream as pictures, Interrupt() as interrupt:
            meter = _Meter(self.iteration)
            while self.iteration < recipe.iterations:
                self._step(pictures, meter)
                self.iteration += 1
                if self._due(self._options.log_every):
                    self._tell(journal, meter)
                    meter = _Meter(self.iteration)
                if self._due(recipe.validation_every):
                    last = self._validate(journal)
                    meter = _Meter(self.iteration)
                if self._due(recipe.save_every):
                    self.save()
                if interrupt.asked:
                    journal.say(
                        f"interrupted: saved {self.save()}; go on with --resume {self._options.run}"
                    )
                    raise KeyboardInterrupt
        if self._processes.rank == 0:
            path = self._options.run / "model.safetensors"
            save_weights(path, self.network.weights(), self.trained())
        return last

    def save(self) -> Path:
        """Write a checkpoint; only the first process does."""
        run = self._options.run
        if self._processes.rank > 0:
            return run
        progress = Progress(self._recipe, self.iteration, self._processes.world, self._best)
        checkpoint = Checkpoint(progress, self.network.weights(), self._optimiser.state())
        return save_checkpoint(run, checkpoint, self.trained(), keep=self._options.keep)

    def trained(self) -> Trained:
        """Describe the network as it is now."""
        data = self._recipe.data
        return Trained(
            1,
            self._recipe.network,
            self._data.classes,
            self._recipe.align_corners,
            data.mean,
            data.std,
            self._recipe.augmentation.padding,
            f"{data.dataset} {data.split}",
            self.iteration,
            self._recipe.convention,
        )

    def _due(self, every: int) -> bool:
        at_end = self.iteration == self._recipe.iterations
        return at_end or (every > 0 and self.iteration % every == 0)

    def _step(self, stream: Iterator[Batch], meter: "_Meter") -> None:
        recipe = self._recipe
        # So an iteration depends on its number alone, and a resumed training on nothing saved.
        paddle.seed(_dropout_seed(recipe.seed, self.iteration, self._processes.rank))
        self.network.train()
        names: tuple[str, ...] = ()
        values = np.zeros(4)
        for part in range(recipe.accumulate):
            began = time.perf_counter()
            batch = next(stream)
            meter.waited += time.perf_counter() - began
            names += batch.names
            last = part == recipe.accumulate - 1
            values += np.asarray(self._backward(batch, last=last)) / recipe.accumulate
        if not math.isfinite(values[0]):
            raise TrainingError(
                f"the loss of iteration {self.iteration} is {values[0]}. The pictures of this "
                f"batch: {', '.join(names)}. Look at their labels, or lower the learning rate"
            )
        self._optimiser.paddle.set_lr(
            schedules.rate(recipe.schedule, self.iteration, recipe.iterations)
        )
        self._processes.step(self._optimiser.paddle, self._scaler)
        meter.add(values, len(names) * self._processes.world)

    def _backward(self, batch: Batch, *, last: bool) -> tuple[float, float, float, float]:
        recipe = self._recipe
        image = paddle.to_tensor(network_input(batch.pixels, recipe.data.mean, recipe.data.std))
        truth = paddle.to_tensor(batch.labels.astype(np.int64))
        with self._processes.gradients(self._forward, shared=last):
            with self._processes.precision(recipe.precision):
                outputs = self._forward(image)
                found = losses.parts(
                    outputs, truth, recipe.losses, align_corners=recipe.align_corners
                )
                loss = losses.total(found, recipe.losses)
            share = loss / recipe.accumulate
            (share if self._scaler is None else self._scaler.scale(share)).backward()
        return tuple(  # type: ignore[return-value]
            0.0 if part is None else float(part)
            for part in (loss, found.main, found.auxiliary, found.semantic)
        )

    def _tell(self, journal: Journal, meter: "_Meter") -> None:
        iterations = self._recipe.iterations
        loss, main, auxiliary, semantic = self._processes.mean(meter.losses)
        rate = float(self._optimiser.paddle.get_lr())
        memory = self._processes.memory()
        left = (iterations - self.iteration) * meter.seconds_per_iteration(self.iteration)
        journal.write(
            "train",
            f"{self.iteration}/{iterations}  loss {loss:.4f} (main {main:.4f}, auxiliary "
            f"{auxiliary:.4f}, semantic {semantic:.4f})  lr {rate:.3g}  {meter.ips:.2f} images/s  "
            f"data {meter.data_share:.0%}  memory {memory / 1e9:.2f} GB  left {_clock(left)}",
            self.iteration,
            loss=loss,
            main=main,
            auxiliary=auxiliary,
            semantic=semantic,
            learning_rate=rate,
            images_per_second=meter.ips,
            data_share=meter.data_share,
            memory=memory,
        )

    def _validate(self, journal: Journal) -> Scores | None:
        if self._validation is None:
            return None
        processes = self._processes
        mine = validate(
            self.network,
            self._validation,
            self._recipe,
            rank=processes.rank,
            world=processes.world,
        )
        found = scores(Confusion.from_counts(processes.sum(mine.counts)), self._recipe.convention)
        better = self._best is None or found.mean_iou > self._best.score
        if better:
            self._best = Best(found.mean_iou, self.iteration)
            if processes.rank == 0:
                path = self._options.run / "best.safetensors"
                save_weights(path, self.network.weights(), self.trained())
        journal.write(
            "validation",
            f"validation after {self.iteration}: mean IoU {found.mean_iou:.4f}  Acc "
            f"{found.pixel_accuracy:.4f}  Kappa {found.kappa:.4f}  Dice {found.mean_dice:.4f}"
            + ("  (best so far)" if better else ""),
            self.iteration,
            mean_iou=found.mean_iou,
            pixel_accuracy=found.pixel_accuracy,
            kappa=found.kappa,
            mean_dice=found.mean_dice,
        )
        return found


class _Meter:
    """What happened since the last line of the journal."""

    def __init__(self, iteration: int) -> None:
        self._first = iteration
        self._began = time.perf_counter()
        self._images = 0
        self._sum = np.zeros(4)
        self._steps = 0
        self.waited = 0.0  # seconds, for pictures

    def add(self, losses: Any, images: int) -> None:
        self._sum += losses
        self._images += images
        self._steps += 1

    @property
    def losses(self) -> Any:
        return self._sum / max(self._steps, 1)

    @property
    def ips(self) -> float:
        return self._images / self._seconds

    @property
    def data_share(self) -> float:
        return self.waited / self._seconds

    def seconds_per_iteration(self, iteration: int) -> float:
        return self._seconds / max(iteration - self._first, 1)

    @property
    def _seconds(self) -> float:
        return max(time.perf_counter() - self._began, 1e-9)


def _check(progress: Progress, recipe: Recipe, processes: Processes) -> None:
    if progress.recipe != recipe:
        raise TrainingError(
            "the checkpoint belongs to another recipe; resume with the one it was made with, or "
            "start anew from its weights"
        )
    if progress.world != processes.world:
        raise TrainingError(
            f"the checkpoint was made by {progress.world} processes, but there are "
            f"{processes.world} now: the batches would be others. Start as many as before"
        )


def _dropout_seed(seed: int, iteration: int, rank: int) -> int:
    return int(np.random.SeedSequence((seed, iteration, rank)).generate_state(1)[0])


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
