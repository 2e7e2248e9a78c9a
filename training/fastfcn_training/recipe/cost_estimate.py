"""The cost of a training, estimated before it starts; needs neither Paddle nor pictures."""

from dataclasses import dataclass

from fastfcn_export.network import choice
from fastfcn_export.network.fastfcn import fastfcn_training
from fastfcn_export.target.targets.cost import CostOps
from fastfcn_training.recipe.recipe import Recipe


@dataclass(frozen=True)
class CostEstimate:
    """The size of a training.

    Args:
        pictures: in the training part.
        classes: in the data set.
        parameters: trainable numbers.
        multiply_adds: of one picture's forward pass, with the parts that only training has; the
            backward pass takes about twice as many.
        pictures_a_step: pictures per iteration, over all processes.
        iterations: length of the training.
        epochs: the same length, as the number of times that each picture is seen.
    """

    pictures: int
    classes: int
    parameters: int
    multiply_adds: int
    pictures_a_step: int
    iterations: int
    epochs: float


def estimate_cost(recipe: Recipe, *, pictures: int, classes: int, world: int) -> CostEstimate:
    """Estimate the cost of a training.

    Args:
        recipe: of the training.
        pictures: in the training part.
        classes: in the data set.
        world: processes that train together.
    """
    ops = CostOps()
    fastfcn_training(
        ops, choice.architecture(recipe.network, classes), (1, 3, *recipe.augmentation.crop)
    )
    step = recipe.batch * recipe.accumulate * world
    return CostEstimate(
        pictures,
        classes,
        sum(layer.parameters for layer in ops.layers),
        sum(layer.multiply_adds for layer in ops.layers),
        step,
        recipe.iterations,
        round(recipe.iterations * step / pictures, 2),
    )


def cost_text(found: CostEstimate) -> str:
    """Format the estimate for people."""
    return (
        f"{found.pictures} pictures, {found.classes} classes; "
        f"{found.parameters / 1e6:.2f} M parameters, {found.multiply_adds / 1e9:.1f} G "
        f"multiply-adds per picture forward, twice as many backward; {found.iterations} iterations "
        f"of {found.pictures_a_step} pictures, {found.epochs:g} epochs"
    )
