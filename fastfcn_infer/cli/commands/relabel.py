"""``fastfcn relabel``: copy an artifact with other names and colours of its classes."""

import argparse
import json

from fastfcn_infer.cli import exit_codes
from fastfcn_infer.cli.command import add_quiet_argument

SUMMARY = "Copy an artifact with other names and colours of its classes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("artifact", metavar="ARTIFACT", help="Folder that fastfcn-export wrote, or hub:OWNER/NAME")
    add(
        "--classes",
        required=True,
        metavar="NAME|FILE.json",
        help="Name of a class table, or a file, with as many classes as the model has",
    )
    add("-o", "--output", required=True, metavar="NEW", help="Folder of the copy")
    add("--force", action="store_true", help="Replace an artifact that exists")
    add("--cache-dir", metavar="DIR", help="Keep downloads in DIR")
    add("--offline", action="store_true", help="Download nothing")
    add_quiet_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the copy; the network, its weights and the record of their verification stay as they are."""
    from pathlib import Path

    from fastfcn_infer.artifact.artifact import open_artifact
    from fastfcn_infer.artifact.relabel import relabel
    from fastfcn_infer.hub.models import find_artifact

    cache = None if arguments.cache_dir is None else Path(arguments.cache_dir)
    artifact = find_artifact(arguments.artifact, cache, local_files_only=arguments.offline)
    target = Path(arguments.output)
    relabel(artifact, arguments.classes, target, force=arguments.force)
    pairs = list(zip(artifact.model.classes, open_artifact(target).model.classes, strict=True))
    if arguments.json:
        report = {
            "artifact": str(target),
            "classes": [{"before": old.name, "now": new.name} for old, new in pairs],
        }
        print(json.dumps(report, indent=2, ensure_ascii=False))
        return exit_codes.FINE
    renamed = sum(old.name != new.name for old, new in pairs)
    print(f"wrote    {target}, in which {renamed} of {len(pairs)} classes have another name")
    return exit_codes.FINE
