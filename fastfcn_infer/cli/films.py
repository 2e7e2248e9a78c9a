"""Label the frames of a video file for ``fastfcn predict``, and write an annotated video."""

import argparse
import sys
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    from fastfcn_infer.artifact.manifest import Model
    from fastfcn_infer.inference.probability.options import ResultOptions
    from fastfcn_infer.inference.segmentation import Segmentation
    from fastfcn_infer.inference.stream.stream import Outcome
    from fastfcn_infer.segmenter import Segmenter

    Write: TypeAlias = Callable[[Segmentation, float | None], None]

DEFAULT_RATE = Fraction(25)  # frames a second, where neither the user nor the video says it
FPS = "fps"
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
        "--seconds",
        type=float,
        metavar="N",
        help="Stop a camera or an address after N seconds (default: at Ctrl-C, or where it ends)",
    )
    group.add_argument(
        "--smooth",
        type=float,
        default=0.0,
        metavar="WEIGHT",
        help="Weight of earlier frames in the logits of a frame, 0 to below 1 (default: 0)",
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
    if arguments.seconds is not None and not arguments.seconds > 0:
        faults.append(f"--seconds {arguments.seconds}: more than 0 was expected")
    if not 0 <= arguments.smooth < 1:
        faults.append(f"--smooth {arguments.smooth}: from 0 to below 1 was expected")
    if faults:
        raise ValueError("; ".join(faults))


def check_sources(sources: "Iterable[Path]", arguments: argparse.Namespace) -> None:
    """Refuse options of videos and cameras where there are none, so that nobody relies on them.

    Args:
        sources: the files that will be labelled.
        arguments: of ``fastfcn predict``, of no live source.

    Raises:
        ValueError: says which options do nothing.
    """
    if arguments.seconds is not None:
        raise ValueError("--seconds is for a camera or an address; a file is labelled to its end")
    given = {
        "--every": arguments.every != 1,
        "--fps": arguments.fps is not None,
        "--smooth": arguments.smooth != 0,
    }
    useless = [option for option, is_given in given.items() if is_given]
    if useless and not any(map(is_film, sources)):
        raise ValueError(
            f"{', '.join(useless)}: for videos, and there is none. A video in a folder is labelled if it is named itself."
        )


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
    return known | frames_by(arguments) | options.made_by()


def frames_by(arguments: argparse.Namespace) -> dict[str, str]:
    """Return which frames are labelled, and how they follow each other."""
    rate = "as taken" if arguments.fps is None else str(arguments.fps)
    return {"every": str(arguments.every), "smooth": str(arguments.smooth), FPS: rate}


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
    from fastfcn_infer.inference.stream import video
    from fastfcn_infer.system.atomic import write_file
    from fastfcn_infer.system.json_bytes import json_bytes
    from fastfcn_infer.system.progress import Progress

    rate = Fraction(arguments.fps or (video.rate(source) or DEFAULT_RATE) / arguments.every)
    total = Total()
    with (
        segmenter.stream(
            source,
            every=arguments.every,
            smooth=arguments.smooth,
            **limit(arguments),
            **options.as_arguments(),
        ) as stream,
        writing_frames(targets, rate, facts) as write,
        Progress(source.name, total=stream.count, unit="frames") as bar,
    ):
        try:
            for frame in map(total.add, stream):
                write(frame, None if arguments.fps else frame.time)
                bar.advance()
        except KeyboardInterrupt as stopped:
            raise KeyboardInterrupt(
                f"the same command begins with the first frame of {source}"
            ) from stopped
    report = {**total.report(), "fps": float(rate), "flicker": stream.flicker}
    if "json" in targets:
        text = {"source": str(source), **report, "provenance": dict(facts)}
        write_file(targets["json"], json_bytes(text, indent=2))
    return report


class Total:
    """Sums over the frames of a video."""

    def __init__(self) -> None:
        self.frames = 0
        self._areas: dict[str, float] = {}
        self._seconds = 0.0

    def add(self, found: "Outcome") -> "Segmentation":
        """Count a frame; return it, as errors are raised."""
        self.last = cast("Segmentation", found)
        self.frames += 1
        self._seconds += sum(self.last.timings.values())
        for name, share in self.last.areas().items():
            self._areas[name] = self._areas.get(name, 0.0) + share
        return self.last

    def report(self) -> dict[str, Any]:
        """Return frames, mean areas, and seconds of work."""
        areas = {name: total / self.frames for name, total in self._areas.items()}
        return {"frames": self.frames, "areas": areas, "seconds": self._seconds}


def limit(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the largest frame as an argument of `Segmenter.stream`."""
    return {} if arguments.max_pixels is None else {"max_pixels": arguments.max_pixels}


@contextmanager
def writing_frames(
    targets: Mapping[str, Path], rate: float | Fraction | None, facts: Mapping[str, str]
) -> "Iterator[Write]":
    """Open the results of a video, but for ``json``; they appear when the block ends without an error.

    Args:
        targets: as in `label_film`.
        rate: frames a second; None: frames say when they are.
        facts: what makes the results, written into each.

    Yields:
        What writes a frame, and the seconds since the first one, or None.
    """
    with ExitStack() as opened:
        writers = [
            _writer(kind, path, Fraction(rate or DEFAULT_RATE), facts, opened)
            for kind, path in targets.items()
            if kind != "json"
        ]

        def write(found: "Segmentation", at: float | None) -> None:
            for each in writers:
                each(found, at)

        yield write


def _writer(
    kind: str, path: Path, rate: Fraction, facts: Mapping[str, str], opened: ExitStack
) -> "Write":
    """Open a result of a video; return what writes the next frame."""
    from fastfcn_infer.inference.stream.film import Film
    from fastfcn_infer.system.atomic import write_folder

    if kind in _VIDEOS:
        film = opened.enter_context(Film(path, rate, facts))
        return lambda found, at: film.add(
            found.overlay() if kind == "overlay" else found.colorize(), at
        )
    folder = opened.enter_context(write_folder(path, replace=_label_maps))

    of_maps = {key: value for key, value in facts.items() if key != FPS}

    def save(found: "Segmentation", _: float | None) -> None:
        named = replace(found, provenance=of_maps)
        named.save(folder / f"{found.frame:06}.png", kind=kind)  # type: ignore[arg-type]

    return save


def _label_maps(folder: Path) -> list[str]:
    """List the label maps in a folder, which another run replaces; other files stay."""
    return [path.name for path in folder.glob("*.png") if path.stem.isdigit()]
