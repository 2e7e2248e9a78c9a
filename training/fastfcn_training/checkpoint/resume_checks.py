"""Whether a recipe, its data and the checkpoint to go on from belong together."""

from fastfcn_infer.data.dataset import Dataset
from fastfcn_training.checkpoint.files import Progress
from fastfcn_training.errors import TrainingError
from fastfcn_training.recipe.recipe import Recipe


def check_classes(recipe: Recipe, data: Dataset, validation: Dataset | None) -> None:
    """Check that everything counts the same classes.

    Raises:
        ValueError: it does not.
    """
    weights = len(recipe.losses.class_weights)
    if weights not in (0, len(data.classes)):
        raise ValueError(
            f"the recipe weighs {weights} classes, but {data.name} has {len(data.classes)}; "
            "give one weight a class, or none at all"
        )
    if validation is not None and validation.classes != data.classes:
        raise ValueError(
            f"{validation.name} {validation.split}, to validate on, has other classes than "
            f"{data.name} {data.split}; the same were expected"
        )


def check_resumed(progress: Progress, recipe: Recipe, data: Dataset, world: int) -> None:
    """Check that a training goes on as it began, so that it ends as if it had never stopped.

    Args:
        progress: of the checkpoint.
        recipe: of the training that goes on from it.
        data: the part to learn from.
        world: number of processes.

    Raises:
        TrainingError: it does not; says what differs.
    """
    faults = []
    if progress.recipe != recipe:
        fields = [
            name
            for name in vars(recipe)
            if getattr(progress.recipe, name) != getattr(recipe, name)
        ]
        faults.append(f"its recipe differs in {', '.join(fields)}")
    if progress.world != world:
        faults.append(f"it was made by {progress.world} processes, and there are {world}")
    if progress.samples not in (None, len(data.samples)):
        faults.append(
            f"{data.name} {data.split} had {progress.samples} pictures then, and has "
            f"{len(data.samples)} now"
        )
    if faults:
        raise TrainingError(
            f"the checkpoint of iteration {progress.iteration} belongs to another training: "
            f"{'; '.join(faults)}. Go on as it began, or begin anew from its weights"
        )
