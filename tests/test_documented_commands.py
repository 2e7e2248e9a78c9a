"""The commands in README and docs: each one parses as it is written, and each option exists."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import options
from fastfcn_export.__main__ import make_parser as make_export_parser
from fastfcn_infer.cli.main import make_parser as make_fastfcn_parser
from fastfcn_infer.cli.parser import UsageError
from fastfcn_training.alignment.command import make_parser as make_align_parser
from fastfcn_training.cli.arguments import make_parser, read_request

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Of pip, GDAL, Paddle's launcher, PaddleSeg and a script in benchmarks/, and those of the original code
# that docs/training.md says are unknown here.
FOREIGN = {
    *("--extra-index-url", "--gpus", "--nnodes", "--master", "--nproc_per_node", "--input_shape"),
    *("--against", "--ms", "--mode", "--model-zoo", "--save-folder", "--tags"),
}


def code(text: str) -> Iterator[tuple[str, bool]]:
    """Return the code of a document: lines of blocks for a shell (True), code in the text (False)."""
    fence: str | None = None  # the language of the block
    for line in text.splitlines():
        if line.startswith("```"):
            fence = line[3:] if fence is None else None
        elif fence in ("", "sh"):
            yield line, True
        elif fence is None:
            yield from ((found, False) for found in re.findall(r"`([^`]+)`", line))


def commands() -> Iterator[tuple[str, bool, str]]:
    """Return document, whether it stands in a block, and text of each command; no synopses."""
    for document in DOCUMENTS:
        for line, block in code(document.read_text(encoding="utf-8")):
            for part in re.split(r"&&|  #|\s[<>] ", line):
                text = re.sub(r"^(\$ |.* (?=fastfcn-train ))", "", part.strip())
                synopsis = re.search(r"\[|\||\.\.\.", text)
                if re.match(r"fastfcn(-export|-train)? ", text) and not synopsis:
                    yield document.name, block, text


FOUND = sorted(set(commands()))


@pytest.mark.parametrize(("document", "block", "text"), FOUND)
def test_a_documented_command_parses(document: str, block: bool, text: str) -> None:
    program, *words = shlex.split(text)
    try:
        parse(program, words)
    except UsageError as error:
        # Code in the text may be a part of a command.
        if block or not re.search("required|expected one argument", str(error)):
            pytest.fail(f"{document}: {text}: {error}")
    except SystemExit as ended:
        assert ended.code == 0  # --version


def parse(program: str, words: list[str]) -> None:
    if program == "fastfcn":
        make_fastfcn_parser().parse_args(words)
    elif program == "fastfcn-export":
        make_export_parser().parse_args(words)
    elif words[0] == "align":
        make_align_parser().parse_args(words[1:])
    else:
        given = vars(make_parser().parse_args(words))
        given.pop("json", None)
        read_request(given)


def test_commands_were_found_in_all_that_have_some() -> None:
    assert {document for document, *_ in FOUND} >= {
        "README.md",
        "datasets.md",
        "evaluation.md",
        "export.md",
        "pictures.md",
        "procedures.md",
        "runtimes.md",
        "training.md",
    }
    assert len(FOUND) > 40


def test_every_option_that_is_named_exists() -> None:
    parsers = (make_fastfcn_parser(), make_export_parser(), make_parser(), make_align_parser())
    known = {option for parser in parsers for option in options(parser)} | FOREIGN
    unknown = {
        (document.name, option)
        for document in DOCUMENTS
        for line, _ in code(document.read_text(encoding="utf-8"))
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", line)
        if option not in known
    }
    assert unknown == set()
