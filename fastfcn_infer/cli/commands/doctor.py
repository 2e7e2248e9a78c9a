"""``fastfcn doctor``: show what is installed and its known problems; check that a model runs right."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fastfcn_infer.cli import exit_codes
from fastfcn_infer.cli.command import add_quiet_argument

if TYPE_CHECKING:
    from fastfcn_infer.cli.abilities import Ability
    from fastfcn_infer.cli.diagnosis import Diagnosis, Replayed
    from fastfcn_infer.runtime.backend import Availability

SUMMARY = "Show versions, devices and known problems; replay a model in every runtime"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="Replay the golden picture of this model in every installed runtime that reads it",
    )
    parser.add_argument(
        "--replay",
        action="store_true",
        help="Without MODEL: replay the golden picture of the embedded model",
    )
    parser.add_argument(
        "--precision",
        default="auto",
        help="Precision to replay it in: auto, what the model was made in; fp32, bf16, tf32, fp16 or int8 (default: auto)",
    )
    parser.add_argument("--cache-dir", metavar="DIR", help="Keep downloads and conversions in DIR")
    parser.add_argument("--offline", action="store_true", help="Download nothing")
    add_quiet_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; exit with 4 where labels differ, 5 where OpenCV or an installed runtime fails."""
    from dataclasses import replace
    from pathlib import Path

    from fastfcn_infer.cli.diagnosis import diagnose, replay_everywhere
    from fastfcn_infer.hub.conversion import Conversion
    from fastfcn_infer.hub.models import find_model
    from fastfcn_infer.system import record

    replays = arguments.replay or arguments.model is not None
    if arguments.precision != "auto" and not replays:
        raise ValueError("--precision is for a replay: give MODEL or --replay")
    found = diagnose()
    if found.opencv is None and replays:
        from fastfcn_infer.runtime.precision import check_precision, graph_precision

        check_precision(arguments.precision)
        cache = None if arguments.cache_dir is None else Path(arguments.cache_dir)
        artifact = find_model(
            arguments.model,
            cache,
            Conversion(precision=graph_precision(arguments.precision)),
            local_files_only=arguments.offline,
        )
        replayed = replay_everywhere(artifact, found.threads, arguments.precision)
        found = replace(found, replayed=replayed)
    print(record.to_json(found) if arguments.json else "\n".join(_lines(found)))
    failed = [replayed for replayed in found.replayed if replayed.passed is False]
    if any(replayed.wrong_labels for replayed in failed):
        return exit_codes.NOT_VERIFIED
    return exit_codes.NO_RUNTIME if failed or found.opencv else exit_codes.FINE


def _lines(found: "Diagnosis") -> Iterator[str]:
    yield from _machine(found)
    yield "\npackages"
    for name, version in found.packages.items():
        yield f"  {name:<24} {version}"
    if found.opencv is not None:
        yield f"\nOpenCV cannot be used, and nothing works without it\n  {found.opencv}"
    yield from _runtimes(found)
    yield "\nknown problems of what is installed" if found.problems else "\nno known problems"
    for trouble in found.problems:
        yield f"  {', '.join(trouble.packages)}: {trouble.symptom}"
        yield f"    -> {trouble.response}"
    if found.replayed:
        yield "\ngolden picture"
    for replayed in found.replayed:
        yield f"  {replayed.backend:<18} {_replayed(replayed)}"


def _machine(found: "Diagnosis") -> Iterator[str]:
    memory = "unknown"
    if found.memory is not None:
        memory = f"{found.memory.bytes / 1e9:.1f} GB: {found.memory.reason}"
    variable = found.cache_variable
    origin = "" if variable is None else ", from FASTFCN_CACHE"
    yield f"fastfcn-infer  {found.version}"
    yield f"python         {found.python}"
    yield f"system         {found.system}"
    yield f"processor      {found.cpu}"
    if found.cpu_features:
        yield f"               {', '.join(found.cpu_features)}"
    yield f"threads        {found.threads}: {found.threads_reason}"
    yield f"memory         {memory}"
    yield from (f"cuda:{index}         {gpu}" for index, gpu in enumerate(found.gpus))
    if found.no_gpu is not None:
        yield f"cuda           {found.no_gpu}"
    if found.cache is None:
        yield f"cache          none: {found.no_cache}"
    else:
        fault = "" if found.no_cache is None else f"; {found.no_cache}"
        yield f"cache          {found.cache}{origin}, {found.cache_bytes / 1e6:.1f} MB{fault}"
    yield f"downloads      {'forbidden by FASTFCN_OFFLINE' if found.offline else 'allowed'}"


def _runtimes(found: "Diagnosis") -> Iterator[str]:
    yield "\nruntimes" if found.opencv is None else "\nruntimes\n  not examined: all need OpenCV"
    for backend in found.backends:
        yield f"  {backend.name:<18} {_availability(backend)}"
        lacks = [line for why in backend.missing.values() for line in why.splitlines()]
        yield from (f"    {line}" for line in lacks)
    if found.precisions:
        yield "\nprecisions"
    for ability in found.precisions:
        yield from _ability(ability)
    if found.tuned:
        yield "\ntuned by fastfcn tune"
    yield from (f"  {line}" for line in found.tuned)


def _availability(backend: "Availability") -> str:
    if not backend.installed:
        return f"not installed; {backend.install}"
    if backend.fault is not None:
        return f"installed, but it cannot be imported: {backend.fault}"
    providers = f"; offers {', '.join(backend.providers)}" if backend.providers else ""
    return f"installed; reads {backend.reads}; supports {', '.join(backend.devices)}{providers}"


def _ability(ability: "Ability") -> Iterator[str]:
    note = "" if ability.note is None else f"; {ability.note}"
    yield f"  {ability.precision:<6} {', '.join(ability.backends) or 'not here'}{note}"
    for name, why in ability.refusals.items():
        yield f"         not {name}: {why}"


def _replayed(replayed: "Replayed") -> str:
    from fastfcn_infer.system.percent import percent

    if replayed.agreement is None or replayed.required is None:
        return f"{'not run' if replayed.passed is None else 'FAILED'}: {replayed.reason}"
    verdict = "verified" if replayed.passed else "NOT verified"
    return (
        f"{verdict}: {percent(replayed.agreement)}% of the labels agree ({replayed.provider}); "
        f"required: {replayed.required:.1%}"
    )
