"""Label a camera or a live stream for ``fastfcn predict``, until Ctrl-C, into files that are whole."""

import argparse
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from fastfcn_infer.cli import films
from fastfcn_infer.cli.output import FILM_KINDS, Output

if TYPE_CHECKING:
    from fastfcn_infer.inference.probability.options import ResultOptions
    from fastfcn_infer.inference.stream.stream import Stream
    from fastfcn_infer.segmenter import Segmenter


def is_live(source: str) -> bool:
    """Tell whether a source is a camera or an address."""
    from fastfcn_infer.inference.stream import video

    return video.is_live(source)


def check(output: Output, arguments: argparse.Namespace) -> None:
    """Refuse what makes no sense for a live source, before the model is opened.

    Raises:
        ValueError: it is not the only source, or an option or a kind of result is for files.
    """
    if len(arguments.sources) > 1:
        raise ValueError(
            "a camera or an address is the only source of a run; give it alone, and files in another run"
        )
    for option in ("dry_run", "resume", "recursive"):
        if getattr(arguments, option):
            raise ValueError(
                f"--{option.replace('_', '-')} is for files; a live source has no length and no past"
            )
    if output.file is not None and output.file.suffix.lower() not in (".mp4", ".json"):
        raise ValueError(
            f"-o {output.file}: a live source is written to a folder, or to a file that ends in .mp4 or .json"
        )
    impossible = [kind for kind in output.kinds if kind not in FILM_KINDS]
    if impossible:
        raise ValueError(
            f"--save {', '.join(impossible)} is for pictures; of a live source, {', '.join(FILM_KINDS)} can be saved"
        )


def label(
    segmenter: "Segmenter", output: Output, arguments: argparse.Namespace, options: "ResultOptions"
) -> dict[str, Any]:
    """Label the newest frame each time, until the source ends, Ctrl-C, or the end of ``--seconds``.

    Args:
        segmenter: the opened model.
        output: which results are written, and where.
        arguments: of ``fastfcn predict``.
        options: what is done with the scores.

    Returns:
        Frames that were labelled and dropped, mean areas, flicker and seconds, for a report, and ``error``
        where the source failed after some frames.

    Raises:
        ImageError: the source cannot be opened, or gave no frame.
        BackendMissing: PyAV is not installed.
        ValueError: a result exists already.
        OSError: a result could not be written.
    """
    from fastfcn_infer.cli.inputs import Job
    from fastfcn_infer.errors import ImageError
    from fastfcn_infer.inference.stream import video
    from fastfcn_infer.system.atomic import write_file
    from fastfcn_infer.system.json_bytes import json_bytes
    from fastfcn_infer.system.progress import Progress
    from fastfcn_infer.system.writing import make_folder

    source = arguments.sources[0]
    shown = video.without_password(source)
    targets = output.film_paths(Job(Path(source), output.folder / _name(source), shown))
    _refuse_existing(targets, arguments)
    facts = films.made_by(segmenter, arguments, options)
    total = films.Total()
    error = None
    with segmenter.stream(
        source,
        every=arguments.every,
        smooth=arguments.smooth,
        **films.limit(arguments),
        **options.as_arguments(),
    ) as stream:
        for path in targets.values():
            make_folder(path.parent)
        with (
            films.writing_frames(targets, arguments.fps, facts) as write,
            _interruptible() as stop,
        ):
            try:
                with Progress(shown, total=None, unit="frames") as bar:
                    for at in _frames(stream, stop, arguments, total):
                        write(total.last, None if arguments.fps else at)
                        bar.advance()
            except ImageError as failed:  # what came before is kept
                error = str(failed)
            stream.close()
            if not total.frames and stop.asked:
                raise KeyboardInterrupt(f"no frame of {shown} was labelled")
            if not total.frames:
                raise ImageError(error or f"{shown} gave no frame")
    report = {**total.report(), "dropped": stream.dropped, "flicker": stream.flicker}
    if "json" in targets:
        text = {"source": shown, **report, "provenance": dict(facts)}
        write_file(targets["json"], json_bytes(text, indent=2))
    written = {"source": shown, "status": "done", "written": [str(p) for p in targets.values()]}
    failure = {} if error is None else {"status": "failed", "error": error}
    return written | report | failure


class _Stop:
    """Ends a run at Ctrl-C between two frames, so that every file is whole; a second one at once."""

    def __init__(self) -> None:
        self.asked = self.waiting = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        if self.asked:
            raise KeyboardInterrupt("stopped at once, so no file was kept")
        self.asked = True
        if self.waiting:
            raise KeyboardInterrupt


@contextmanager
def _interruptible() -> Iterator[_Stop]:
    stop = _Stop()
    if threading.current_thread() is not threading.main_thread():  # others get no signals
        yield stop
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _frames(
    stream: "Stream", stop: _Stop, arguments: argparse.Namespace, total: films.Total
) -> Iterator[float]:
    """Wait for each frame and count it; yield the seconds since the first one."""
    began: float | None = None
    with ExitStack() as timers:
        while not stop.asked:
            try:
                stop.waiting = True
                found = next(stream, None)
                stop.waiting = False
            except KeyboardInterrupt:
                return
            if found is None:
                return
            now = time.monotonic()
            if began is None:
                began = now
                if arguments.seconds is not None:  # the source may send nothing more
                    timer = threading.Timer(arguments.seconds, stream.close)
                    timer.daemon = True
                    timer.start()
                    timers.callback(timer.cancel)
            total.add(found)
            yield now - began
            if arguments.seconds is not None and now - began >= arguments.seconds:
                return


def _name(source: str) -> str:
    """Name the results: camera_0, or the host of an address."""
    host = source.rpartition("@")[2].rpartition("://")[2].partition("/")[0]
    return re.sub(r"[^A-Za-z0-9]+", "_", host).strip("_") or "live"


def _refuse_existing(targets: dict[str, Path], arguments: argparse.Namespace) -> None:
    found = [str(path) for path in targets.values() if path.exists()]
    if found and not arguments.force:
        raise ValueError(
            f"{' and '.join(found)}: exists; give --force to replace it, or another name"
        )
