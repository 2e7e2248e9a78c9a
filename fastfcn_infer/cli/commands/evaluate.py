"""``fastfcn evaluate``: score a model on a data set."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fastfcn_infer.cli import command, exit_codes
from fastfcn_infer.system import registry

if TYPE_CHECKING:
    from fastfcn_infer.data.dataset import Dataset
    from fastfcn_infer.evaluation.plan import Plan
    from fastfcn_infer.segmenter import Segmenter

SUMMARY = "Score a model on a data set: mean IoU, accuracy, Kappa, Dice, per class"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    names = ", ".join(registry.names("fastfcn_infer.data.datasets"))
    add(
        "model",
        nargs="?",
        metavar="MODEL",
        help="Artifact, checkpoint, hub:OWNER/NAME or catalogue name (default: the embedded one)",
    )
    add("--dataset", required=True, metavar="NAME", help=f"Data set: {names}")
    add("--root", required=True, type=Path, metavar="DIR", help="Folder of the data set")
    add(
        "--split",
        metavar="PART",
        help="Part of the data set (default: val, or test if the model was trained on val)",
    )
    add(
        "--allow-trained",
        action="store_true",
        help="Score the model even on pictures that it was trained on",
    )
    add(
        "--convention",
        choices=("paddleseg", "fastfcn", "mmseg"),
        help="How to score classes that are neither in the labels nor predicted (default: as the "
        "checkpoint's authors do)",
    )
    add("--limit", type=int, metavar="N", help="Score only the first N pictures")
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument(
        "--save-predictions",
        type=Path,
        metavar="DIR",
        help="Write predicted labels to DIR/NAME.png",
    )
    kept.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="Keep the counts in FILE, to continue after an interruption (default: a file beside "
        "the predictions, or in the cache until the run is complete)",
    )
    add("--fresh", action="store_true", help="Discard the counts of an interrupted run")
    command.add_label_arguments(parser)
    add("--ignore-names", action="store_true", help="Treat classes with other names as the same")
    command.add_checkpoint_arguments(parser)
    command.add_procedure_arguments(parser)
    command.add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score the pictures one by one; a bad one is reported and left out (exit 3)."""
    from fastfcn_infer.evaluation.evaluate import evaluate
    from fastfcn_infer.evaluation.report import table, to_data
    from fastfcn_infer.segmenter import Segmenter
    from fastfcn_infer.system.progress import Progress
    from fastfcn_infer.system.writing import check_folder

    kept = arguments.save_predictions or (arguments.state and arguments.state.parent)
    if kept is not None:
        check_folder(kept)
    opened = _named_part(arguments)
    options = command.open_options(arguments) | command.checkpoint_options(arguments)
    chosen = command.choose(arguments)
    with Segmenter.from_pretrained(arguments.model, **options) as segmenter:
        segmenter.procedure = chosen(segmenter.model)
        dataset = opened or _default_part(segmenter, arguments)
        planned = _plan(segmenter, dataset, arguments)
        try:
            with Progress(
                "evaluate",
                total=len(planned.samples),
                unit="pictures",
                done=len(planned.samples) - len(planned.todo),
            ) as bar:
                found = evaluate(segmenter, dataset, planned, arguments.convention, bar.advance)
        except KeyboardInterrupt as error:
            if planned.state is not None:
                kept = f"the counts are kept in {planned.state}; the same command continues there"
                error.args = ("; ".join((*error.args, kept)),)
            raise
    if planned.state is not None and not (arguments.state or arguments.save_predictions):
        planned.state.unlink()
    if arguments.json:
        print(json.dumps(to_data(found), indent=2, ensure_ascii=False))
    else:
        for name, why in found.failed.items():
            print(f"failed: {name}: {why}", file=sys.stderr)
        print(table(found))
        if found.failed:
            print(f"Pictures that failed and are not counted: {len(found.failed)}")
    return exit_codes.SOME_FAILED if found.failed else exit_codes.FINE


def _named_part(arguments: argparse.Namespace) -> "Dataset | None":
    """Open the part that was asked for, before the model is; None if none was."""
    from fastfcn_infer.data.dataset import layout

    if arguments.split is None:
        layout(arguments.dataset)  # a wrong name is an error now
        return None
    return _open(arguments, arguments.split)


def _open(arguments: argparse.Namespace, split: str) -> "Dataset":
    from fastfcn_infer.data.dataset import open_dataset

    rules = command.label_rules(arguments)
    return open_dataset(arguments.dataset, arguments.root, split, **rules)


def _default_part(segmenter: "Segmenter", arguments: argparse.Namespace) -> "Dataset":
    from fastfcn_infer.evaluation.trained_parts import DEFAULT_SPLITS, open_default_part

    found = open_default_part(
        segmenter.model, arguments.dataset, lambda split: _open(arguments, split)
    )
    if found.split != DEFAULT_SPLITS[0]:
        print(
            f"note: scoring the part {found.split}: the model was trained on {DEFAULT_SPLITS[0]}",
            file=sys.stderr,
        )
    return found


def _plan(segmenter: "Segmenter", dataset: "Dataset", arguments: argparse.Namespace) -> "Plan":
    """Plan the run; its state is kept, if it can be, as any run may be interrupted."""
    from fastfcn_infer.evaluation.plan import plan

    state = arguments.state
    if state is None and arguments.save_predictions is None:
        state = _state_in_cache(segmenter, dataset, arguments)
    planned = plan(
        segmenter,
        dataset,
        limit=arguments.limit,
        predictions=arguments.save_predictions,
        state=state,
        fresh=arguments.fresh,
        ignore_names=arguments.ignore_names,
        allow_trained=arguments.allow_trained,
        accept_labels=arguments.accept_labels,
    )
    if planned.tally.seen and not arguments.quiet:
        left = len(planned.todo)
        print(
            f"Continuing from {planned.state}: {planned.tally.counted} pictures are counted "
            f"already, {left} are left to count or to save (--fresh starts again).",
            file=sys.stderr,
        )
    return planned


def _state_in_cache(
    segmenter: "Segmenter", dataset: "Dataset", arguments: argparse.Namespace
) -> Path | None:
    """Say where in the cache the state is kept; None, with a note, if there is no usable cache."""
    import os

    from fastfcn_infer.errors import DownloadError
    from fastfcn_infer.evaluation.state import describe_run
    from fastfcn_infer.system.cache import cache_folder

    try:
        cache = Path(arguments.cache_dir) if arguments.cache_dir else cache_folder()
        folder = cache / "evaluations"
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} cannot be written to")
    except (DownloadError, OSError) as error:
        print(
            f"The counts are not kept, so an interrupted run has to start again: {error} "
            "(--cache-dir DIR or --state FILE keeps them).",
            file=sys.stderr,
        )
        return None
    key = describe_run(segmenter.artifact, segmenter.procedure, segmenter.provenance, dataset).key
    part = f"{dataset.name}-{dataset.split}-{arguments.limit or 'all'}"
    return folder / f"{part}-{key}.json"
