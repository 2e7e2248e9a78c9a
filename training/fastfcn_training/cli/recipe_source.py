"""A recipe source: one way to describe a training. `recipe_sources/` holds one file for each.

A file of `recipe_sources/` has, at module level,

``TITLE``
    title of its group of options in ``fastfcn-train --help``;
``Options``
    a frozen dataclass of its options with their defaults;
``add_arguments(group)``
    declares command-line options whose destinations are the fields of ``Options``;
``plan(options, overrides, context) -> Plan``
    turns the options into a recipe.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from fastfcn_infer.system import registry
from fastfcn_training.cli.overrides import Overrides
from fastfcn_training.recipe.recipe import Recipe

_PACKAGE = "fastfcn_training.cli.recipe_sources"


@dataclass(frozen=True)
class Context:
    """What a recipe may depend on besides the options.

    Args:
        count: gives the number of pictures for data set, root and part; raises `DatasetError` if
            they are missing.
        root: folder of the data set as the user gave it; None if not given.
        world: number of processes that train together.
    """

    count: Callable[[str, Path, str], int]
    root: Path | None
    world: int


@dataclass(frozen=True)
class Plan:
    """What a recipe source makes of its options.

    Args:
        recipe: what to train and how.
        run_options: the fields of `run_options.RunOptions` that the source sets.
        notes: what the user should know before starting, one sentence each.
        classes: number of classes that the source states; None if it states none.
        backbone_source: the published weights that the backbone would start from there; None if
            none.
        fine_tune: take only the weights from what ``--resume`` names.
    """

    recipe: Recipe
    run_options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    classes: int | None = None
    backbone_source: str | None = None
    fine_tune: bool = False


class RecipeSource(Protocol):
    """A file of `recipe_sources/`."""

    TITLE: str
    Options: type[Any]

    def add_arguments(self, group: argparse._ArgumentGroup) -> None:
        """Declare its options."""
        ...

    def plan(self, options: Any, overrides: Overrides, context: Context) -> Plan:
        """Turn the options into a recipe.

        Raises:
            ValueError: the options do not describe a training; lists all faults.
            DatasetError: the pictures have to be counted and the data set is missing.
        """
        ...


def source_names() -> tuple[str, ...]:
    """List the recipe sources, in alphabetical order."""
    return registry.names(_PACKAGE)


def load_source(name: str) -> RecipeSource:
    """Import a recipe source."""
    return cast("RecipeSource", registry.load(_PACKAGE, name))
