"""What was said to ``fastfcn-train``, sorted by whom it concerns."""

import shlex
from dataclasses import fields
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from command_line import ROOT
from fastfcn_training.cli import arguments
from fastfcn_training.cli.arguments import Request, parser
from fastfcn_training.cli.form import form_names, load_form
from fastfcn_training.cli.overrides import BALANCED, Changes
from fastfcn_training.cli.run_options import Conduct


def request(*words: str) -> Request:
    given = vars(parser().parse_args(words))
    given.pop("json", None)
    return arguments.request(given)


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(words)
    assert caught.value.code == 2
    return capsys.readouterr().err


def names(kind: type[Any]) -> set[str]:
    return {field.name for field in fields(kind)}


def documented() -> list[str]:
    """Find every command line of ``fastfcn-train`` in the documents, comments left out."""
    texts = [
        (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/training.md")
    ]
    lines = [line.split("#")[0] for text in texts for line in text.splitlines()]
    found = [line[line.index("fastfcn-train ") :] for line in lines if "fastfcn-train --" in line]
    return [line.strip() for line in found if "`" not in line]


def test_every_documented_command_line_is_understood() -> None:
    lines = documented()
    assert len(lines) >= 8
    for line in lines:
        words = shlex.split(line.replace(" ...", ""))
        assert request(*words[1:]).form in (None, *form_names()), line


def test_there_are_three_forms() -> None:
    assert form_names() == ("original", "paddleseg", "recipe_file")


def test_no_two_listeners_share_a_word() -> None:
    kinds = [load_form(name).Options for name in form_names()] + [Changes, Conduct]
    for one, other in combinations(kinds, 2):
        assert names(one) & names(other) == set()


def test_every_field_can_be_said_and_nothing_else() -> None:
    kinds = [load_form(name).Options for name in form_names()] + [Changes, Conduct]
    known = set().union(*(names(kind) for kind in kinds))
    said = {action.dest for action in parser()._actions}
    assert said - {"help", "version", "json"} == known


def test_what_is_not_said_is_not_there() -> None:
    found = request("--dataset", "ade20k")
    assert found == Request("original", load_form("original").Options(), Changes(), {})


@pytest.mark.parametrize(
    ("words", "form"),
    [
        ("--aux", "original"),
        ("--batch-size 8", "original"),
        ("--config c.yml", "paddleseg"),
        ("--recipe r.json", "recipe_file"),
    ],
)
def test_any_word_of_a_form_chooses_it(words: str, form: str) -> None:
    assert request(*words.split()).form == form


def test_both_spellings_are_the_same_where_they_mean_the_same() -> None:
    ours = "--iterations 9 --save-every 3 -o out --workers 2 --keep 4 --log-every 5 --resume r"
    theirs = (
        "--iters 9 --save_interval 3 --save_dir out --num_workers 2 --keep_checkpoint_max 4 "
        "--log_iters 5 --resume_model r"
    )
    found = request("--config", "c.yml", *theirs.split())
    assert found == request("--config", "c.yml", *ours.split())
    assert found.changes == Changes(iterations=9, save_every=3)
    assert found.conduct == {
        "run": Path("out"),
        "workers": 2,
        "keep": 4,
        "log_every": 5,
        "resume": Path("r"),
    }


def test_batches_are_not_the_same_in_both_forms() -> None:
    assert request("--batch-size", "8").options.batch_size == 8
    assert request("--config", "c.yml", "--batch_size", "8").options.batch_each == 8


def test_a_run_alone_is_gone_on_with() -> None:
    found = request("--resume", "run", "--device", "cpu")
    assert found == Request(None, None, Changes(), {"resume": Path("run"), "device": "cpu"})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "say what to learn"),
        ("--root data", "say what to learn"),
        ("--dataset ade20k --config c.yml", "two ways of saying what to learn"),
        ("--aux --recipe r", "--aux and --recipe"),
        ("--do_eval", "--do-eval needs --config"),
        ("--resume run --seed 3", "--seed would change a training that goes on"),
    ],
)
def test_words_that_do_not_go_together_are_refused(words: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        request(*words.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--iters 0", "no whole number from 1"),
        ("--seed -1", "no whole number from 0"),
        ("--batch-size many", "no whole number from 1"),
        ("--precision fp8", "neither fp32 nor mixed"),
        ("--class-weights 1,x", "neither balanced, none, nor numbers"),
        ("--class-weights 1,-2", "neither balanced, none, nor numbers"),
        ("--class-weights inf", "neither balanced, none, nor numbers"),
        ("--model unet", "invalid choice"),
        ("--batch 3", "unrecognized arguments"),  # which of the two was meant?
        ("--ms", "unrecognized arguments"),
    ],
)
def test_values_that_are_none_are_refused(
    capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    assert said in refusal(capsys, *words.split())


@pytest.mark.parametrize(
    ("text", "value"),
    [("balanced", BALANCED), ("none", ()), ("1,2.5,0", (1.0, 2.5, 0.0))],
)
def test_class_weights_are_numbers_or_a_rule(text: str, value: object) -> None:
    assert request("--recipe", "r", "--class-weights", text).changes.class_weights == value


@pytest.mark.parametrize(
    ("text", "value"), [("fp16", "mixed"), ("mixed", "mixed"), ("fp32", "fp32")]
)
def test_paddleseg_s_fp16_is_mixed_precision(text: str, value: str) -> None:
    assert request("--config", "c", "--precision", text).changes.precision == value
