"""``fastfcn verify``: check every file of an artifact and replay its golden picture here."""

import argparse
import json
from typing import TYPE_CHECKING

from fastfcn_infer.cli import exit_codes
from fastfcn_infer.cli.command import add_model_arguments

if TYPE_CHECKING:
    from pathlib import Path

SUMMARY = "Check an artifact's files and replay its golden picture on this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "artifact", metavar="ARTIFACT", help="Folder that fastfcn-export wrote, or hub:OWNER/NAME"
    )
    add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Exit with 6 if a file is damaged, 4 if the labels are not those of the export."""
    from pathlib import Path

    from fastfcn_infer.hub.models import find_artifact
    from fastfcn_infer.inference.replay import replay
    from fastfcn_infer.runtime.backend import open_backend
    from fastfcn_infer.segmenter import Segmenter
    from fastfcn_infer.system.machine import cpu_budget

    cache = None if arguments.cache_dir is None else Path(arguments.cache_dir)
    _refuse_part(Path(arguments.artifact))
    artifact = find_artifact(arguments.artifact, cache, local_files_only=arguments.offline)
    threads = cpu_budget().threads if arguments.threads is None else arguments.threads
    backend = open_backend(
        arguments.backend,
        artifact,
        device=arguments.device,
        threads=threads,
        precision=arguments.precision,
    )
    with Segmenter(artifact, backend) as segmenter:
        found = replay(segmenter)
        facts = segmenter.runtime
    if arguments.json:
        report = {
            "artifact": arguments.artifact,
            "files": len(artifact.files),
            "backend": facts.backend,
            "provider": facts.provider,
            "agreement": found.agreement,
            "required": found.required,
            "passed": found.passed,
        }
        print(json.dumps(report, indent=2))
    else:
        print(f"files    {len(artifact.files)}, sizes and SHA-256 as in the manifest")
        print(
            f"golden   {found.agreement:.3%} of the labels agree on {facts.backend} "
            f"({facts.provider}); required: {found.required:.1%}"
        )
        print("verified" if found.passed else "NOT verified: this runtime computes other labels")
    return exit_codes.FINE if found.passed else exit_codes.NOT_VERIFIED


def _refuse_part(path: "Path") -> None:
    """Refuse the graph of an artifact: alone, it has no golden picture to replay."""
    from fastfcn_infer.artifact.artifact import containing
    from fastfcn_infer.errors import ArtifactError

    folder = containing(path)
    if folder is not None:
        raise ArtifactError(
            f"{path} is a part of the artifact {folder}, which is verified as a whole. Give that "
            f"folder: fastfcn verify {folder}"
        )
