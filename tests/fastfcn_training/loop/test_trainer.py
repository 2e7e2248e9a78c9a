"""Whole trainings: they learn, log, keep the best checkpoint and stop where they must."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastfcn_export.dialect.trained import read_trained
from fastfcn_export.network.choice import architecture
from fastfcn_export.target.random_weights import random_weights
from fastfcn_infer.artifact.manifest import Convention, TrainedOn
from fastfcn_infer.data.dataset import Dataset
from fastfcn_infer.data.trained_on import describe_training
from fastfcn_infer.errors import CheckpointError, DatasetError
from fastfcn_infer.evaluation.metrics import Confusion
from fastfcn_training.recipe.recipe import Losses, Recipe, Schedule
from small_trainings import PLAIN, RECIPE, log_events, pictures

paddle = pytest.importorskip("paddle")

from safetensors.numpy import load_file  # noqa: E402 - comes with Paddle's extra

from fastfcn_training.checkpoint.files import checkpoints, open_checkpoint  # noqa: E402
from fastfcn_training.data.batches import batches, network_input  # noqa: E402
from fastfcn_training.data.sampler import Sampler  # noqa: E402
from fastfcn_training.errors import TrainingError  # noqa: E402
from fastfcn_training.loop import step, trainer  # noqa: E402
from fastfcn_training.loop.log import TrainingLog  # noqa: E402
from fastfcn_training.loop.trainer import Trainer, TrainerOptions  # noqa: E402
from fastfcn_training.network.pretrained import initial_network  # noqa: E402
from fastfcn_training.paddle_setup.distributed import ProcessGroup  # noqa: E402


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return pictures(tmp_path_factory.mktemp("data"), 4)


def train(
    recipe: Recipe, data: Dataset, run: Path, *, validation: Dataset | None = None, **options: Any
) -> Any:
    given = TrainerOptions(run, **{"workers": 0, "log_every": 1} | options)
    with TrainingLog(run, visible=False) as writer:
        return Trainer(recipe, data, validation, given, ProcessGroup()).run(writer)


def test_a_training_learns_four_pictures_by_heart(data: Dataset, tmp_path: Path) -> None:
    recipe = replace(
        RECIPE,
        iterations=60,
        batch=4,
        augmentation=PLAIN,
        losses=Losses(),
        schedule=Schedule("poly", rate=0.01, power=1.0),
        save_every=0,
    )
    scores = train(recipe, data, tmp_path, validation=data, log_every=0)
    assert scores.pixel_accuracy > 0.95
    assert scores.mean_iou > 0.85


def test_every_iteration_is_logged_with_losses_rate_and_speed(
    data: Dataset, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, losses=Losses(auxiliary=0.3, semantic=0.7))
    train(recipe, data, tmp_path)
    (start,) = log_events(tmp_path, "start")
    assert (start["iteration"], start["samples"], start["world"]) == (0, 4, 1)
    lines = log_events(tmp_path)
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4]
    for line in lines:
        parts = line["main"] + 0.3 * line["auxiliary"] + 0.7 * line["semantic"]
        assert line["loss"] == pytest.approx(parts, rel=1e-6)
        gone = (line["iteration"] - 1) / 4
        assert line["learning_rate"] == pytest.approx(0.01 * (1 - gone) ** 0.9)
        assert line["images_per_second"] > 0
        assert 0 < line["data_share"] < 1
        assert line["memory"] is None or line["memory"] > 1e7


def test_lines_of_several_iterations_tell_their_mean(data: Dataset, tmp_path: Path) -> None:
    for every, name in ((1, "one"), (2, "two")):
        train(RECIPE, data, tmp_path / name, log_every=every)
    ones = [line["loss"] for line in log_events(tmp_path / "one")]
    twos = [line["loss"] for line in log_events(tmp_path / "two")]
    assert twos == pytest.approx([(ones[0] + ones[1]) / 2, (ones[2] + ones[3]) / 2])


def test_a_validation_s_scores_are_logged(data: Dataset, tmp_path: Path) -> None:
    recipe = replace(RECIPE, validation_every=3)
    scores = train(recipe, data, tmp_path, validation=data)
    lines = log_events(tmp_path, "validation")
    assert [line["iteration"] for line in lines] == [3, 4]
    for name in ("mean_iou", "pixel_accuracy", "kappa", "mean_dice"):
        assert lines[-1][name] == getattr(scores, name)
    assert lines[-1]["iou"] == list(scores.iou)
    assert lines[-1]["convention"] == "paddleseg"


def confusions(*shares: tuple[int, int]) -> Iterator[Confusion]:
    """Counts of 1000 pixels of a class, and of 100 of two others: how many of them are right."""
    for large, small in shares:
        counts = np.diag([large, small, small])
        counts[0, 1], counts[1, 2], counts[2, 1] = 1000 - large, 100 - small, 100 - small
        yield Confusion.from_counts(counts)


@pytest.mark.parametrize(("convention", "best"), [("paddleseg", 1), ("fastfcn", 3)])
def test_the_best_is_chosen_as_the_convention_s_authors_do_and_kept(
    data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    convention: Convention,
    best: int,
) -> None:
    # Mean IoU: 0.68, 0.45, 0.67, 0.5; and pixel accuracy: 0.87, 0.86, 0.96, 0.9.
    found = confusions((850, 98), (900, 60), (1000, 71), (950, 66))
    monkeypatch.setattr(trainer, "validate", lambda *_, **__: next(found))
    recipe = replace(RECIPE, validation_every=1, save_every=1, convention=convention)
    train(recipe, data, tmp_path, validation=data, keep=1)
    described = read_trained(tmp_path / "best.safetensors")
    assert described is not None
    assert (described.iterations, described.convention) == (best, convention)
    assert [int(folder.name) for folder in checkpoints(tmp_path)] == [best, 4]
    kept = load_file(tmp_path / "checkpoints" / f"{best:06d}" / "model.safetensors")
    for name, array in load_file(tmp_path / "best.safetensors").items():
        assert np.array_equal(array, kept[name])
    progress = open_checkpoint(tmp_path).progress
    assert progress.best is not None
    assert progress.best.iteration == best


def test_scores_that_are_not_numbers_are_never_the_best(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([Confusion(3), *confusions((900, 50)), Confusion(3), Confusion(3)])
    monkeypatch.setattr(trainer, "validate", lambda *_, **__: next(found))
    train(replace(RECIPE, validation_every=1), data, tmp_path, validation=data)
    assert [line["best"] for line in log_events(tmp_path, "validation")] == [
        False,
        True,
        False,
        False,
    ]
    progress = open_checkpoint(tmp_path).progress
    assert progress.best is not None
    assert progress.best.iteration == 2


def test_the_last_weights_are_the_best_if_no_validation_has_a_score(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "validate", lambda *_, **__: Confusion(3))
    train(replace(RECIPE, validation_every=2), data, tmp_path / "no score", validation=data)
    train(RECIPE, data, tmp_path / "no validation")
    for run in ("no score", "no validation"):
        best = tmp_path / run / "best.safetensors"
        described = read_trained(best)
        assert described is not None
        assert described.iterations == RECIPE.iterations
        assert best.read_bytes() == (tmp_path / run / "model.safetensors").read_bytes()


# One pixel may vanish in the first ReLU, so that the gradient alone is not a number.
@pytest.mark.parametrize("pixels", [1, None])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_loss_that_is_no_number_stops_the_training_and_names_its_pictures(
    data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    accumulate: int,
    pixels: int | None,
) -> None:
    train(RECIPE, data, tmp_path / "well")
    calls = count(1)

    def poisoned(*given: Any) -> Any:
        image = network_input(*given)
        if next(calls) == 4 * accumulate:  # in the last iteration
            image[0, :, :pixels, :pixels] = np.nan
        return image

    monkeypatch.setattr(step, "network_input", poisoned)
    recipe = replace(RECIPE, accumulate=accumulate, batch=2 // accumulate)
    with pytest.raises(TrainingError, match=r"the loss of iteration 3, .*not a number") as stopped:
        train(recipe, data, tmp_path / "run", keep=9)
    sampler = Sampler(4, recipe.batch, recipe.seed)
    with batches(data, recipe.augmentation, sampler, start=3 * accumulate) as stream:
        names = [name for _ in range(accumulate) for name in next(stream).names]
    for sample in data.samples:
        assert (str(sample.picture) in str(stopped.value)) is (sample.name in names)
    assert [int(folder.name) for folder in checkpoints(tmp_path / "run")] == [2]
    last = open_checkpoint(tmp_path / "run")
    assert all(np.isfinite(array).all() for array in last.weights.values())
    if accumulate == 1:
        wanted = load_file(tmp_path / "well" / "checkpoints" / "000002" / "model.safetensors")
        assert all(np.array_equal(array, wanted[name]) for name, array in last.weights.items())


def test_a_training_that_runs_away_leaves_no_weights_that_are_not_numbers(
    data: Dataset, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, schedule=Schedule("constant", rate=3e38), save_every=1)
    with pytest.raises(TrainingError, match=r"not a number|NaN or infinity"):
        train(recipe, data, tmp_path)
    for folder in checkpoints(tmp_path):
        for array in load_file(folder / "model.safetensors").values():
            assert np.isfinite(array).all()
    assert not (tmp_path / "model.safetensors").exists()


def test_the_last_weights_say_what_they_are(data: Dataset, tmp_path: Path) -> None:
    train(replace(RECIPE, convention="fastfcn", align_corners=False), data, tmp_path)
    described = read_trained(tmp_path / "model.safetensors")
    assert described is not None
    assert described.network == RECIPE.network
    assert described.classes == data.classes
    assert described.iterations == 4
    assert described.dataset == "made train"
    assert (described.convention, described.align_corners) == ("fastfcn", False)


def test_given_weights_are_where_it_begins(data: Dataset, tmp_path: Path) -> None:
    weights = random_weights(architecture(RECIPE.network, 3), seed=5)
    given = TrainerOptions(tmp_path)
    network = Trainer(RECIPE, data, None, given, ProcessGroup(), weights=weights).network
    for name, array in network.weights().items():
        assert np.array_equal(array, weights[name])


def test_its_files_say_what_it_and_the_trainings_before_it_learned_from(
    data: Dataset, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, iterations=2)
    earlier = TrainedOn("camvid", ("train",))
    weights = random_weights(architecture(RECIPE.network, 3))
    given = TrainerOptions(tmp_path, workers=0)
    with TrainingLog(tmp_path, visible=False) as writer:
        Trainer(recipe, data, None, given, ProcessGroup(), weights=weights, earlier=[earlier]).run(
            writer
        )
    expected = describe_training(data, [earlier])
    assert [entry.dataset for entry in expected] == ["camvid", "made"]
    resumed = open_checkpoint(tmp_path)
    assert resumed.progress.trained_on == expected
    again = Trainer(recipe, data, None, given, ProcessGroup(), resume=resumed)
    assert again.trained().trained_on == expected
    described = read_trained(tmp_path / "model.safetensors")
    assert described is not None
    assert described.learned_from == expected
    for given_as in ("network", "backbone"):
        start = initial_network(
            architecture(RECIPE.network, 3), 0, **{given_as: tmp_path / "model.safetensors"}
        )
        assert start.trained_on == expected


def test_weights_of_another_network_are_refused(data: Dataset, tmp_path: Path) -> None:
    weights = random_weights(architecture(RECIPE.network, 4))
    with pytest.raises(CheckpointError, match=r"misshapen: head\.classifier\.weight"):
        Trainer(RECIPE, data, None, TrainerOptions(tmp_path), ProcessGroup(), weights=weights)


def test_a_data_set_smaller_than_a_batch_is_refused(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="4 samples"):
        Trainer(replace(RECIPE, batch=5), data, None, TrainerOptions(tmp_path), ProcessGroup())


def test_to_keep_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep is 0"):
        TrainerOptions(tmp_path, keep=0)
