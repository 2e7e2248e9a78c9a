import ast
import importlib
from pathlib import Path

import pytest

import fastfcn_export
import fastfcn_infer
from command_line import PACKAGE, python
from fastfcn_infer import errors

NAMES = {
    "ArtifactError",
    "BackendError",
    "BackendMissing",
    "CheckpointError",
    "DatasetError",
    "DeviceUnavailable",
    "DownloadError",
    "EvaluationError",
    "FastFCNError",
    "GraphRefused",
    "ImageError",
    "Segmentation",
    "Segmenter",
    "VerificationError",
    "__version__",
    "open_dataset",
}
ALSO = [
    (errors.ImageError, ValueError),
    (errors.ArtifactError, ValueError),
    (errors.CheckpointError, ValueError),
    (errors.DatasetError, ValueError),
    (errors.EvaluationError, ValueError),
    (errors.VerificationError, RuntimeError),
    (errors.DownloadError, RuntimeError),
    (errors.BackendError, RuntimeError),
    (errors.BackendMissing, errors.BackendError),
    (errors.DeviceUnavailable, errors.BackendError),
    (errors.GraphRefused, errors.BackendError),
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


def test_the_public_names_are_these_and_no_others() -> None:
    assert set(fastfcn_infer.__all__) == set(dir(fastfcn_infer)) == NAMES
    assert len(fastfcn_infer.__all__) == len(NAMES)


def test_type_checkers_see_the_names_that_programs_see() -> None:
    assert imported(PACKAGE / "__init__.py") == NAMES


def test_the_exporters_public_names_are_those_it_imports_for_its_users() -> None:
    path = Path(str(fastfcn_export.__file__))
    assert set(fastfcn_export.__all__) == imported(path)
    assert all(hasattr(fastfcn_export, name) for name in fastfcn_export.__all__)


@pytest.mark.parametrize("name", sorted(NAMES - {"__version__"}))
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


def test_every_error_is_caught_by_the_one_base_and_by_pythons_own_kind() -> None:
    ours = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert ours == {errors.FastFCNError, *(kind for kind, _ in ALSO)}
    for kind, base in ALSO:
        assert issubclass(kind, errors.FastFCNError)
        assert issubclass(kind, base)
    assert {kind.__name__ for kind in ours} <= NAMES
