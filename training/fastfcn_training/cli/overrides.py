"""What users may change of any recipe, whichever way they gave it."""

import argparse
from dataclasses import dataclass, replace

from fastfcn_training.recipe.recipe import Recipe

BALANCED = "balanced"  # class weights that follow from the number of pixels of each class


@dataclass(frozen=True)
class Changes:
    """Changes to a recipe; None: none.

    Args:
        iterations: steps of the optimiser.
        seed: of everything random.
        accumulate: batches whose gradients are averaged for one step.
        precision: ``mixed`` or ``fp32``.
        validate_every, save_every: iterations.
        class_weights: one a class, or `BALANCED`; none in it: all classes alike.
    """

    iterations: int | None = None
    seed: int | None = None
    accumulate: int | None = None
    precision: str | None = None
    validate_every: int | None = None
    save_every: int | None = None
    class_weights: tuple[float, ...] | str | None = None


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Declare the options; their destinations are the fields of `Changes`."""
    add = group.add_argument
    add("--iterations", "--iters", type=whole, metavar="N", help="steps of the optimiser")
    add("--seed", type=natural, metavar="N", help="of weights, order, augmentation and dropout")
    add("--accumulate", type=whole, metavar="N", help="batches that make one step")
    add(
        "--precision",
        type=_precision,
        metavar="fp32|mixed",
        help="mixed, or fp16, computes in float16 where that is safe, on GPUs",
    )
    add("--validate-every", type=natural, metavar="N", help="iterations; 0: only at the end")
    add("--save-every", "--save_interval", type=natural, metavar="N", help="iterations")
    add(
        "--class-weights",
        type=_class_weights,
        metavar="balanced|none|W,W,...",
        help="balanced: 1 / ln(1.1 + share of pixels), counted once over the part to learn from",
    )


def changed(recipe: Recipe, changes: Changes) -> Recipe:
    """Apply the changes but for class weights that have yet to be counted."""
    wanted = {
        "iterations": changes.iterations,
        "seed": changes.seed,
        "accumulate": changes.accumulate,
        "precision": changes.precision,
        "validation_every": changes.validate_every,
        "save_every": changes.save_every,
    }
    said = {name: value for name, value in wanted.items() if value is not None}
    recipe = replace(recipe, **said)  # type: ignore[arg-type]
    if isinstance(changes.class_weights, tuple):
        recipe = with_class_weights(recipe, changes.class_weights)
    return recipe


def with_class_weights(recipe: Recipe, weights: tuple[float, ...]) -> Recipe:
    """Weigh the classes."""
    return replace(recipe, losses=replace(recipe.losses, class_weights=weights))


def whole(text: str) -> int:
    """Read a whole number from 1."""
    return _from(1, text)


def natural(text: str) -> int:
    """Read a whole number from 0."""
    return _from(0, text)


def _from(least: int, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least}")
    return number


def _precision(text: str) -> str:
    if text not in ("fp32", "mixed", "fp16"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither fp32 nor mixed (or fp16)")
    return "fp32" if text == "fp32" else "mixed"


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
            f"{text!r} is neither balanced, none, nor numbers from 0 with commas between"
        )
    return weights
