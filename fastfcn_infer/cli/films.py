"""Label the frames of a video file for ``fastfcn predict``, and write an annotated video."""

import argparse
import json
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastfcn_infer.artifact.manifest import Model
    from fastfcn_infer.inference.probability.options import ResultOptions
    from fastfcn_infer.inference.segmentation import Segmentation
    from fastfcn_infer.segmenter import Segmenter

DEFAULT_RATE = Fraction(25)  # frames a second, where neither the user nor the video says it
_VIDEOS = ("overlay", "color")
_FRAMES_SHORT = 2  # that headers count and no decoder gives


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


def check_model(model: "Model", arguments: argparse.Namespace) -> None:
    """Refuse to smooth what a model does not give, before anything is labelled.

    Raises:
        ValueError: its graph does not end in logits.
    """
    if arguments.smooth and model.output.name != "logits":
        raise ValueError(
            f"--smooth averages logits, and {model.name} was exported with --output {model.output.name}; "
            "leave it out, or export the model with --output logits"
        )


def is_film(path: Path) -> bool:
    """Tell whether a file is labelled as a video, by its suffix."""
    from fastfcn_infer.inference.stream.video import SUFFIXES

    return path.suffix.lower() in SUFFIXES


def announce(path: Path, arguments: argparse.Namespace) -> tuple[int, int]:
    """Say of how many frames a video is, for a dry run; return their height and width."""
    from fastfcn_infer.inference.stream import video

    found = video.count(path, arguments.every)
    many = "an unknown number of" if found is None else str(found)
    sys.stderr.write(f"{path}: {many} frames; the plan is that of one\n")
    return video.size(path)


def made_by(
    segmenter: "Segmenter", arguments: argparse.Namespace, options: "ResultOptions"
) -> dict[str, str]:
    """Return what the results of a video depend on, but for the video."""
    known = segmenter.made_by(segmenter.procedure, None)
    frames = {"every": str(arguments.every), "smooth": str(arguments.smooth)}
    return known | frames | options.made_by()


def label_film(
    segmenter: "Segmenter",
    source: Path,
    targets: dict[str, Path],
    facts: Mapping[str, str],
    arguments: argparse.Namespace,
    options: "ResultOptions",
) -> dict[str, Any]:
    """Label a video; each result is there when it is complete, or not at all.

    Args:
        segmenter: the opened model.
        source: the video file.
        targets: kind -> path: of videos for ``overlay`` and ``color``, of folders for kinds of label
            maps, which get a PNG for each frame, named by its number, and of a file for ``json``.
        facts: what makes the results, written into each.
        arguments: those of `add_arguments`.
        options: what is done with the scores.

    Returns:
        Frames, mean areas, flicker and seconds, for a report.

    Raises:
        ImageError: the video cannot be decoded to its end, or has no frame.
        BackendMissing: PyAV is not installed.
        OSError: a result could not be written.
    """
    from fastfcn_infer.errors import ImageError
    from fastfcn_infer.inference.stream import video
    from fastfcn_infer.system.atomic import write_file

    limit = {} if arguments.max_pixels is None else {"max_pixels": arguments.max_pixels}
    rate = Fraction(arguments.fps or (video.rate(source) or DEFAULT_RATE) / arguments.every)
    areas: dict[str, float] = {}
    seconds = 0.0
    with (
        segmenter.stream(
            source,
            every=arguments.every,
            smooth=arguments.smooth,
            **limit,
            **options.as_arguments(),
        ) as stream,
        ExitStack() as opened,
    ):
        writers = [
            _writer(kind, path, rate, facts, opened)
            for kind, path in targets.items()
            if kind != "json"
        ]
        for found in cast("Iterator[Segmentation]", stream):  # errors are raised
            for write in writers:
                write(found)
            seconds += sum(found.timings.values())
            for name, share in found.areas().items():
                areas[name] = areas.get(name, 0.0) + share
        said = stream.count or 0
        if not stream.done or stream.done < said - _FRAMES_SHORT:
            raise ImageError(
                f"{source} has {said or 'no'} frames by its header, and {stream.done} could be decoded: "
                "it is cut off or damaged. A copy made by FFmpeg has the frames that are there."
            )
    report = {
        "frames": stream.done,
        "fps": float(rate),
        "areas": {name: total / stream.done for name, total in areas.items()},
        "flicker": stream.flicker,
        "seconds": seconds,
    }
    if "json" in targets:
        text = {"source": str(source), **report, "provenance": dict(facts)}
        data = json.dumps(text, indent=2, ensure_ascii=False) + "\n"
        write_file(targets["json"], data.encode("utf-8", "backslashreplace"))  # of the name
    return report


def _writer(
    kind: str, path: Path, rate: Fraction, facts: Mapping[str, str], opened: ExitStack
) -> "Callable[[Segmentation], None]":
    """Open a result of a video; return what writes the next frame."""
    from fastfcn_infer.inference.stream.film import Film
    from fastfcn_infer.system.atomic import write_folder

    if kind in _VIDEOS:
        film = opened.enter_context(Film(path, rate, facts))
        return lambda found: film.add(found.overlay() if kind == "overlay" else found.colorize())
    folder = opened.enter_context(write_folder(path, replace=_label_maps))

    def save(found: "Segmentation") -> None:
        named = replace(found, provenance=facts)
        named.save(folder / f"{found.frame:06}.png", kind=kind)  # type: ignore[arg-type]

    return save


def _label_maps(folder: Path) -> list[str]:
    """List the label maps in a folder, which another run replaces; other files stay."""
    return [path.name for path in folder.glob("*.png") if path.stem.isdigit()]
