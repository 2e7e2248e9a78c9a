"""Label the frames of a video file for ``fastfcn predict``, and write an annotated video."""

import argparse
import json
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastfcn_infer.inference.segmentation import Segmentation
    from fastfcn_infer.segmenter import Segmenter

DEFAULT_RATE = Fraction(25)  # frames a second, where neither the user nor the video says it
_VIDEOS = ("overlay", "color")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is for videos."""
    group = parser.add_argument_group("videos (need fastfcn-infer[video])")
    group.add_argument(
        "--every", type=int, default=1, metavar="N", help="Label every Nth frame only (default: 1)"
    )
    group.add_argument(
        "--fps",
        type=float,
        metavar="RATE",
        help="Frames a second of the video that is written (default: as the frames were taken)",
    )
    group.add_argument(
        "--smooth",
        type=float,
        default=0.0,
        metavar="WEIGHT",
        help="Weight, 0 to below 1, of the frames before in the logits of a frame (default: 0)",
    )


def check_arguments(arguments: argparse.Namespace) -> None:
    """Refuse numbers that make no sense.

    Raises:
        ValueError: says all of them.
    """
    faults = []
    if arguments.every < 1:
        faults.append(f"--every {arguments.every}: at least 1 was expected")
    if arguments.fps is not None and not 0 < arguments.fps <= 1000:
        faults.append(f"--fps {arguments.fps}: more than 0 and at most 1000 was expected")
    if not 0 <= arguments.smooth < 1:
        faults.append(f"--smooth {arguments.smooth}: from 0 to below 1 was expected")
    if faults:
        raise ValueError("; ".join(faults))


def is_film(path: Path) -> bool:
    """Tell whether a file is labelled as a video, by its suffix."""
    from fastfcn_infer.inference.stream.video import SUFFIXES

    return path.suffix.lower() in SUFFIXES


def label_film(
    segmenter: "Segmenter", source: Path, targets: dict[str, Path], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Label a video.

    Args:
        segmenter: the opened model.
        source: the video file.
        targets: kind -> path: of videos for ``overlay`` and ``color``, of folders for kinds of label
            maps, which get a PNG for each frame, named by its number, and of a file for ``json``.
        arguments: those of `add_arguments`.

    Returns:
        Frames, mean areas, flicker and seconds, for a report.

    Raises:
        ImageError: the video cannot be decoded, or has no frame.
        BackendMissing: PyAV is not installed.
        OSError: a result could not be written.
    """
    from fastfcn_infer.errors import ImageError
    from fastfcn_infer.inference.stream import video
    from fastfcn_infer.inference.stream.film import Film
    from fastfcn_infer.system.atomic import write_file

    rate = Fraction(arguments.fps or (video.rate(source) or DEFAULT_RATE) / arguments.every)
    areas: dict[str, float] = {}
    seconds = 0.0
    with (
        segmenter.stream(source, every=arguments.every, smooth=arguments.smooth) as stream,
        ExitStack() as opened,
    ):
        films = {
            kind: opened.enter_context(Film(path, rate))
            for kind, path in targets.items()
            if kind in _VIDEOS
        }
        for found in stream:
            _write(found, films, targets)  # type: ignore[arg-type] # errors are raised
            seconds += sum(found.timings.values())  # type: ignore[union-attr]
            for name, share in found.areas().items():  # type: ignore[union-attr]
                areas[name] = areas.get(name, 0.0) + share
        if not stream.done:
            raise ImageError(f"{source} has no frame that can be decoded")
    report = {
        "frames": stream.done,
        "fps": float(rate),
        "areas": {name: total / stream.done for name, total in areas.items()},
        "flicker": stream.flicker,
        "seconds": seconds,
    }
    if "json" in targets:
        facts = {"source": str(source), **report, "provenance": dict(segmenter.provenance)}
        data = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
        write_file(targets["json"], data.encode("utf-8", "backslashreplace"))  # of the name
    return report


def _write(found: "Segmentation", films: dict[str, Any], targets: dict[str, Path]) -> None:
    from fastfcn_infer.system.writing import make_folder

    if "overlay" in films:
        films["overlay"].add(found.overlay())
    if "color" in films:
        films["color"].add(found.colorize())
    for kind, folder in targets.items():
        if kind.startswith("labels"):
            make_folder(folder)
            found.save(folder / f"{found.frame:06}.png", kind=kind)  # type: ignore[arg-type]
