"""The options of ``fastfcn-train``, and the parts of the program that they are for."""

import re
import shlex
from dataclasses import fields
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from command_line import ROOT
from fastfcn_infer.cli.parser import UsageError
from fastfcn_training.cli import arguments
from fastfcn_training.cli.arguments import Request, make_parser
from fastfcn_training.cli.overrides import BALANCED, Overrides
from fastfcn_training.cli.recipe_source import load_source, source_names
from fastfcn_training.cli.run_options import RunOptions


def request(*words: str) -> Request:
    given = vars(make_parser().parse_args(words))
    given.pop("json", None)
    return arguments.read_request(given)


def refusal(*words: str) -> str:
    with pytest.raises(UsageError) as caught:
        make_parser().parse_args(words)
    return str(caught.value)


def names(kind: type[Any]) -> set[str]:
    return {field.name for field in fields(kind)}


def documented() -> list[str]:
    """Find every command line of ``fastfcn-train`` in the documents, comments left out."""
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    texts = [path.read_text(encoding="utf-8") for path in documents]
    # Without what the shell does with the output.
    lines = [re.split("#| > ", line)[0] for text in texts for line in text.splitlines()]
    found = [line[line.index("fastfcn-train ") :] for line in lines if "fastfcn-train --" in line]
    return [line.strip() for line in found if "`" not in line]


def test_every_documented_command_line_is_understood() -> None:
    lines = documented()
    assert len(lines) >= 8
    for line in lines:
        words = shlex.split(line.replace(" ...", ""))
        assert request(*words[1:]).source in (None, *source_names()), line


def test_every_recipe_source_has_a_title() -> None:
    assert {*source_names()} >= {"original", "paddleseg", "recipe_file"}
    assert all(load_source(name).TITLE for name in source_names())


def test_no_two_classes_share_an_option() -> None:
    kinds = [load_source(name).Options for name in source_names()] + [Overrides, RunOptions]
    for one, other in combinations(kinds, 2):
        assert names(one) & names(other) == set()


def test_every_field_has_an_option_and_every_option_a_field() -> None:
    kinds = [load_source(name).Options for name in source_names()] + [Overrides, RunOptions]
    known = set().union(*(names(kind) for kind in kinds))
    said = {action.dest for action in make_parser()._actions}
    assert said - {"help", "version", "json"} == known


def test_options_that_are_not_given_are_not_in_the_request() -> None:
    found = request("--dataset", "ade20k")
    assert found == Request("original", load_source("original").Options(), Overrides(), {})


def test_messages_name_options_as_they_are_typed() -> None:
    actions = [a for a in make_parser()._actions if a.dest not in ("help", "version")]
    assert len(actions) > 40
    for action in actions:
        assert arguments._flag([action.dest]) in action.option_strings


@pytest.mark.parametrize(
    ("words", "source"),
    [
        ("--aux", "original"),
        ("--batch-size 8", "original"),
        ("--config c.yml", "paddleseg"),
        ("--recipe r.json", "recipe_file"),
    ],
)
def test_any_option_of_a_source_selects_it(words: str, source: str) -> None:
    assert request(*words.split()).source == source


def test_both_spellings_of_an_option_mean_the_same() -> None:
    ours = "--iterations 9 --save-every 3 -o out --workers 2 --keep 4 --log-every 5 --resume r"
    theirs = (
        "--iters 9 --save_interval 3 --save_dir out --num_workers 2 --keep_checkpoint_max 4 "
        "--log_iters 5 --resume_model r"
    )
    found = request("--config", "c.yml", *theirs.split())
    assert found == request("--config", "c.yml", *ours.split())
    assert found.overrides == Overrides(iterations=9, save_every=3)
    assert found.run_options == {
        "run": Path("out"),
        "workers": 2,
        "keep": 4,
        "log_every": 5,
        "resume": Path("r"),
    }


def test_batch_sizes_differ_between_the_original_and_paddleseg() -> None:
    assert request("--batch-size", "8").options.batch_size == 8
    assert request("--config", "c.yml", "--batch_size", "8").options.batch_each == 8


def test_resume_needs_no_recipe() -> None:
    found = request("--resume", "run", "--device", "cpu")
    assert found == Request(None, None, Overrides(), {"resume": Path("run"), "device": "cpu"})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "which training"),
        ("--root data", "which training"),
        ("--dataset ade20k --config c.yml", "two different ways of describing a training"),
        ("--aux --recipe r", "--aux and --recipe"),
        ("--do_eval", "--do_eval needs --config"),
        ("--batch_size 3", "--batch_size needs --config"),
        ("--learning_rate 1 --aux", "--aux and --learning_rate belong to two"),
        (
            "--recipe r --format paddle",
            "--format is the format of --export FOLDER, which is missing",
        ),
        ("--resume run --seed 3", "--seed would change the training that is resumed"),
    ],
)
def test_contradicting_options_are_refused(words: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        request(*words.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--iters 0", "not an integer of at least 1"),
        ("--seed -1", "not an integer of at least 0"),
        ("--batch-size many", "not an integer of at least 1"),
        ("--precision fp8", "neither fp32 nor mixed"),
        ("--class-weights 1,x", "neither balanced, none, nor comma-separated numbers"),
        ("--class-weights 1,-2", "neither balanced, none, nor comma-separated numbers"),
        ("--class-weights inf", "neither balanced, none, nor comma-separated numbers"),
        ("--model unet", "invalid choice"),
        ("--batch 3", "unrecognized arguments"),  # which of the two was meant?
        ("--ms", "unrecognized arguments"),
    ],
)
def test_invalid_values_are_refused(words: str, said: str) -> None:
    assert said in refusal(*words.split())


@pytest.mark.parametrize(
    ("text", "value"),
    [("balanced", BALANCED), ("none", ()), ("1,2.5,0", (1.0, 2.5, 0.0))],
)
def test_class_weights_are_numbers_or_a_rule(text: str, value: object) -> None:
    assert request("--recipe", "r", "--class-weights", text).overrides.class_weights == value


@pytest.mark.parametrize(
    ("text", "value"), [("fp16", "mixed"), ("mixed", "mixed"), ("fp32", "fp32")]
)
def test_paddleseg_s_fp16_is_mixed_precision(text: str, value: str) -> None:
    assert request("--config", "c", "--precision", text).overrides.precision == value
