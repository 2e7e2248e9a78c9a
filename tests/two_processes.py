"""What each of two processes does in `test_trainer_processes`: trainings, one after the other.

Run by ``paddle.distributed.launch`` with a folder: there is the data set, there go the results.
"""

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fastfcn_training.recipe.recipe import Losses, Optimiser, Recipe
from small_trainings import NETWORK, PLAIN, RECIPE, pictures

PICTURES = 8
# Without dropout, and without what makes losses of several batches something else than their mean.
EXACT = replace(
    RECIPE,
    network=replace(NETWORK, family="ncpaddle"),
    augmentation=PLAIN,
    losses=Losses(),
    optimiser=Optimiser("sgd", weight_decay=0.01, clip_norm=5.0),
    freeze_norms=True,
)
# of one process; two take half the batch each
ALONE: dict[str, Recipe] = {
    "batch": replace(EXACT, batch=4, save_every=0),
    "accumulated": replace(EXACT, batch=2, accumulate=2, save_every=0),
}
NORMS = replace(EXACT, batch=2, freeze_norms=False, validation_every=2)


def main(folder: Path) -> None:
    # Late: a process that only wants the recipes need not import Paddle.
    from fastfcn_training.errors import TrainingError
    from fastfcn_training.loop.log import TrainingLog
    from fastfcn_training.loop.trainer import Trainer, TrainerOptions
    from fastfcn_training.network import losses
    from fastfcn_training.paddle_setup.distributed import ProcessGroup

    processes = ProcessGroup()
    rank = processes.rank
    data = pictures(folder / f"data{rank}", PICTURES, void=False)
    facts: dict[str, Any] = {"world": processes.world, "rank": rank}

    def train(name: str, recipe: Recipe, *, log_type: type[TrainingLog] = TrainingLog) -> None:
        # A folder for each, so that it shows who writes.
        run = folder / f"{name}{rank}"
        options = TrainerOptions(run, workers=0, log_every=1)
        with log_type(folder / f"log_{name}{rank}", visible=False) as writer:
            trainer = Trainer(recipe, data, data, options, processes)
            scores = trainer.run(writer)
            facts[name] = {"mean_iou": None if scores is None else scores.mean_iou}

    for name, recipe in ALONE.items():
        train(name, replace(recipe, batch=recipe.batch // 2))
    train("norms", NORMS)

    class Stopping(TrainingLog):
        """Presses Ctrl-C in the second process only, after two iterations."""

        def write(self, event: str, text: str, iteration: int, **given: Any) -> None:
            super().write(event, text, iteration, **given)
            if (event, iteration, rank) == ("train", 2, 1):
                os.kill(os.getpid(), signal.SIGINT)

    try:
        train("stopped", NORMS, log_type=Stopping)
    except KeyboardInterrupt:
        facts["stopped"] = True

    total = losses.total
    losses.total = lambda *given: total(*given) * (np.nan if rank == 1 else 1)
    try:
        train("diverged", NORMS)
    except TrainingError as error:
        facts["diverged"] = str(error)
    (folder / f"facts{rank}.json").write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
