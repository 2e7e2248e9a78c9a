"""The code in the documentation runs as it is pasted, page by page, from the first block to the last.

A page is run in a folder of its own. What it needs there is said in a comment that the reader does not see,
``<!-- needs: photos, model -->``; the names are those of `documented_files`. Blocks of ``python`` share their names,
and commands in blocks of ``sh`` must end with exit code 0, or with that of ``<!-- exit code: 3 -->`` before the block.
A block of ``text`` after a block of ``sh`` shows what it prints: each line must occur, numbers apart, and ``...``
stands for lines that are left out. A block that cannot run here is marked ``<!-- not run: REASON -->``: Python is
then compiled, and the public names that it imports must exist. Blocks without a language are commands that
`test_documented_commands` parses.
"""

import ast
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

import pytest

import fastfcn_export
import fastfcn_infer
from command_line import ROOT
from documented_files import SETUPS
from fastfcn_export.__main__ import main as fastfcn_export_main
from fastfcn_infer.cli.main import main as fastfcn_main
from fastfcn_training.__main__ import main as fastfcn_train_main

DOCS = ROOT / "docs"
PROGRAMS: dict[str, Callable[[Sequence[str]], int]] = {
    "fastfcn": fastfcn_main,
    "fastfcn-export": fastfcn_export_main,
    "fastfcn-train": fastfcn_train_main,
}
FOREIGN = {"mkdocs", "pip", "python", "rio"}
LANGUAGES = {"", "python", "sh", "text", "json", "yaml"}


@dataclass(frozen=True)
class Block:
    """A block of code: its language, text and first line, and what the comments before it say."""

    language: str
    text: str
    line: int
    needs: tuple[str, ...] = ()
    not_run: str | None = None
    exit_code: int = 0


def blocks(text: str) -> Iterator[Block]:
    """Return the blocks of a page in their order."""
    said: dict[str, str] = {}
    start, language, lines = 0, "", list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if comment := re.fullmatch(r"<!-- (needs|not run|exit code): (.*?) -->", line):
            said[comment[1]] = comment[2]
        elif line.startswith("```") and not start:
            start, language, lines = number + 1, line[3:].strip(), []
        elif line.startswith("```"):
            needs = tuple(filter(None, said.get("needs", "").split(", ")))
            code = int(said.get("exit code", 0))
            yield Block(language, "\n".join(lines), start, needs, said.get("not run"), code)
            start, said = 0, {}
        elif start:
            lines.append(line)


PAGES = {
    path.relative_to(DOCS).as_posix(): list(blocks(path.read_text(encoding="utf-8")))
    for path in sorted(DOCS.rglob("*.md"))
}
RUN = [page for page, found in PAGES.items() if any(b.language in ("python", "sh") for b in found)]


@pytest.mark.parametrize("page", RUN)
def test_the_code_of_a_page_runs_as_pasted(
    page: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTFCN_CACHE", str(tmp_path / "cache"))
    names: dict[str, object] = {"__name__": "page"}
    shown = ""
    for block in PAGES[page]:
        for setup in block.needs:
            SETUPS[setup](tmp_path, monkeypatch)
        if block.not_run is not None:
            check(block)
            shown = ""
        elif block.language == "python":
            exec(compiled(page, block), names)  # the page's own words
        elif block.language == "sh":
            shown = "".join(run(page, block, each, capfd) for each in commands(block.text))
        elif block.language == "text" and shown:
            missing = [line for line in expected(block.text) if line not in plain(shown)]
            assert missing == [], f"{page}, line {block.line}: not in\n{shown}"


def compiled(page: str, block: Block) -> CodeType:
    """Compile Python so that a traceback names the page and its line."""
    return compile("\n" * (block.line - 1) + block.text, str(DOCS / page), "exec")


def commands(text: str) -> Iterator[str]:
    """Return the commands of a block, each on one line and without its comment."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.sub(r"(^|\s)#.*", "", line).split("&&"):
            if part.strip():
                yield part.strip()


def run(page: str, block: Block, command: str, capfd: pytest.CaptureFixture[str]) -> str:
    """Run a command of ours and return what it shows; those of other programs are left out."""
    words, _, target = command.partition(" > ")
    program, *arguments = shlex.split(words)
    if program not in PROGRAMS:
        assert program in FOREIGN, f"{page}, line {block.line}: {program} is no known program"
        return ""
    capfd.readouterr()
    code = PROGRAMS[program](arguments)
    out, err = capfd.readouterr()
    assert code == block.exit_code, f"{page}, line {block.line}: {command}: {code}\n{err}"
    if target:
        Path(target.strip()).write_text(out, encoding="utf-8")
    return err + out * (not target)


def plain(text: str) -> str:
    """Return what a program printed with one blank between words, and every number as 0."""
    lines = re.sub(r"\d+(\.\d+)?(e-?\d+)?", "0", text).splitlines()
    return "\n".join(" ".join(line.split()) for line in lines)


def expected(text: str) -> list[str]:
    return [line for line in plain(text).splitlines() if line not in ("", "...")]


def check(block: Block) -> None:
    """Check what can be checked of a block that is not run."""
    assert block.not_run
    if block.language != "python":
        return
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and node.module in ("fastfcn_infer", "fastfcn_export"):
            public = {"fastfcn_infer": fastfcn_infer, "fastfcn_export": fastfcn_export}
            known = public[node.module].__all__
            assert [alias.name for alias in node.names if alias.name not in known] == []


def test_every_block_has_a_language_that_is_known_here() -> None:
    found = {
        (page, block.line, block.language)
        for page, found in PAGES.items()
        for block in found
        if block.language not in LANGUAGES
    }
    assert found == set()


def test_a_block_that_is_not_run_has_a_reason_and_blocks_that_are_run_outnumber_them() -> None:
    code = [b for found in PAGES.values() for b in found if b.language in ("python", "sh")]
    idle = [block for block in code if block.not_run is not None]
    assert all(len(block.not_run or "") > 10 for block in idle)
    assert 3 * len(idle) < len(code)
