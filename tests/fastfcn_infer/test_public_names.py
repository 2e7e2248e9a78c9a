import ast
import importlib
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


def code_for_users() -> dict[str, str]:
    """Examples, and blocks of Python in Markdown."""
    found = {
        path.name: path.read_text(encoding="utf-8") for path in (ROOT / "examples").glob("*.py")
    }
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        blocks = re.findall(
            r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S
        )
        found |= {f"{path.name}, block {number}": block for number, block in enumerate(blocks)}
    return found


def used(code: str) -> set[str]:
    """What a program uses of our packages, with the package or module it takes it from."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {f"{alias.name}." for alias in node.names if "." in alias.name}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names.add(f"{node.value.id}.{node.attr}")
    return {name for name in names if name.startswith("fastfcn_")}


def returned(thing: object) -> set[str]:
    """Names of the classes that a function, or the methods and properties of a class, return."""
    members = [thing]
    if isinstance(thing, type):
        # With what is inherited: the methods of Segmenter are spread over several classes.
        public = {
            name: value
            for kind in thing.__mro__
            for name, value in vars(kind).items()
            if name[0] != "_"
        }
        members = [
            getattr(value, "fget", None) or getattr(value, "__func__", value)
            for value in public.values()
        ]
    hints = [getattr(member, "__annotations__", {}).get("return") for member in members]
    text = " ".join(hint if isinstance(hint, str) else repr(hint) for hint in hints)
    return set(re.findall(r"\b[A-Z]\w+", text))


def test_programs_and_type_checkers_see_the_same_names_and_no_others() -> None:
    assert sorted(NAMES) == sorted(set(NAMES)) == sorted(dir(fastfcn_infer))
    assert set(NAMES) == imported(PACKAGE / "__init__.py")


PUBLIC = {
    f"{package.__name__}.{name}"
    for package in (fastfcn_infer, fastfcn_export)
    for name in package.__all__
}


def test_examples_and_documents_use_public_names_only() -> None:
    codes = code_for_users()
    found = {place: sorted(used(code) - PUBLIC) for place, code in codes.items()}
    assert {place: names for place, names in found.items() if names} == {}
    everything = set().union(*map(used, codes.values()))
    assert {"fastfcn_infer.Segmenter", "fastfcn_infer.open_dataset"} <= everything


def test_what_is_not_public_is_found_in_a_program() -> None:
    code = (
        "import fastfcn_infer.segmenter, fastfcn_infer\n"
        "from fastfcn_infer.errors import ImageError\n"
        "from fastfcn_infer import Segmenter, _HOME\n"
        "fastfcn_infer.segmenter.Segmenter"
    )
    assert used(code) - PUBLIC == {
        "fastfcn_infer.segmenter.",
        "fastfcn_infer.segmenter",
        "fastfcn_infer.errors.ImageError",
        "fastfcn_infer._HOME",
    }


def test_every_error_and_every_class_that_functions_and_segmenters_return_is_public() -> None:
    assert {kind.__name__ for kind in ERRORS} <= set(NAMES)
    found = returned(fastfcn_infer.Segmenter) | returned(fastfcn_infer.open_dataset)
    assert found & set(NAMES) == {
        "Dataset",
        "Evaluation",
        "Failed",
        "Plan",
        "RasterResult",
        "Report",
        "RuntimeFacts",
        "Segmentation",
        "Segmenter",
        "Stream",
    }
    assert found - set(NAMES) <= {"Mapping", "None"}
    exported = returned(fastfcn_export.export) | returned(fastfcn_export.describe_checkpoint)
    assert exported == {"Description", "Manifest"}
    assert exported <= set(fastfcn_export.__all__)


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
        assert kind is errors.FastFCNError or issubclass(kind, ValueError | RuntimeError | OSError)
