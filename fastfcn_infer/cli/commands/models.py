"""``fastfcn models``: list the embedded model and the catalogue of published checkpoints."""

import argparse
import json

from fastfcn_infer.cli import exit_codes

SUMMARY = "List the models that can be used by name"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments, and describe the names that cannot be listed."""
    parser.epilog = (
        "hub:OWNER/NAME and hub:OWNER/NAME@REVISION name artifacts on the Hugging Face Hub; they are "
        "used in the same places, and not listed here."
    )


def run(arguments: argparse.Namespace) -> int:
    """Print names, figures and where to get the files, downloading nothing. JSON: the catalogue."""
    from fastfcn_infer.hub import catalogue
    from fastfcn_infer.hub.models import EMBEDDED
    from fastfcn_infer.system import record

    entries = catalogue.entries()
    if arguments.json:
        data = [record.to_data(entry) for entry in entries]
        print(json.dumps(data, indent=2, ensure_ascii=False))
        return exit_codes.FINE
    print(EMBEDDED)
    print("    the embedded model: FastFCN, half-width ResNet-18vd, EncNet head, CamVid")
    print("    in the package")
    for entry in entries:
        figures = ", ".join(f"{name} {value}" for name, value in entry.figures.items())
        print(entry.name)
        print(f"    {entry.title}; {figures or 'no published figure'}")
        where = "downloaded when first used" if entry.url else f"get the file from {entry.page}"
        print(f"    {where}")
    return exit_codes.FINE
