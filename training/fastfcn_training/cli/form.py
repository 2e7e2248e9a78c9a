"""A way in which users say what to train; `forms/` holds one file each.

A file of `forms/` offers, at module level,

``TITLE``
    of the group of its options in ``fastfcn-train --help``;
``Options``
    a frozen dataclass with what can be said and what is meant where nothing is;
``add_arguments(group)``
    declare command-line options whose destinations are the fields of ``Options``;
``plan(options, changes, surroundings) -> Plan``
    turn what was said into a recipe.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from fastfcn_infer.system import registry
from fastfcn_training.cli.overrides import Changes
from fastfcn_training.recipe.recipe import Recipe

_PACKAGE = "fastfcn_training.cli.forms"


@dataclass(frozen=True)
class Surroundings:
    """What a form may ask for.

    Args:
        count: number of pictures of a part, asked with data set, root and part; raises
            `DatasetError` where they are not there.
        root: where the user says the data set lies; None: not said.
        world: processes that train together.
    """

    count: Callable[[str, Path, str], int]
    root: Path | None
    world: int


@dataclass(frozen=True)
class Plan:
    """What a form says.

    Args:
        recipe: what to learn and how.
        conduct: fields of `conduct.Conduct` that it says something about.
        notes: what users should know before they begin, a sentence each.
        classes: number of classes that it speaks of; None: it speaks of none.
        backbone_of: whose weights it would begin the backbone with; None: nobody's.
        fine_tune: what ``--resume`` names gives its weights only.
    """

    recipe: Recipe
    conduct: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    classes: int | None = None
    backbone_of: str | None = None
    fine_tune: bool = False


class Form(Protocol):
    """A file of `forms/`."""

    TITLE: str
    Options: type[Any]

    def add_arguments(self, group: argparse._ArgumentGroup) -> None:
        """Declare its options."""
        ...

    def plan(self, options: Any, changes: Changes, surroundings: Surroundings) -> Plan:
        """Turn what was said into a recipe.

        Raises:
            ValueError: there is no such training; lists all faults.
            DatasetError: the data set had to be counted and is not there.
        """
        ...


def form_names() -> tuple[str, ...]:
    """List the forms, in alphabetical order."""
    return registry.names(_PACKAGE)


def load_form(name: str) -> Form:
    """Import a form."""
    return cast("Form", registry.load(_PACKAGE, name))
