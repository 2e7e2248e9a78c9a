"""Recipes by name: the files of ``recipes/``, of trainings that were made, and anybody's own files."""

from pathlib import Path

from fastfcn_infer import record
from fastfcn_training.recipe import Recipe

_FOLDER = Path(__file__).parent / "recipes"
_LARGEST = 1 << 20  # bytes of a recipe's file


def recipe_names() -> tuple[str, ...]:
    """List the recipes that come with the package, in alphabetical order."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


def read_recipe(name: str) -> Recipe:
    """Read a recipe that comes with the package, or the file ``name``.

    Raises:
        ValueError: there is no such recipe or file, or it is no recipe; names all faults.
    """
    path = _FOLDER / f"{name}.json" if name in recipe_names() else Path(name)
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise ValueError(
            f"{name!r} is neither a file ({error}) nor a recipe of the package; expected one of "
            f"{', '.join(recipe_names())}, or a JSON file"
        ) from error
    if len(text) > _LARGEST:
        raise ValueError(f"{path} has more than {_LARGEST} bytes; a recipe was expected")
    try:
        return record.from_json(Recipe, text)
    except record.RecordError as error:
        raise ValueError(f"{path} is no recipe: {error}") from error
