"""Recipes that make no sense are refused when they are made, with everything that is wrong."""

from dataclasses import replace
from typing import Any

import pytest

from fastfcn_infer.system import record
from fastfcn_training.recipe.recipe import Augmentation, Data, Losses, Optimiser, Recipe, Schedule
from small_trainings import RECIPE


def test_a_recipe_survives_json() -> None:
    recipe = replace(
        RECIPE,
        losses=Losses(0.1, 1 / 3, (0.1, 2.0), "all"),
        schedule=Schedule("one_cycle", 1e-3, warm_up=5),
        optimiser=Optimiser("sgd", clip_norm=0.1 + 0.2),
    )
    assert record.from_json(Recipe, record.to_json(recipe)) == recipe


@pytest.mark.parametrize(
    ("part", "options", "faults"),
    [
        (Data, {"dataset": "x", "std": (0.2, 0.0, 0.2)}, ["std"]),
        (Augmentation, {"scales": (2.0, 0.5), "crop": (0, 480)}, ["scales", "crop"]),
        (Augmentation, {"scales": (0.0, 0.5), "base_size": 0}, ["scales", "base_size"]),
        (Augmentation, {"scale_step": 0.0, "rotation": -1.0}, ["scale_step", "rotation"]),
        (Augmentation, {"mirror": 1.5, "blur": -0.5, "hue": 181.0}, ["mirror", "blur", "hue"]),
        (Augmentation, {"brightness": 2.0, "contrast": -1.0}, ["brightness", "contrast"]),
        (Augmentation, {"saturation": 1.1, "padding_label": 256}, ["saturation", "padding_label"]),
        (Losses, {"auxiliary": -0.1, "semantic": -1.0}, ["auxiliary", "semantic"]),
        (Losses, {"class_weights": (1.0, -1.0)}, ["class_weights"]),
        (Losses, {"class_weights": (0.0, 0.0)}, ["class_weights"]),
        (Optimiser, {"momentum": 1.0, "weight_decay": -1.0}, ["momentum", "weight_decay"]),
        (Optimiser, {"head_factor": 0.0, "clip_norm": 0.0}, ["head_factor", "clip_norm"]),
        (Schedule, {"rate": 0.0, "power": -1.0}, ["rate", "power"]),
        (Schedule, {"rate": float("nan")}, ["rate", "end"]),
        (Schedule, {"rate": 0.1, "end": 0.2, "warm_up": -1}, ["end", "warm_up"]),
        (Schedule, {"kind": "step", "step": 0}, ["step"]),
        (Schedule, {"warm_up_from": 0.001}, ["warm_up_from"]),
    ],
)
def test_a_part_that_makes_no_sense_is_refused_with_all_faults(
    part: Any, options: dict[str, Any], faults: list[str]
) -> None:
    with pytest.raises(ValueError) as refused:
        part(**options)
    assert {text.split(" is ")[0] for text in str(refused.value).split("; ")} == set(faults)


@pytest.mark.parametrize(
    "options",
    [
        {"iterations": 0, "batch": 0, "accumulate": 0},
        {"seed": -1, "validation_every": -1, "save_every": -1},
    ],
)
def test_lengths_that_are_none_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError) as refused:
        replace(RECIPE, **options)  # type: ignore[arg-type]  # all of them are integers
    assert {text.split(" is ")[0] for text in str(refused.value).split("; ")} == set(options)


def test_what_is_wrong_in_a_file_is_named_with_its_part() -> None:
    data = record.to_data(RECIPE) | {"losses": {"auxiliary": -1.0}, "schedule": {"rate": 0.0}}
    with pytest.raises(record.RecordError) as refused:
        record.from_data(Recipe, data)
    first, second = refused.value.faults
    assert first.startswith("losses: auxiliary is -1.0")
    assert second.startswith("schedule: rate is 0.0")
