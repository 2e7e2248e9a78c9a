"""``fastfcn models``: the catalogue of published checkpoints."""

import argparse
import json

from fastfcn_infer import exit_codes

SUMMARY = "list the published checkpoints that can be used by name"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: there are none."""


def run(arguments: argparse.Namespace) -> int:
    """Print name, figures and where each checkpoint is to be had; nothing is fetched."""
    from fastfcn_infer import catalogue, record

    entries = catalogue.entries()
    if arguments.json:
        data = [record.to_data(entry) for entry in entries]
        print(json.dumps(data, indent=2, ensure_ascii=False))
        return exit_codes.FINE
    for entry in entries:
        figures = ", ".join(f"{name} {value}" for name, value in entry.figures.items())
        print(entry.name)
        print(f"    {entry.title}; {figures or 'no published figure'}")
        where = "fetched when asked for" if entry.url else f"get the file from {entry.page}"
        print(f"    {where}")
    return exit_codes.FINE
