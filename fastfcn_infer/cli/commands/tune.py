"""``fastfcn tune``: measure once what is fastest for a model on this machine, and let `auto` choose that."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from fastfcn_infer.cli import exit_codes
from fastfcn_infer.cli.command import add_quiet_argument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastfcn_infer.artifact.artifact import Artifact
    from fastfcn_infer.runtime.tuned_profile import TunedProfile

SUMMARY = (
    "Measure which runtime, precision, threads and batch are fastest here; auto then uses them"
)
_BUSY = 0.1  # share of the processors' time that others may use


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add(
        "model",
        metavar="MODEL",
        help="Artifact, checkpoint, hub:OWNER/NAME or catalogue name",
    )
    add(
        "--allow",
        metavar="PRECISION[,PRECISION]",
        help="Precisions that auto may choose, of fp32, bf16, int8 (default: the model's own only)",
    )
    add(
        "--size",
        default="480x480",
        metavar="HxW",
        help="Height x width of the picture (default: 480x480)",
    )
    add(
        "--seconds",
        type=float,
        default=3.0,
        metavar="S",
        help="Seconds of timed runs for each setting (default: 3)",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--show", action="store_true", help="Print what was measured before; measure nothing"
    )
    what.add_argument(
        "--forget", action="store_true", help="Remove what was measured before; measure nothing"
    )
    add(
        "--cache-dir",
        metavar="DIR",
        help="Keep downloads, conversions and what was measured in DIR",
    )
    add("--offline", action="store_true", help="Download nothing")
    add_quiet_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, keep and print what is fastest; or print or remove what is kept."""
    from fastfcn_infer.benchmark.measure import check_seconds
    from fastfcn_infer.hub.conversion import Conversion
    from fastfcn_infer.hub.models import find_model
    from fastfcn_infer.system.cache import cache_folder

    check_seconds(arguments.seconds)
    allowed, size = _allowed(arguments.allow), _size(arguments.size)
    cache = None if arguments.cache_dir is None else Path(arguments.cache_dir)
    conversion = Conversion()
    artifact = find_model(arguments.model, cache, conversion, local_files_only=arguments.offline)
    folder = cache_folder() if cache is None else cache
    if arguments.show:
        return _show(artifact, folder, arguments)
    if arguments.forget:
        return _forget(artifact, folder, arguments)
    return _tune(artifact, folder, allowed, size, arguments)


def _tune(
    artifact: "Artifact",
    folder: Path,
    allowed: tuple[str, ...],
    size: tuple[int, int],
    arguments: argparse.Namespace,
) -> int:
    from fastfcn_infer.benchmark.tune import most_settings, tune
    from fastfcn_infer.runtime.tuned_profile import profile_path, write_profile
    from fastfcn_infer.system.progress import Progress
    from fastfcn_infer.system.writing import check_folder

    check_folder(profile_path(folder, artifact.fingerprint).parent)  # before it takes minutes
    total = round(most_settings(artifact, allowed) * arguments.seconds)
    with Progress("tune", total=total, unit="s") as bar:
        profile = tune(
            artifact, allowed=allowed, size=size, seconds=arguments.seconds, advance=bar.advance
        )
    path = write_profile(folder, profile)
    _print(profile, arguments)
    if not arguments.json:
        print(f"kept in {path}; backend auto uses it from now on, and --forget removes it")
    return exit_codes.FINE


def _show(artifact: "Artifact", folder: Path, arguments: argparse.Namespace) -> int:
    from fastfcn_infer.runtime.tuned_profile import UnusableProfileError, read_profile

    try:
        profile = read_profile(folder, artifact.fingerprint)
    except UnusableProfileError as error:
        if arguments.json:
            print(json.dumps({"unusable": str(error)}, indent=2, ensure_ascii=False))
        else:
            print(f"not used: {error}. Run fastfcn tune again, or with --forget.")
        return exit_codes.FINE
    if profile is not None:
        _print(profile, arguments)
    else:
        print("null" if arguments.json else "not tuned on this machine")
    return exit_codes.FINE


def _forget(artifact: "Artifact", folder: Path, arguments: argparse.Namespace) -> int:
    from fastfcn_infer.runtime.tuned_profile import forget_profile

    forgotten = forget_profile(folder, artifact.fingerprint)
    if arguments.json:
        print(json.dumps({"forgotten": forgotten}))
    else:
        print("forgotten" if forgotten else "there was nothing to forget on this machine")
    return exit_codes.FINE


def _print(profile: "TunedProfile", arguments: argparse.Namespace) -> None:
    from fastfcn_infer.system import record

    print(record.to_json(profile) if arguments.json else "\n".join(_lines(profile)))


def _lines(profile: "TunedProfile") -> "Iterator[str]":
    from fastfcn_infer.system.text_table import text_table

    head = ("backend", "precision", "threads", "batch", "ms a view", "labels agree")
    rows = [
        (
            each.backend,
            each.precision,
            str(each.threads),
            str(each.batch),
            f"{each.seconds * 1e3:.3g}",
            "" if each.agreement is None else f"{each.agreement:.2%}",
        )
        for each in profile.measured
        if each.seconds is not None
    ]
    height, width = profile.size
    yield f"{profile.model}, {height}x{width}, {profile.date}"
    yield from text_table((head, *rows), left=(0, 1))
    for each in profile.measured:
        if each.seconds is None:
            yield f"not measured: {each.backend} in {each.precision}: {each.note}"
    if profile.others_took is not None and profile.others_took > _BUSY:
        yield (
            f"other processes used {profile.others_took:.0%} of the processors meanwhile: run it again on a "
            "quiet machine"
        )
    yield profile.summary


def _allowed(text: str | None) -> tuple[str, ...]:
    from fastfcn_infer.benchmark.tune import PRECISIONS

    words = [] if text is None else [word.strip() for word in text.split(",")]
    for word in words:
        if word not in PRECISIONS:
            raise ValueError(f"--allow {text}: some of {', '.join(PRECISIONS)} were expected")
    return tuple(words)


def _size(text: str) -> tuple[int, int]:
    from fastfcn_infer.cli.command import read_size

    return read_size("--size", text)
