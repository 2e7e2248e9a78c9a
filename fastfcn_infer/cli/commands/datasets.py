"""``fastfcn datasets``: print the layouts that data sets must have, or check a data set."""

import argparse
import json
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastfcn_infer.cli import command, exit_codes

if TYPE_CHECKING:
    from fastfcn_infer.data.dataset import Dataset
    from fastfcn_infer.data.label_count import LabelCount
    from fastfcn_infer.data.learnable import Shortage
    from fastfcn_infer.data.pairs import Pairs

SUMMARY = "Print the layouts that data sets must have, or check a data set"
_SHOWN = 10  # bad files; --json lists all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="Name of a data set (default: all are listed)"
    )
    parser.add_argument("--root", metavar="DIR", help="Check the data set in this folder")
    parser.add_argument("--split", help="Part to check (default: val)")
    parser.add_argument(
        "--check-labels",
        action="store_true",
        help="Read every label file, count its pixels, and compare its size with the picture's",
    )
    command.add_label_arguments(parser)
    command.add_quiet_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print layouts, or what was found below a root; nothing is ever downloaded."""
    from fastfcn_infer.data.dataset import dataset_names, open_dataset

    accepted = arguments.accept_labels
    rules = arguments.map_labels is not None or arguments.label_orientation != "auto"
    if arguments.root is None:
        if arguments.split is not None or arguments.check_labels or rules or accepted:
            raise ValueError(
                "--split, --check-labels, --map-labels and --label-orientation need --root, the folder "
                "of the data set"
            )
        names = (arguments.name,) if arguments.name else dataset_names()
        return _describe(names, as_json=arguments.json)
    if not arguments.check_labels and (rules or accepted):
        raise ValueError(
            "--map-labels, --label-orientation and --accept-labels need --check-labels: without it no "
            "label file is read"
        )
    if arguments.name is None:
        raise ValueError(
            f"--root needs the name of a data set as well: {', '.join(dataset_names())}"
        )
    dataset = open_dataset(
        arguments.name,
        arguments.root,
        arguments.split or "val",
        **command.label_rules(arguments),
    )
    return _check(dataset, arguments)


def _describe(names: tuple[str, ...], *, as_json: bool) -> int:
    entries = [_facts(name) for name in names]
    if as_json:
        print(json.dumps(entries, indent=2, ensure_ascii=False))
        return exit_codes.FINE
    for entry in entries:
        splits = ", ".join(f"{split} {count}" for split, count in entry["splits"].items())
        print(f"{entry['name']}: {entry['title']}")
        print(f"    parts: {splits or 'one per list'}")
        print(f"    available from {entry['page']}" if entry["page"] else "    your own pictures")
        print(textwrap.indent(entry["layout"], "        "))
        print()
    return exit_codes.FINE


def _facts(name: str) -> dict[str, Any]:
    from fastfcn_infer.artifact.class_table import class_table, class_table_names
    from fastfcn_infer.data.dataset import layout

    described = layout(name)
    table = class_table(name) if name in class_table_names() else ()
    return {
        "name": name,
        "title": (described.__doc__ or "").splitlines()[0].removesuffix("."),
        "classes": [entry.name for entry in table],
        "splits": dict(described.SPLITS),
        "page": described.PAGE,
        "layout": described.LAYOUT.strip("\n"),
    }


def _check(dataset: "Dataset", arguments: argparse.Namespace) -> int:
    from fastfcn_infer.data.dataset import layout

    labels = sum(sample.label is not None for sample in dataset.samples)
    published = layout(dataset.name).SPLITS.get(dataset.split)
    found = {
        "name": dataset.name,
        "split": dataset.split,
        "pictures": len(dataset.samples),
        "labels": labels,
        "published": published,
    }
    if not arguments.json:
        expected = "" if published is None else f" (as published: {published})"
        print(
            f"{dataset.name}, {dataset.split}: {len(dataset.samples)} pictures{expected}, "
            f"{labels} label maps"
        )
    if not arguments.check_labels:
        if arguments.json:
            print(json.dumps(found, indent=2, ensure_ascii=False))
        return exit_codes.FINE
    counted, pairs, shortage = _read(dataset)
    faults = (*counted.faults, *pairs.faults)
    if arguments.json:
        facts = {
            "faults": list(faults),
            "lacking": list(shortage.sentences),
            "notes": list(pairs.notes),
        }
        print(json.dumps(found | _counts(dataset, counted) | facts, indent=2, ensure_ascii=False))
    else:
        _print_table(dataset, counted)
        _print_faults(faults, pairs, shortage)
    lacking = shortage.sentences and not arguments.accept_labels
    return exit_codes.SOME_FAILED if faults or lacking else exit_codes.FINE


def _read(dataset: "Dataset") -> "tuple[LabelCount, Pairs, Shortage]":
    from fastfcn_infer.data.label_count import count_labels
    from fastfcn_infer.data.learnable import Shortage, find_shortage
    from fastfcn_infer.data.pairs import check_pairs
    from fastfcn_infer.system.progress import Progress

    with Progress("Labels", total=len(dataset.samples), unit="files") as bar:
        counted = count_labels(dataset, bar.advance)
    readable = [sample for sample in dataset.samples if sample.name not in counted.bad]
    with Progress("Pairs", total=len(readable), unit="files") as bar:
        pairs = check_pairs(dataset, readable, bar.advance)
    return counted, pairs, find_shortage(dataset, counted) if counted.files else Shortage()


def _counts(dataset: "Dataset", counted: "LabelCount") -> dict[str, Any]:
    rows = zip(dataset.classes, counted.pixels, counted.pictures, strict=True)
    return {
        "classes": [
            {"name": entry.name, "pixels": pixels, "pictures": pictures}
            for entry, pixels, pictures in rows
        ],
        "ignored": counted.ignored,
    }


def _print_table(dataset: "Dataset", counted: "LabelCount") -> None:
    labelled = max(sum(counted.pixels), 1)
    total = max(labelled + counted.ignored, 1)
    width = max(len(entry.name) for entry in dataset.classes)
    print(f"{'class':<{width}} {'pixels':>15} {'share':>9} {'pictures':>9}")
    rows = zip(dataset.classes, counted.pixels, counted.pictures, strict=True)
    for entry, pixels, pictures in rows:
        print(f"{entry.name:<{width}} {pixels:>15,} {pixels / labelled:>9.4%} {pictures:>9,}")
    print(f"ignored: {counted.ignored:,} pixels, {counted.ignored / total:.4%} of all")


def _print_faults(faults: Sequence[str], pairs: "Pairs", shortage: "Shortage") -> None:
    for note in pairs.notes:
        print(f"note: {note}")
    for fault in faults[:_SHOWN]:
        print(fault, file=sys.stderr)
    if faults:
        more = len(faults) - _SHOWN
        shown = f"; {more} of them are not shown, --json lists all" if more > 0 else ""
        print(f"bad label files: {len(faults)}{shown}", file=sys.stderr)
    for sentence in shortage.sentences:
        print(sentence, file=sys.stderr)
