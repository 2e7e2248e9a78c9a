"""``fastfcn models``: the embedded model and the catalogue of published checkpoints."""

import argparse
import json

from fastfcn_infer.cli import exit_codes

SUMMARY = "list the models that can be used by name"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: there are none."""


def run(arguments: argparse.Namespace) -> int:
    """Print name, figures and where each is to be had; nothing is fetched. JSON: the catalogue."""
    from fastfcn_infer.hub import catalogue
    from fastfcn_infer.hub.models import EMBEDDED
    from fastfcn_infer.system import record

    entries = catalogue.entries()
    if arguments.json:
        data = [record.to_data(entry) for entry in entries]
        print(json.dumps(data, indent=2, ensure_ascii=False))
        return exit_codes.FINE
    print(EMBEDDED)
    print("    the embedded model: FastFCN, half a ResNet-18vd, EncNet head, CamVid")
    print("    in the package")
    for entry in entries:
        figures = ", ".join(f"{name} {value}" for name, value in entry.figures.items())
        print(entry.name)
        print(f"    {entry.title}; {figures or 'no published figure'}")
        where = "fetched when asked for" if entry.url else f"get the file from {entry.page}"
        print(f"    {where}")
    return exit_codes.FINE
