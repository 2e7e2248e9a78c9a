"""``fastfcn datasets``: print the layouts that data sets must have, or check a data set."""

import argparse
import json
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from fastfcn_infer.cli import exit_codes

if TYPE_CHECKING:
    from fastfcn_infer.data.dataset import Dataset
    from fastfcn_infer.data.label_count import LabelCount

SUMMARY = "print the layouts that data sets must have, or check a data set"
_SHOWN = 10  # bad files; --json lists all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", nargs="?", help="name of a data set (default: list all)")
    parser.add_argument("--root", metavar="DIR", help="check the data set in this folder")
    parser.add_argument("--split", help="part to check (default: val)")
    parser.add_argument(
        "--check-labels", action="store_true", help="read every label file and count its pixels"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print layouts, or what was found below a root; nothing is ever downloaded."""
    from fastfcn_infer.data.dataset import dataset_names, open_dataset

    if arguments.root is None:
        if arguments.split is not None or arguments.check_labels:
            raise ValueError("--split and --check-labels need --root, the folder of the data set")
        names = (arguments.name,) if arguments.name else dataset_names()
        return _describe(names, as_json=arguments.json)
    if arguments.name is None:
        raise ValueError(
            f"--root needs the name of a data set as well: {', '.join(dataset_names())}"
        )
    dataset = open_dataset(arguments.name, arguments.root, arguments.split or "val")
    return _check(dataset, read=arguments.check_labels, as_json=arguments.json)


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


def _check(dataset: "Dataset", *, read: bool, as_json: bool) -> int:
    from fastfcn_infer.data.dataset import layout
    from fastfcn_infer.data.label_count import count_labels
    from fastfcn_infer.system.progress import Progress

    labels = sum(sample.label is not None for sample in dataset.samples)
    published = layout(dataset.name).SPLITS.get(dataset.split)
    found = {
        "name": dataset.name,
        "split": dataset.split,
        "pictures": len(dataset.samples),
        "labels": labels,
        "published": published,
    }
    counted = None
    if not as_json:
        expected = "" if published is None else f" (as published: {published})"
        print(
            f"{dataset.name}, {dataset.split}: {len(dataset.samples)} pictures{expected}, "
            f"{labels} label maps"
        )
    if read:
        with Progress("Labels", total=len(dataset.samples), unit="files") as bar:
            counted = count_labels(dataset, bar.advance)
    if as_json:
        print(json.dumps(found | _counts(dataset, counted), indent=2, ensure_ascii=False))
    elif counted is not None:
        _print_table(dataset, counted)
    return exit_codes.SOME_FAILED if counted is not None and counted.faults else exit_codes.FINE


def _counts(dataset: "Dataset", counted: "LabelCount | None") -> dict[str, Any]:
    if counted is None:
        return {}
    rows = zip(dataset.classes, counted.pixels, counted.pictures, strict=True)
    return {
        "classes": [
            {"name": entry.name, "pixels": pixels, "pictures": pictures}
            for entry, pixels, pictures in rows
        ],
        "ignored": counted.ignored,
        "faults": list(counted.faults),
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
    for fault in counted.faults[:_SHOWN]:
        print(fault, file=sys.stderr)
    if counted.faults:
        more = len(counted.faults) - _SHOWN
        shown = f"; {more} of them are not shown, --json lists all" if more > 0 else ""
        print(f"{len(counted.faults)} label files are bad{shown}", file=sys.stderr)
