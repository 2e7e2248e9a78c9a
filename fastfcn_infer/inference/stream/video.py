"""Frames of video files and of live cameras, through PyAV (extra ``video``)."""

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.errors import BackendMissing, ImageError
from fastfcn_infer.picture.read import DEFAULT_MAX_PIXELS
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.install import install
from fastfcn_infer.system.missing_package import missing_package

SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".wmv", ".flv", ".ogv", ".3gp", ".mjpeg", ".mjpg"),
)
Frame = NDArray[np.uint8]  # (H, W, 3) RGB

_CAMERA = "camera:"
_ADDRESSES = ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "udp", "tcp", "http", "https")
_FASTEST = 1000  # frames a second; more is a wrong header
_PATIENCE = 10.0  # seconds that a live source may take to open, or for a packet
_DEVICES = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}")}
_OTHER_DEVICES = ("dshow", "video={}")  # Windows knows cameras by name


def is_live(name: str) -> bool:
    """Tell whether a name is that of a camera or a live stream, not of a file."""
    protocol, separator, _ = name.partition("://")
    return name.startswith(_CAMERA) or (bool(separator) and protocol.lower() in _ADDRESSES)


def frames(path: Path, every: int = 1) -> Iterator[tuple[int, Frame]]:
    """Decode a video file.

    Args:
        path: of the file.
        every: yield only every so many frames, the first one included.

    Yields:
        Number of the frame, from 0, and its pixels, upright.

    Raises:
        ImageError: the file is not a video, is damaged, or its frames are too large. What was
            yielded before is whole.
        BackendMissing: PyAV is not installed.
    """
    with _opened(path) as container:
        yield from _decode(container, str(path), every)


def count(path: Path, every: int = 1) -> int | None:
    """Return how many frames `frames` will yield, as the file says; None if it does not."""
    with _opened(path) as container:
        said = container.streams.video[0].frames
    return -(-said // every) if said > 0 else None


def size(path: Path) -> tuple[int, int]:
    """Return height and width of the first frame, upright, in pixels.

    Raises:
        ImageError: the file is not a video, or has no frame.
        BackendMissing: PyAV is not installed.
    """
    found = next(frames(path), None)
    if found is None:
        raise ImageError(f"{path} has no frame that can be decoded")
    return found[1].shape[0], found[1].shape[1]


def rate(path: Path) -> Fraction | None:
    """Return the frames a second of a video file, on average; None if it does not say."""
    with _opened(path) as container:
        found = container.streams.video[0].average_rate
    return found if found and 0 < found <= _FASTEST else None


def comment(path: Path) -> str:
    """Return the comment of a video file, empty if it has none.

    Raises:
        ImageError: it is not a video.
        BackendMissing: PyAV is not installed.
    """
    with _opened(path) as container:
        return str(container.metadata.get("comment", ""))


class Camera:
    """A live source. A thread keeps its newest frame; those that nobody takes in time are dropped."""

    def __init__(self, name: str) -> None:
        """Open a camera, ``camera:0``, or an address.

        Raises:
            ImageError: it cannot be opened; says what FFmpeg said.
            BackendMissing: PyAV is not installed.
        """
        self.dropped = 0
        self._name = without_password(name)
        self._container = _open_live(name)
        self._changed = threading.Condition()
        self._newest: tuple[int, Any] | None = None
        self._error: Exception | None = None
        self._started = self._ended = False

    def frames(self, every: int = 1) -> Iterator[tuple[int, Frame]]:
        """Yield the newest frame each time, until the source ends or `close` is called.

        Args:
            every: use only every so many frames of the source. The others are not counted as dropped.

        Raises:
            ImageError: the source failed, or sent nothing for ten seconds.
        """
        with self._changed:
            if self._ended:  # and closed
                return
            self._started = True  # the thread closes the source
        threading.Thread(target=self._keep_newest, args=(every,), daemon=True).start()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._ended)
                newest, self._newest = self._newest, None
            if newest is None:
                break
            yield newest[0], _pixels(newest[1])
        if self._error is not None:
            raise ImageError(f"{self._name} failed: {_reason(self._error)}") from self._error

    def close(self) -> None:
        """Stop after the frame that is being decoded, and release the source; closing twice is harmless."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
            started = self._started
        if not started:
            self._container.close()

    def _keep_newest(self, every: int) -> None:
        try:
            with self._container as container:
                for number, frame in enumerate(container.decode(video=0)):
                    if self._ended:
                        return
                    if number % every == 0:
                        self._offer(number, frame)
        except failures() as error:
            self._error = error
        finally:
            self.close()

    def _offer(self, number: int, frame: Any) -> None:
        with self._changed:
            self.dropped += self._newest is not None
            self._newest = number, frame
            self._changed.notify_all()


def _decode(container: Any, name: str, every: int) -> Iterator[tuple[int, Frame]]:
    number = -1
    try:
        for number, frame in enumerate(container.decode(video=0)):
            if number % every == 0:
                yield number, _pixels(frame)
    except failures() as error:
        raise ImageError(
            f"{name} cannot be decoded after frame {number}: {_reason(error)}. Its frames up to there "
            "are whole; a copy made by FFmpeg may be readable."
        ) from error


def _pixels(frame: Any) -> Frame:
    """Convert a frame to RGB and turn it upright.

    A display matrix turns a frame counter-clockwise, in degrees; cameras of phones store one.
    """
    if frame.width * frame.height > DEFAULT_MAX_PIXELS:
        raise ImageError(
            f"a frame has {frame.height} x {frame.width} pixels (height x width), more than "
            f"{DEFAULT_MAX_PIXELS:,}"
        )
    turns = round(getattr(frame, "rotation", 0) / 90)
    pixels: Frame = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns % 4 else pixels


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a video file; playlists inside it cannot lead to the network."""
    av = load()
    try:
        container = av.open(local(path), options={"protocol_whitelist": "file"})
    except failures() as error:
        raise ImageError(f"{path} cannot be opened as a video: {_reason(error)}") from error
    with container:
        if not container.streams.video:
            raise ImageError(f"{path} has no video stream, only sound or data")
        container.streams.video[0].thread_type = "AUTO"
        yield container


def _open_live(name: str) -> Any:
    av = load()
    where, chosen = name, None
    if name.startswith(_CAMERA):
        chosen, pattern = _DEVICES.get(sys.platform, _OTHER_DEVICES)
        where = pattern.format(name.removeprefix(_CAMERA))
    try:
        container = av.open(where, format=chosen, timeout=_PATIENCE)
    except failures() as error:
        device = "" if where == name else f" as {where}"
        raise ImageError(
            f"{without_password(name)} cannot be opened{device}: {_reason(error)}"
        ) from error
    if not container.streams.video:
        container.close()
        raise ImageError(f"{without_password(name)} has no video stream, only sound or data")
    return container


def without_password(name: str) -> str:
    """Return an address as messages may show it."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", name)


def load() -> Any:
    """Import PyAV.

    Raises:
        BackendMissing: it is not installed; says what to run.
    """
    try:
        import av
    except ImportError as error:
        raise BackendMissing(
            f"Videos and cameras need {missing_package(error)}. Run: {install('video')}"
        ) from error
    return av


def local(path: Path) -> str:
    """Name a file for FFmpeg, which takes what stands before a colon for a protocol."""
    return f"file:{path}"


def failures() -> tuple[type[Exception], ...]:
    """What PyAV raises for a source that cannot be read; some are errors of the system, too."""
    av = load()
    return (av.error.FFmpegError, OSError, ValueError)


def _reason(error: Exception) -> str:
    if type(error).__name__ == "ExitError":  # PyAV's word for a time limit
        return f"it sent nothing for {_PATIENCE:.0f} seconds"
    said = getattr(error, "strerror", None) or str(error)
    return printable(said, 300)
