import re
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.readme_table import further_tables, jpu_tables, tables

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


SPEED = (ROOT / "docs" / "speed.md").read_text()


@pytest.mark.parametrize(
    ("document", "expected"), [(README, tables), (SPEED, further_tables), (SPEED, jpu_tables)]
)
def test_the_figures_are_those_of_the_committed_runs(
    document: str, expected: Callable[[], str]
) -> None:
    mark = "jpu" if expected is jpu_tables else "speed"
    inside = re.search(rf"<!-- {mark}: .*? -->\n(.*?)\n\n<!-- /{mark} -->", document, re.DOTALL)
    assert inside is not None
    assert inside[1].strip() == expected().strip()


def test_the_readme_is_read_in_one_sitting() -> None:
    assert len(README.splitlines()) < 150


def test_the_five_lines_of_python_run_as_pasted_in_a_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert block is not None
    monkeypatch.chdir(ROOT)
    target = tmp_path / "overlay.jpg"
    exec(block[1].replace('"overlay.jpg"', repr(str(target))), {})  # the README's own words
    assert target.stat().st_size > 10_000


def test_every_file_the_readme_names_is_there() -> None:
    named = re.findall(r"`((?:docs|benchmarks|fastfcn_infer|export|tests)/[\w./]+\w)`", README)
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert named
    assert linked
    assert [name for name in named + linked if not (ROOT / name).exists()] == []


def test_every_file_that_contributing_names_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(
        r"`((?:docs|benchmarks|fastfcn_infer|export|training|tests)/[\w./]+\w)`", text
    )
    # NAME stands for a file to write: its folder must exist.
    paths = [path.rpartition("/")[0] if "NAME" in path else path for path in named]
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []
