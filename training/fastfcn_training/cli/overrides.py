"""Changes that the command line makes to a recipe, whatever its source."""

import argparse
from dataclasses import dataclass, replace

from fastfcn_infer.data.label_options import (
    MAP_HELP,
    ORIENTATION_HELP,
    ORIENTATIONS,
    Orientation,
    read_map,
)
from fastfcn_training.recipe.recipe import Recipe

BALANCED = "balanced"  # class weights computed from the number of pixels of each class


@dataclass(frozen=True)
class Overrides:
    """Changes to a recipe; None leaves a value as it is.

    Args:
        iterations: steps of the optimiser.
        seed: of all random numbers.
        accumulate: batches whose gradients are averaged in one step.
        precision: ``mixed`` or ``fp32``.
        validate_every, save_every: iterations.
        class_weights: one per class, or `BALANCED`; an empty tuple weighs all classes equally.
        map_labels: pairs of a value in the label files and its label.
        label_orientation: of the label maps of pictures that EXIF turns.
    """

    iterations: int | None = None
    seed: int | None = None
    accumulate: int | None = None
    precision: str | None = None
    validate_every: int | None = None
    save_every: int | None = None
    class_weights: tuple[float, ...] | str | None = None
    map_labels: tuple[tuple[int, int], ...] | None = None
    label_orientation: Orientation | None = None


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Declare the options; their destinations are the fields of `Overrides`."""
    add = group.add_argument
    add(
        "--iterations",
        "--iters",
        type=whole,
        metavar="N",
        help="Length of the training, in steps of the optimiser",
    )
    add(
        "--seed",
        type=natural,
        metavar="N",
        help="Seed of weights, order, augmentation and dropout",
    )
    add(
        "--accumulate",
        type=whole,
        metavar="N",
        help="Number of batches whose gradients are averaged in one step",
    )
    add(
        "--precision",
        type=_precision,
        metavar="fp32|mixed",
        help="Precision of the arithmetic; mixed (or fp16): float16 where that is safe, which needs a GPU",
    )
    add(
        "--validate-every",
        type=natural,
        metavar="N",
        help="Iterations between validations; 0: only at the end",
    )
    add(
        "--save-every",
        "--save_interval",
        type=natural,
        metavar="N",
        help="Iterations between checkpoints; 0: only at the end",
    )
    add(
        "--class-weights",
        type=_class_weights,
        metavar="balanced|none|W,W,...",
        help="Weights of the classes in the loss; balanced: 1 / ln(1.1 + share of pixels), counted in the training part",
    )
    add("--map-labels", type=_map, metavar="VALUE=LABEL[,...]", help=MAP_HELP)
    add("--label-orientation", choices=ORIENTATIONS, help=ORIENTATION_HELP)


def apply_overrides(recipe: Recipe, overrides: Overrides) -> Recipe:
    """Change a recipe; class weights that have to be counted are left for later.

    Raises:
        ValueError: the changes do not fit the recipe; lists all faults.
    """
    if overrides.validate_every is not None and recipe.data.validation_split is None:
        raise ValueError(
            "--validate-every: the training has no validation part (--no-val, or a recipe whose "
            "data.validation_split is null)"
        )
    values = {
        "iterations": overrides.iterations,
        "seed": overrides.seed,
        "accumulate": overrides.accumulate,
        "precision": overrides.precision,
        "validation_every": overrides.validate_every,
        "save_every": overrides.save_every,
    }
    given = {name: value for name, value in values.items() if value is not None}
    recipe = replace(recipe, **given)  # type: ignore[arg-type]
    rules = {
        name: value
        for name in ("map_labels", "label_orientation")
        if (value := getattr(overrides, name)) is not None
    }
    recipe = replace(recipe, data=replace(recipe.data, **rules))
    if isinstance(overrides.class_weights, tuple):
        recipe = with_class_weights(recipe, overrides.class_weights)
    return recipe


def with_class_weights(recipe: Recipe, weights: tuple[float, ...]) -> Recipe:
    """Give a recipe other class weights."""
    return replace(recipe, losses=replace(recipe.losses, class_weights=weights))


def whole(text: str) -> int:
    """Parse an integer of at least 1."""
    return _from(1, text)


def natural(text: str) -> int:
    """Parse an integer of at least 0."""
    return _from(0, text)


def _from(least: int, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least {least}")
    return number


def _precision(text: str) -> str:
    if text not in ("fp32", "mixed", "fp16"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither fp32 nor mixed (or fp16)")
    return "fp32" if text == "fp32" else "mixed"


def _map(text: str) -> tuple[tuple[int, int], ...]:
    try:
        return tuple(sorted(read_map(text).items()))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _class_weights(text: str) -> tuple[float, ...] | str:
    if text == BALANCED:
        return BALANCED
    if text == "none":
        return ()
    try:
        weights = tuple(float(part) for part in text.split(","))
    except ValueError:
        weights = ()
    if not weights or not all(0 <= weight < float("inf") for weight in weights):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither balanced, none, nor comma-separated numbers of at least 0"
        )
    return weights
