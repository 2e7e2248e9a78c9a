"""A recipe as JSON: one that comes with the package, by its name, or a file of the user's own."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from fastfcn_infer.system import record
from fastfcn_training.cli.overrides import Overrides
from fastfcn_training.cli.recipe_source import Context, Plan
from fastfcn_training.recipe.recipe import Recipe

TITLE = "a recipe: one of the package, or a file such as --dry-run prints"

_FOLDER = Path(__file__).parents[2] / "recipe" / "recipes"
_LARGEST = 1 << 20  # bytes of a recipe file


@dataclass(frozen=True)
class Options:
    """Options of this source.

    Args:
        recipe: name of a recipe in the package, or a file.
    """

    recipe: str


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Declare the option."""
    names = ", ".join(recipe_names())
    group.add_argument("--recipe", metavar="NAME|FILE.json", help=f"Recipe: {names}, or a file")


def plan(options: Options, overrides: Overrides, context: Context) -> Plan:
    """Read the recipe.

    Raises:
        ValueError: there is no such recipe or file, or it is not a recipe; lists all faults.
    """
    return Plan(read_recipe(options.recipe))


def recipe_names() -> tuple[str, ...]:
    """List the recipes that come with the package, in alphabetical order."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


def read_recipe(name: str) -> Recipe:
    """Read a recipe that comes with the package, or the file ``name``.

    Raises:
        ValueError: there is no such recipe or file, or it is not a recipe; lists all faults.
    """
    path = _FOLDER / f"{name}.json" if name in recipe_names() else Path(name)
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise ValueError(
            f"{name!r} is neither a recipe of the package ({', '.join(recipe_names())}) nor a "
            f"readable file ({error.strerror})"
        ) from error
    if len(text) > _LARGEST:
        raise ValueError(f"{path} has more than {_LARGEST} bytes, too many for a recipe")
    try:
        return record.from_json(Recipe, text)
    except record.RecordError as error:
        faults = "".join(f"\n  {fault}" for fault in error.faults)
        raise ValueError(f"{path} is not a recipe:{faults}") from error
