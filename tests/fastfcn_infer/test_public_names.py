import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

import fastfcn_export
import fastfcn_infer
from command_line import PACKAGE, ROOT, python
from fastfcn_infer import errors

NAMES = fastfcn_infer.__all__
ERRORS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, Exception)
]


def imported(path: Path) -> set[str]:
    """Names that a file imports for its users: ``import x as x``."""
    return {
        alias.asname
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }


def used_by_examples_and_documents() -> set[str]:
    """Names that are imported from `fastfcn_infer` itself, in examples and in Markdown."""
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.py")]
    lines = [
        found
        for file in files
        for found in re.findall(
            r"from fastfcn_infer import ([\w, ]+)", file.read_text(encoding="utf-8")
        )
    ]
    return {name.strip() for line in lines for name in line.split(",")}


def test_programs_and_type_checkers_see_the_same_names_and_no_others() -> None:
    assert sorted(NAMES) == sorted(set(NAMES)) == sorted(dir(fastfcn_infer))
    assert set(NAMES) == imported(PACKAGE / "__init__.py")


def test_what_examples_and_documents_import_is_public() -> None:
    used = used_by_examples_and_documents()
    assert {"Segmenter", "open_dataset", "ImageError"} <= used <= set(NAMES)


def test_what_predict_returns_and_every_error_are_public() -> None:
    returned = inspect.signature(fastfcn_infer.Segmenter.predict).return_annotation
    assert returned.__name__ in NAMES
    assert {kind.__name__ for kind in ERRORS} <= set(NAMES)


def test_the_exporters_public_names_are_those_it_imports_for_its_users() -> None:
    path = Path(str(fastfcn_export.__file__))
    assert set(fastfcn_export.__all__) == imported(path)
    assert all(hasattr(fastfcn_export, name) for name in fastfcn_export.__all__)


@pytest.mark.parametrize("name", sorted({*NAMES} - {"__version__"}))
def test_a_public_name_is_the_thing_in_its_module(name: str) -> None:
    thing = getattr(fastfcn_infer, name)
    assert thing.__name__ == name
    assert getattr(importlib.import_module(thing.__module__), name) is thing
    assert thing.__doc__


def test_a_star_import_brings_them_all_and_an_unknown_name_is_an_attribute_error() -> None:
    ended = python("-c", "from fastfcn_infer import *\nprint(Segmenter.__name__, __version__)")
    assert ended.stdout == f"Segmenter {fastfcn_infer.__version__}\n"
    with pytest.raises(AttributeError, match="no attribute 'Segmentor'"):
        fastfcn_infer.Segmentor  # noqa: B018 - that is the test


def drawn() -> dict[str, set[str]]:
    """Name of each error -> names of its bases, as the documentation of `errors` draws them."""
    bases: dict[str, set[str]] = {}
    above: dict[int, str] = {}  # column -> the error last drawn there
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ((?:[|` -]{3})*)([A-Z]\w+)(?:\((\w+)\))?", line)
        if match is None:
            continue
        level = len(match[1]) // 3
        above[level] = match[2]
        parent = above[level - 1] if level else "Exception"
        bases[match[2]] = {parent, *([match[3]] if match[3] else [])}
    return bases


def test_the_errors_are_derived_as_their_documentation_draws_them() -> None:
    assert drawn() == {
        kind.__name__: {base.__name__ for base in kind.__bases__} for kind in ERRORS
    }


def test_every_error_is_caught_by_the_one_base_and_by_pythons_own_kind() -> None:
    for kind in ERRORS:
        assert issubclass(kind, errors.FastFCNError)
        assert kind is errors.FastFCNError or issubclass(kind, ValueError | RuntimeError)
