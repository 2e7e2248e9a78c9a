"""The command ``fastfcn-train``: labelled pictures in, a checkpoint for ``fastfcn-export`` out."""

import json
import math
import shlex
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from fastfcn_infer.cli import exit_codes, streams
from fastfcn_infer.system import record
from fastfcn_infer.system.progress import no_progress
from fastfcn_training.errors import NotSaved, TrainingError
from fastfcn_training.paddle_setup import launch, start

if TYPE_CHECKING:
    from fastfcn_training.cli.arguments import Request
    from fastfcn_training.train import Outcome

_CODES = ((NotSaved, exit_codes.NOT_WRITTEN), (TrainingError, exit_codes.STOPPED))


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run it; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    command, program = _train, "fastfcn-train"
    if words[:1] == ["align"]:
        command, program = _align, "fastfcn-train align"
    return exit_codes.run(lambda: command(words), as_json=as_json, program=program, more=_CODES)


def _train(words: Sequence[str]) -> int:
    from fastfcn_training.cli.arguments import make_parser, read_request

    parser = make_parser()
    given = vars(parser.parse_args(words))
    as_json = given.pop("json", False)
    try:
        request = read_request(given)
    except ValueError as error:
        parser.error(str(error))
    with no_progress() if request.run_options.get("quiet") else nullcontext():
        return _run(request, as_json=as_json)


def _align(words: Sequence[str]) -> int:
    from fastfcn_training.alignment import command

    return command.run(command.make_parser().parse_args(words[1:]))


def _run(request: "Request", *, as_json: bool) -> int:
    start.need("safetensors")  # of what is imported next
    # Imported late, so that --help and --version are quick.
    from fastfcn_training import train

    if request.run_options.get("dry_run"):
        return _dry_run(request, as_json=as_json)
    outcome = train.train(request)
    if launch.rank() == 0:
        print(json.dumps(_data(outcome), indent=2) if as_json else _text(outcome))
    return exit_codes.FINE


def _dry_run(request: "Request", *, as_json: bool) -> int:
    """Print the recipe on standard output, as a file for --recipe, and notes on standard error."""
    from fastfcn_training import train
    from fastfcn_training.recipe.cost_estimate import cost_text

    found = train.dry_run(request)
    if as_json:
        print(record.to_json(found))
        return exit_codes.FINE
    with streams.lossless_output(as_json=True):  # it may be read as a file of UTF-8
        print(record.to_json(found.recipe))
    for line in (*found.notes, cost_text(found.cost)):
        print(line, file=sys.stderr)
    return exit_codes.FINE


def _text(outcome: "Outcome") -> str:
    lines = [f"trained for {outcome.iterations} iterations: {outcome.model}"]
    if outcome.scores is not None:
        scores = ", ".join(f"{name} {value:.4f}" for name, value in _scores(outcome).items())
        lines.append(f"last validation: {scores}")
    if outcome.other is not None:
        lines.append(f"the same weights for the other project: {outcome.other}")
    if outcome.artifact is None:
        folder = outcome.model.parent / "artifact"
        words = ["fastfcn-export", str(outcome.model), "-o", str(folder)]
    else:
        words = ["fastfcn", "predict", "PICTURE", "-m", str(outcome.artifact), "-o", "masks"]
    return "\n".join([*lines, f"next: {shlex.join(words)}"])


def _data(outcome: "Outcome") -> dict[str, Any]:
    return {
        "model": str(outcome.model),
        "iterations": outcome.iterations,
        "scores": {n: v if math.isfinite(v) else None for n, v in _scores(outcome).items()},
        "other": None if outcome.other is None else str(outcome.other),
        "artifact": None if outcome.artifact is None else str(outcome.artifact),
    }


def _scores(outcome: "Outcome") -> dict[str, float]:
    scores = outcome.scores
    if scores is None:
        return {}
    return {
        "mean_iou": scores.mean_iou,
        "pixel_accuracy": scores.pixel_accuracy,
        "kappa": scores.kappa,
        "mean_dice": scores.mean_dice,
    }


if __name__ == "__main__":
    sys.exit(main())
