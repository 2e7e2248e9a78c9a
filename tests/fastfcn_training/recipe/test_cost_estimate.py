"""What a training costs, known before it begins."""

from dataclasses import replace

import numpy as np
import pytest

from fastfcn_export.network import choice
from fastfcn_export.target.targets import cost
from fastfcn_training.network.initial_weights import initial_weights
from fastfcn_training.recipe.cost_estimate import cost_text, estimate_cost
from small_trainings import RECIPE


def test_all_numbers_that_are_learned_are_counted() -> None:
    weights = initial_weights(choice.architecture(RECIPE.network, 3), 0)
    learned = {name: w for name, w in weights.items() if not name.endswith((".mean", ".var"))}
    found = estimate_cost(RECIPE, pictures=10, classes=3, world=1)
    assert found.parameters == sum(np.size(weight) for weight in learned.values())


def test_parts_of_training_cost_something_too() -> None:
    crop = RECIPE.augmentation.crop
    shipped = cost.layers(choice.architecture(RECIPE.network, 3), crop)
    found = estimate_cost(RECIPE, pictures=10, classes=3, world=1)
    assert found.multiply_adds > sum(layer.multiply_adds for layer in shipped)


def test_a_picture_twice_as_wide_costs_nearly_twice_as_much() -> None:
    wide = replace(RECIPE, augmentation=replace(RECIPE.augmentation, crop=(96, 128)))
    narrow = replace(RECIPE, augmentation=replace(RECIPE.augmentation, crop=(96, 64)))
    costs = [
        estimate_cost(r, pictures=1, classes=3, world=1).multiply_adds for r in (wide, narrow)
    ]
    assert costs[0] / costs[1] == pytest.approx(2, rel=0.01)


def test_epochs_follow_from_what_all_processes_see() -> None:
    recipe = replace(RECIPE, iterations=100, batch=4, accumulate=2)
    found = estimate_cost(recipe, pictures=1000, classes=3, world=3)
    assert (found.pictures_a_step, found.epochs) == (24, 2.4)


def test_people_read_it_in_one_line() -> None:
    text = cost_text(estimate_cost(RECIPE, pictures=10, classes=3, world=1))
    assert text.startswith("10 pictures, 3 classes; ")
    assert "4 iterations of 2 pictures, 0.8 epochs" in text
