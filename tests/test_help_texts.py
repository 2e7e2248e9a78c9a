"""The help of all commands: every text is a sentence, and a wrong command line is one line."""

import argparse
import re
from collections.abc import Callable, Iterator

import pytest

from fastfcn_export.__main__ import main as fastfcn_export
from fastfcn_export.__main__ import make_parser as make_export_parser
from fastfcn_infer.cli.main import main as fastfcn
from fastfcn_infer.cli.main import make_parser as make_fastfcn_parser
from fastfcn_training.__main__ import main as fastfcn_train
from fastfcn_training.alignment.command import make_parser as make_align_parser
from fastfcn_training.cli.arguments import make_parser as make_train_parser

PARSERS = (make_fastfcn_parser, make_export_parser, make_train_parser, make_align_parser)
# What a text cannot begin or end with if it has a subject of its own and is complete.
FRAGMENT = re.compile(
    r"^(Of|To|For|With|That|As|Which) (?!-)|\b(of|to|for|with|and|or|the|a|in)$|[.,;:]$"
)


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from parsers(below)


def texts() -> Iterator[tuple[str, str]]:
    for make in PARSERS:
        for parser in parsers(make()):
            for action in parser._actions:
                if isinstance(action, argparse._SubParsersAction):
                    for shown in action._choices_actions:
                        yield f"{parser.prog} {shown.dest}", shown.help or ""
                else:
                    name = next(iter(action.option_strings), action.dest)
                    yield f"{parser.prog} {name}", action.help or ""


def test_every_help_text_is_a_sentence() -> None:
    found = dict(texts())
    assert len(found) > 150
    assert {name: text for name, text in found.items() if not text[:1].isupper()} == {}
    assert {name: text for name, text in found.items() if FRAGMENT.search(text)} == {}


def test_no_help_text_speaks_of_a_checkpoint_alone_or_of_nothing() -> None:
    found = dict(texts())
    vague = re.compile(r"of a checkpoint\b|\bthere\b|^\W*default:", re.IGNORECASE)
    assert {name: text for name, text in found.items() if vague.search(text)} == {}


def test_the_help_of_every_command_can_be_printed() -> None:
    for make in PARSERS:
        for parser in parsers(make()):
            shown = parser.format_help()
            assert "Show this help and exit" in shown
            assert "%" not in re.sub(r"\d+ ?%", "", shown), parser.prog


@pytest.mark.parametrize(
    ("main", "words", "program"),
    [
        (fastfcn, ["nosuch"], "fastfcn"),
        (fastfcn, ["--nosuch"], "fastfcn"),
        (fastfcn, ["predict"], "fastfcn predict"),
        (fastfcn, ["evaluate", "--dataset", "camvid"], "fastfcn evaluate"),
        (fastfcn, ["benchmark", "m", "--seconds", "soon"], "fastfcn benchmark"),
        (fastfcn_export, [], "fastfcn-export"),
        (fastfcn_export, ["model.pth"], "fastfcn-export"),
        (fastfcn_export, ["model.pth", "-o", "x", "--shape", "1"], "fastfcn-export"),
        (fastfcn_export, ["model.pth", "-o", "x", "--nosuch"], "fastfcn-export"),
        (fastfcn_train, [], "fastfcn-train"),
        (fastfcn_train, ["--nosuch"], "fastfcn-train"),
        (fastfcn_train, ["--recipe", "x", "--iters", "0"], "fastfcn-train"),
        (fastfcn_train, ["--resume", "run", "--iters", "5"], "fastfcn-train"),
        (fastfcn_train, ["align", "--only", "nosuch"], "fastfcn-train align"),
    ],
)
def test_a_wrong_command_line_is_one_line_that_says_where_the_help_is(
    main: Callable[[list[str]], int],
    words: list[str],
    program: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{program}: error: ")
    assert err.endswith(f". See {program} --help\n")
    assert err.count("\n") == 1
