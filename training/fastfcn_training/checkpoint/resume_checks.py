"""Checks that a recipe, its data and the checkpoint to resume belong together."""

from fastfcn_infer.data.dataset import Dataset
from fastfcn_training.checkpoint.files import Progress
from fastfcn_training.errors import TrainingError
from fastfcn_training.recipe.recipe import Recipe


def check_classes(recipe: Recipe, data: Dataset, validation: Dataset | None) -> None:
    """Check that recipe, training data and validation data have the same classes.

    Raises:
        ValueError: they do not.
    """
    weights = len(recipe.losses.class_weights)
    if weights not in (0, len(data.classes)):
        raise ValueError(
            f"the recipe has {weights} class weights, but {data.name} has {len(data.classes)} "
            "classes; give one weight per class, or none"
        )
    if validation is not None and validation.classes != data.classes:
        raise ValueError(
            f"the validation part {validation.name} {validation.split} has other classes than the "
            f"training part {data.name} {data.split}; expected the same"
        )


def check_resumed(progress: Progress, recipe: Recipe, data: Dataset, world: int) -> None:
    """Check that a training continues as it started, so that it ends as if it had never stopped.

    Args:
        progress: of the checkpoint.
        recipe: of the training that resumes it.
        data: the training part of the data set.
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
        faults.append(f"it was made by {progress.world} processes, now there are {world}")
    if progress.samples not in (None, len(data.samples)):
        faults.append(
            f"{data.name} {data.split} had {progress.samples} pictures then, now it has "
            f"{len(data.samples)}"
        )
    if faults:
        raise TrainingError(
            f"the checkpoint of iteration {progress.iteration} belongs to another training: "
            f"{'; '.join(faults)}. Resume it as it started, or start a new training from its weights "
            "(--weights)"
        )
