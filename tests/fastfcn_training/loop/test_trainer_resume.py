"""A training that was interrupted and resumed ends as if it had never stopped, to the last bit."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from arriving_signals import arrive
from fastfcn_infer.data.dataset import Dataset
from fastfcn_training.recipe.recipe import Optimiser, Recipe
from small_trainings import RECIPE, log_events, pictures

paddle = pytest.importorskip("paddle")

from safetensors.numpy import load_file  # noqa: E402 - comes with Paddle's extra

from fastfcn_training.checkpoint.files import checkpoints, open_checkpoint  # noqa: E402
from fastfcn_training.errors import TrainingError  # noqa: E402
from fastfcn_training.loop.log import TrainingLog  # noqa: E402
from fastfcn_training.loop.trainer import Trainer, TrainerOptions  # noqa: E402
from fastfcn_training.paddle_setup.distributed import ProcessGroup  # noqa: E402

SGD = replace(RECIPE, optimiser=Optimiser("sgd", weight_decay=0.01, clip_norm=1.0))
ADAMW = replace(RECIPE, batch=1, accumulate=2)
LOSSES = ("loss", "main", "auxiliary", "semantic", "learning_rate")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return pictures(tmp_path_factory.mktemp("data"), 5)


class Stopping(TrainingLog):
    """Presses Ctrl-C when an iteration's line is written."""

    def __init__(self, run: Path, at: int) -> None:
        super().__init__(run, visible=False)
        self.at = at

    def write(self, event: str, text: str, iteration: int, **facts: Any) -> None:
        super().write(event, text, iteration, **facts)
        if (event, iteration) == ("train", self.at):
            arrive(signal.SIGINT)


def options(run: Path, workers: int = 0) -> TrainerOptions:
    return TrainerOptions(run, workers=workers, log_every=1)


def train(recipe: Recipe, data: Dataset, run: Path, *, workers: int = 0) -> None:
    with TrainingLog(run, visible=False) as writer:
        Trainer(recipe, data, None, options(run, workers), ProcessGroup()).run(writer)


def resume_training(recipe: Recipe, data: Dataset, run: Path, *, workers: int = 0) -> None:
    with TrainingLog(run, visible=False) as writer:
        trainer = Trainer(
            recipe, data, None, options(run, workers), ProcessGroup(), resume=open_checkpoint(run)
        )
        trainer.run(writer)


def losses(run: Path) -> dict[int, list[float]]:
    return {line["iteration"]: [line[name] for name in LOSSES] for line in log_events(run)}


def assert_same(ours: dict[str, NDArray[Any]], theirs: dict[str, NDArray[Any]]) -> None:
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert np.array_equal(array, theirs[name]), name


def assert_same_end(run: Path, other: Path) -> None:
    for name in (
        "model.safetensors",
        "checkpoints/000004/model.safetensors",
        "checkpoints/000004/optimiser.safetensors",
    ):
        assert_same(load_file(run / name), load_file(other / name))
    ours, theirs = (open_checkpoint(path).progress for path in (run, other))
    assert ours == theirs  # the hashes of the files too


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("recipe", [SGD, ADAMW], ids=["sgd", "adamw accumulated"])
def test_losses_and_weights_are_those_of_a_training_that_never_stopped(
    data: Dataset, tmp_path: Path, recipe: Recipe, workers: int
) -> None:
    train(recipe, data, tmp_path / "whole")
    shutil.copytree(
        tmp_path / "whole" / "checkpoints" / "000002",
        tmp_path / "resumed" / "checkpoints" / "000002",
    )
    resume_training(recipe, data, tmp_path / "resumed", workers=workers)
    whole, resumed = losses(tmp_path / "whole"), losses(tmp_path / "resumed")
    assert resumed == {3: whole[3], 4: whole[4]}
    assert len({tuple(values) for values in whole.values()}) == 4
    assert_same_end(tmp_path / "resumed", tmp_path / "whole")


@pytest.mark.skipif(os.name == "nt", reason="a process cannot send itself Ctrl-C there")
@pytest.mark.parametrize("workers", [0, 1])
def test_ctrl_c_saves_and_what_goes_on_ends_as_if_there_had_been_none(
    data: Dataset, tmp_path: Path, workers: int
) -> None:
    train(RECIPE, data, tmp_path / "whole")
    run = tmp_path / "stopped"
    writer = Stopping(run, at=1)
    with writer, pytest.raises(KeyboardInterrupt) as stopped:
        Trainer(RECIPE, data, None, options(run, workers), ProcessGroup()).run(writer)
    assert [int(folder.name) for folder in checkpoints(run)] == [1]
    assert not (run / "model.safetensors").exists()
    assert not (run / "best.safetensors").exists()
    said = f"saved after iteration 1 of 4; continue with --resume {run}"
    assert stopped.value.args == (said,)
    with Stopping(run, at=3) as again, pytest.raises(KeyboardInterrupt):
        resume = open_checkpoint(run)
        Trainer(RECIPE, data, None, options(run), ProcessGroup(), resume=resume).run(again)
    resume_training(RECIPE, data, run, workers=workers)
    assert losses(run) == losses(tmp_path / "whole")
    assert_same_end(run, tmp_path / "whole")
    # Without validation the last weights are the best.
    assert (run / "best.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


@pytest.mark.parametrize("saved", [0, 2])
def test_a_second_ctrl_c_stops_at_once_and_says_what_was_saved(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: int
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    run = tmp_path / "run"
    with TrainingLog(run, visible=False) as writer:
        trainer = Trainer(RECIPE, data, None, options(run), ProcessGroup())
        if saved:
            trainer.iteration = saved
            trainer.save()
        monkeypatch.setattr(trainer, "_step", interrupted)
        with pytest.raises(KeyboardInterrupt) as stopped:
            trainer.run(writer)
    kept = f"continue from iteration 2 with --resume {run}" if saved else "no checkpoint was saved"
    assert stopped.value.args == (f"stopped at once after iteration {saved} of 4; {kept}",)


@pytest.mark.skipif(os.name == "nt", reason="a process cannot send itself Ctrl-C there")
def test_ctrl_c_in_the_last_iteration_ends_nothing_early(data: Dataset, tmp_path: Path) -> None:
    with Stopping(tmp_path, at=4) as writer:
        Trainer(RECIPE, data, None, options(tmp_path), ProcessGroup()).run(writer)
    assert (tmp_path / "model.safetensors").exists()


def test_the_best_score_is_remembered(data: Dataset, tmp_path: Path) -> None:
    recipe = replace(RECIPE, validation_every=2)
    with TrainingLog(tmp_path / "whole", visible=False) as writer:
        Trainer(recipe, data, data, options(tmp_path / "whole"), ProcessGroup()).run(writer)
    run = tmp_path / "resumed"
    for name in ("checkpoints/000002", "best.safetensors"):
        copy = shutil.copytree if name.startswith("checkpoints") else shutil.copy
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        copy(tmp_path / "whole" / name, run / name)
    with TrainingLog(run, visible=False) as writer:
        resume = open_checkpoint(run)
        assert resume.progress.best is not None
        Trainer(recipe, data, data, options(run), ProcessGroup(), resume=resume).run(writer)
    assert open_checkpoint(run).progress == open_checkpoint(tmp_path / "whole").progress
    assert_same(
        load_file(run / "best.safetensors"), load_file(tmp_path / "whole/best.safetensors")
    )


def test_a_training_that_is_over_ends_at_once(data: Dataset, tmp_path: Path) -> None:
    train(RECIPE, data, tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").unlink()
    resume_training(RECIPE, data, tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert [line["iteration"] for line in log_events(tmp_path)] == [1, 2, 3, 4]


def test_another_recipe_or_data_set_is_not_gone_on_with(data: Dataset, tmp_path: Path) -> None:
    train(RECIPE, data, tmp_path)
    with pytest.raises(TrainingError, match="its recipe differs in seed"):
        resume_training(replace(RECIPE, seed=1), data, tmp_path)
    with pytest.raises(TrainingError, match="had 5 pictures then, now it has 4"):
        resume_training(RECIPE, replace(data, samples=data.samples[:4]), tmp_path)
