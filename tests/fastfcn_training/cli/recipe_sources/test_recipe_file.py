"""Recipes as JSON: those of the package, and anybody's own."""

from pathlib import Path

import pytest

from fastfcn_export.network import choice
from fastfcn_infer.artifact.class_table import class_table
from fastfcn_infer.data.dataset import layout
from fastfcn_infer.system import record
from fastfcn_training.cli.overrides import Overrides
from fastfcn_training.cli.recipe_source import Context
from fastfcn_training.cli.recipe_sources import recipe_file
from fastfcn_training.cli.recipe_sources.recipe_file import recipe_names
from fastfcn_training.recipe.recipe import Recipe
from small_trainings import RECIPE


def read(name: str | Path) -> Recipe:
    context = Context(lambda name, root, split: 0, None, 1)
    return recipe_file.plan(recipe_file.Options(str(name)), Overrides(), context).recipe


def test_recipes_of_the_package_are_known_by_name() -> None:
    found = read("fastfcn-resnet18-camvid")
    assert (found.data.dataset, found.network.backbone) == ("camvid", "resnet18")


def test_what_a_dry_run_prints_is_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(record.to_json(RECIPE), encoding="utf-8")
    assert read(path) == RECIPE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        (
            '{"data": {"dataset": "camvid"}, "batch": "two", "hue": 1}',
            r"(?s)batch.*hue: unknown",
        ),
        ("[" * (1 << 20) + "]", "more than 1048576 bytes"),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        read(path)


def test_a_name_that_is_none_lists_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"fastfcn-resnet18-camvid.*No such file"):
        read("fastfcn-resnet18-mars")


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_of_the_package_can_be_followed(name: str) -> None:
    recipe = read(name)
    splits = layout(recipe.data.dataset).SPLITS
    assert recipe.data.split in splits
    assert recipe.data.validation_split in (None, *splits)
    classes = len(class_table(recipe.data.dataset))
    assert len(recipe.losses.class_weights) in (0, classes)
    assert choice.architecture(recipe.network, classes).classes == classes
