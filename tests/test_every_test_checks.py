"""Every test states something that could be false: it asserts, or calls a helper that does."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# Beside `assert`: what pytest and NumPy offer, and a process whose failure is an error.
CHECKS = {"raises", "warns", "fail", "check_call", "check_output", "check_model"}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def called(function: ast.FunctionDef) -> set[str]:
    """Names of what a function calls, without the modules that they are in."""
    targets = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    return {node.attr for node in targets if isinstance(node, ast.Attribute)} | {
        node.id for node in targets if isinstance(node, ast.Name)
    }


def checks_itself(function: ast.FunctionDef) -> bool:
    nodes = [*ast.walk(function)]
    if any(isinstance(node, ast.Assert) for node in nodes):
        return True
    names = called(function)
    checked_run = any(
        isinstance(node, ast.keyword)
        and node.arg == "check"
        and isinstance(node.value, ast.Constant)
        and node.value.value is True
        for node in nodes
    )
    return checked_run or bool(names & CHECKS) or any(n.startswith("assert_") for n in names)


def without_check(files: list[Path]) -> list[str]:
    found = [(file, each) for file in files for each in functions(ast.parse(file.read_text()))]
    checking = {each.name for _, each in found if checks_itself(each)}
    while more := {
        each.name for _, each in found if each.name not in checking and called(each) & checking
    }:
        checking |= more
    return [
        f"{file.name}:{each.lineno} {each.name}"
        for file, each in found
        if each.name.startswith("test_") and each.name not in checking
    ]


def test_every_test_can_fail() -> None:
    assert without_check(sorted(TESTS.rglob("*.py"))) == []


@pytest.mark.parametrize(
    ("body", "empty"),
    [
        ("work()", True),
        ("subprocess.run(['x'])", True),
        ("assert work()", False),
        ("np.testing.assert_array_equal(1, 1)", False),
        ("subprocess.run(['x'], check=True)", False),
        ("helper()", False),
        ("pytest.raises(ValueError)", False),
    ],
)
def test_a_test_without_a_check_is_found(tmp_path: Path, body: str, empty: bool) -> None:
    file = tmp_path / "test_made_up.py"
    file.write_text(
        "def helper() -> None:\n    inner()\n\n\ndef inner() -> None:\n    assert work()\n\n\n"
        f"def test_one() -> None:\n    {body}\n"
    )
    assert without_check([file]) == (["test_made_up.py:9 test_one"] if empty else [])
