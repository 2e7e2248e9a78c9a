"""A training is resumed as it started, or not at all."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("safetensors")

from fastfcn_infer.artifact.manifest import ClassInfo
from fastfcn_infer.data.dataset import Dataset, Sample
from fastfcn_training.checkpoint.files import Progress
from fastfcn_training.checkpoint.resume_checks import check_classes, check_resumed
from fastfcn_training.errors import TrainingError
from fastfcn_training.recipe.recipe import Losses
from small_trainings import RECIPE

CLASSES = tuple(ClassInfo(name, (1, 2, 3)) for name in ("sky", "sea", "land"))
SAMPLES = tuple(Sample(f"s{i}", Path("p"), Path("l")) for i in range(5))
DATA = Dataset("made", "train", CLASSES, SAMPLES, {})


@pytest.mark.parametrize(("samples", "world"), [(5, 2), (None, 1)])
def test_nothing_but_a_difference_is_refused(samples: int | None, world: int) -> None:
    progress = Progress(RECIPE, 10, world, None, samples=samples)
    check_resumed(progress, RECIPE, DATA, world)
    for recipe, processes in ((replace(RECIPE, batch=3), world), (RECIPE, world + 1)):
        with pytest.raises(TrainingError, match="belongs to another training"):
            check_resumed(progress, recipe, DATA, processes)


def test_everything_that_differs_is_said_at_once() -> None:
    other = replace(RECIPE, seed=7, losses=Losses())
    with pytest.raises(TrainingError) as refused:
        check_resumed(Progress(other, 10, 4, None, samples=6), RECIPE, DATA, 2)
    for fault in (
        "checkpoint of iteration 10",
        "differs in losses, seed",
        "made by 4 processes, now there are 2",
        "had 6 pictures then, now it has 5",
    ):
        assert fault in str(refused.value)


def test_class_weights_are_one_a_class_or_none() -> None:
    check_classes(RECIPE, DATA, None)
    check_classes(replace(RECIPE, losses=Losses()), DATA, DATA)
    with pytest.raises(ValueError, match=r"has 2 class weights, but made has 3"):
        check_classes(replace(RECIPE, losses=Losses(class_weights=(1.0, 2.0))), DATA, None)


def test_the_part_to_validate_on_has_the_same_classes() -> None:
    other = replace(DATA, split="val", classes=CLASSES[::-1])
    with pytest.raises(ValueError, match="validation part made val has other classes"):
        check_classes(RECIPE, DATA, other)
