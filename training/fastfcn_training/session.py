"""One call of ``fastfcn-train``: from what was asked to the trained weights."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from fastfcn_infer import exit_codes
from fastfcn_infer.dataset import open_dataset
from fastfcn_infer.errors import CheckpointError
from fastfcn_training import processors
from fastfcn_training.named_recipes import read_recipe

if TYPE_CHECKING:
    from fastfcn_training.saving import Checkpoint


def run(given: argparse.Namespace) -> int:
    """Train; progress goes to standard error, the result to standard output."""
    print(processors.prepare(), file=sys.stderr)
    from fastfcn_training.journal import Journal
    from fastfcn_training.processes import Processes
    from fastfcn_training.trainer import Options, Trainer

    resume = _checkpoint(given)
    recipe = read_recipe(given.recipe) if resume is None else resume.progress.recipe
    data = open_dataset(recipe.data.dataset, given.root, recipe.data.split)
    validation = None
    if recipe.data.validation_split is not None:
        validation = open_dataset(recipe.data.dataset, given.root, recipe.data.validation_split)
    if given.device != "auto":
        import paddle

        paddle.set_device(given.device)
    processes = Processes()
    options = Options(given.run, given.workers, given.keep, given.log_every)
    with Journal(given.run, visible=processes.rank == 0) as journal:
        trainer = Trainer(recipe, data, validation, options, processes, resume=resume)
        found = trainer.run(journal)
    model = given.run / "model.safetensors"
    result = {"model": str(model), "mean_iou": None if found is None else found.mean_iou}
    if given.json:
        print(json.dumps(result))
    else:
        print(f"the model is {model}\ngo on with: fastfcn-export {model} -o FOLDER")
    return exit_codes.FINE


def _checkpoint(given: argparse.Namespace) -> "Checkpoint | None":
    if given.resume is None:
        return None
    from fastfcn_training.saving import checkpoints, load_checkpoint

    found = checkpoints(given.resume)
    if not found:
        raise CheckpointError(f"{given.resume} holds no checkpoint of a training")
    return load_checkpoint(found[-1])
