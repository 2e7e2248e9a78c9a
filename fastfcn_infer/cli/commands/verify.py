"""``fastfcn verify``: check every file of an artifact and replay its golden picture here."""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastfcn_infer.cli import exit_codes
from fastfcn_infer.cli.command import add_model_arguments

if TYPE_CHECKING:
    from fastfcn_infer.artifact.artifact import Artifact

SUMMARY = "Check an artifact's files and replay its golden picture on this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "artifact", metavar="ARTIFACT", help="Folder that fastfcn-export wrote, or hub:OWNER/NAME"
    )
    add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Exit with 6 if a file is damaged, 4 if the labels are not those of the export."""
    from fastfcn_infer.hub.models import find_artifact
    from fastfcn_infer.runtime.precision import check_precision

    cache = None if arguments.cache_dir is None else Path(arguments.cache_dir)
    check_precision(arguments.precision)
    _refuse_part(Path(arguments.artifact))
    artifact = find_artifact(arguments.artifact, cache, local_files_only=arguments.offline)
    if arguments.precision == "auto":
        own, *others = artifact.precisions
        found = [_replay(artifact, arguments, own)]
        found += [_replay_variant(artifact, arguments, each) for each in others]
    else:
        found = [_replay(artifact, arguments, arguments.precision)]
    passed = all(each.passed is not False for each in found)
    if arguments.json:
        first, *variants = (asdict(each) for each in found)
        report = {
            "artifact": arguments.artifact,
            "files": len(artifact.files),
            **first,
            "variants": variants,
            "passed": passed,
        }
        print(json.dumps(report, indent=2))
    else:
        print(f"files    {len(artifact.files)}, sizes and SHA-256 as in the manifest")
        for each in found:
            print(f"golden   {_line(each)}")
        print("verified" if passed else "NOT verified: this runtime computes other labels")
    return exit_codes.FINE if passed else exit_codes.NOT_VERIFIED


@dataclass(frozen=True)
class _Found:
    """What the golden picture showed of one precision."""

    precision: str
    backend: str | None = None  # None if it was not replayed
    provider: str | None = None
    agreement: float | None = (
        None  # share of the labels; None if they were too few to open the model
    )
    required: float | None = None
    passed: bool | None = None  # None if it was not replayed
    reason: str | None = None  # why there is no agreement


def _replay(artifact: "Artifact", arguments: argparse.Namespace, precision: str) -> _Found:
    from fastfcn_infer.errors import WrongLabels
    from fastfcn_infer.inference.replay import replay
    from fastfcn_infer.runtime.opening import open_as_asked
    from fastfcn_infer.segmenter import Segmenter

    try:
        # With the runtime that the other commands would take, which fastfcn tune may have chosen.
        backend = open_as_asked(
            arguments.backend,
            artifact,
            device=arguments.device,
            threads=arguments.threads,
            precision=precision,
            cache=None if arguments.cache_dir is None else Path(arguments.cache_dir),
        )
    except WrongLabels as error:
        return _Found(precision, passed=False, reason=str(error))
    with Segmenter(artifact, backend) as segmenter:
        found, facts = replay(segmenter), segmenter.runtime
    return _Found(
        facts.precision,
        facts.backend,
        facts.provider,
        found.agreement,
        found.required,
        found.passed,
    )


def _replay_variant(artifact: "Artifact", arguments: argparse.Namespace, precision: str) -> _Found:
    """Replay a precision that was not asked for by its name, and need not be possible here."""
    from fastfcn_infer.errors import DeviceUnavailable

    try:
        return _replay(artifact, arguments, precision)
    except DeviceUnavailable as error:
        return _Found(precision, reason=str(error))


def _line(found: _Found) -> str:
    from fastfcn_infer.system.percent import percent

    if found.agreement is None or found.required is None:
        verdict = "not replayed" if found.passed is None else "NOT verified"
        return f"{found.precision}: {verdict}: {found.reason}"
    return (
        f"{found.precision}: {percent(found.agreement)}% of the labels agree on {found.backend} "
        f"({found.provider}); required: {found.required:.1%}"
    )


def _refuse_part(path: Path) -> None:
    """Refuse the graph of an artifact: alone, it has no golden picture to replay."""
    from fastfcn_infer.artifact.artifact import containing
    from fastfcn_infer.errors import ArtifactError

    folder = containing(path)
    if folder is not None:
        raise ArtifactError(
            f"{path} is a part of the artifact {folder}, which is verified as a whole. Give that "
            f"folder: fastfcn verify {folder}"
        )
