"""``fastfcn push``: publish an artifact with a model card on the Hugging Face Hub."""

import argparse
import json

from fastfcn_infer.cli import exit_codes
from fastfcn_infer.cli.command import add_quiet_argument

SUMMARY = "Publish an artifact with a model card on the Hugging Face Hub"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("model", metavar="ARTIFACT", help="Folder that fastfcn-export wrote, or hub:OWNER/NAME")
    add("repository", metavar="OWNER/NAME", help="Repository; it is made if it does not exist")
    add("--private", action="store_true", help="Make a new repository private")
    add(
        "--revision", metavar="BRANCH", help="Existing branch (default: the repository's main one)"
    )
    add(
        "--message",
        metavar="TEXT",
        help="Message of the commit (default: one that names the model)",
    )
    add(
        "--scores",
        nargs="+",
        default=[],
        metavar="FILE.json",
        help="Output of `fastfcn evaluate --json` for this model, for the card",
    )
    add(
        "--speeds",
        nargs="+",
        default=[],
        metavar="FILE.json",
        help="Output of `fastfcn benchmark --format json` for this model, for the card",
    )
    add("--license", metavar="ID", help="Licence as the Hub names it, such as apache-2.0")
    add(
        "--limit",
        action="append",
        default=[],
        metavar="SENTENCE",
        help="What the model cannot do, for the card; may be given several times",
    )
    add(
        "--dry-run",
        metavar="FOLDER",
        help="Write what would be uploaded to FOLDER, and upload nothing",
    )
    add_quiet_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the card and upload; figures of another model are refused before anything is sent."""
    from pathlib import Path

    from fastfcn_infer.hub.card_facts import read_facts
    from fastfcn_infer.hub.models import find_artifact
    from fastfcn_infer.hub.upload import check_repository, push, save, with_revision

    repository = check_repository(arguments.repository)
    opened = with_revision(repository, arguments.revision)
    facts = read_facts(arguments.scores, arguments.speeds, arguments.license, arguments.limit)
    artifact = find_artifact(arguments.model, None, local_files_only=False)
    if arguments.dry_run is not None:
        folder = Path(arguments.dry_run)
        save(artifact, folder, facts, repository=opened)
        done = {"folder": str(folder), "repository": repository, "uploaded": None}
        text = f"wrote    {folder}, as it would be uploaded to {repository}"
    else:
        commit = push(
            artifact,
            repository,
            facts,
            private=arguments.private,
            revision=arguments.revision,
            message=arguments.message,
        )
        done = {"folder": None, "repository": repository, "uploaded": commit}
        text = f"uploaded {commit}\nopen it  fastfcn predict PICTURE --model hub:{opened}"
    print(json.dumps(done, indent=2, ensure_ascii=False) if arguments.json else text)
    return exit_codes.FINE
