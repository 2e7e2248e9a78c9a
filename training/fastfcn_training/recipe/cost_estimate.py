"""What a training will cost, before it begins; needs neither Paddle nor pictures."""

from dataclasses import dataclass

from fastfcn_export.network import choice
from fastfcn_export.network.fastfcn import fastfcn_training
from fastfcn_export.target.targets.cost import CostOps
from fastfcn_training.recipe.recipe import Recipe


@dataclass(frozen=True)
class Forecast:
    """The size of a training.

    Args:
        pictures: of the part to learn from.
        classes: of the data set.
        parameters: numbers that are learned.
        multiply_adds: of one picture on its way through the network, with the parts that only a
            training has; the way back takes about twice as many.
        pictures_a_step: that one iteration learns from, over all processes.
        iterations: length.
        epochs: the same length, in times that a picture is seen.
    """

    pictures: int
    classes: int
    parameters: int
    multiply_adds: int
    pictures_a_step: int
    iterations: int
    epochs: float


def forecast(recipe: Recipe, *, pictures: int, classes: int, world: int) -> Forecast:
    """Compute what a training will cost.

    Args:
        recipe: of the training.
        pictures: of the part to learn from.
        classes: of the data set.
        world: processes that train together.
    """
    ops = CostOps()
    fastfcn_training(
        ops, choice.architecture(recipe.network, classes), (1, 3, *recipe.augmentation.crop)
    )
    step = recipe.batch * recipe.accumulate * world
    return Forecast(
        pictures,
        classes,
        sum(layer.parameters for layer in ops.layers),
        sum(layer.multiply_adds for layer in ops.layers),
        step,
        recipe.iterations,
        round(recipe.iterations * step / pictures, 2),
    )


def forecast_text(found: Forecast) -> str:
    """Write it down for people."""
    return (
        f"{found.pictures} pictures, {found.classes} classes; "
        f"{found.parameters / 1e6:.2f} M parameters, {found.multiply_adds / 1e9:.1f} G "
        f"multiply-adds a picture forward and twice as many back; {found.iterations} iterations "
        f"of {found.pictures_a_step} pictures, {found.epochs:g} epochs"
    )
