"""Frames of video files and of live cameras, through PyAV (extra ``video``)."""

import re
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
from fastfcn_infer.system.warn import warn

SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".wmv", ".flv", ".ogv", ".3gp", ".mjpeg", ".mjpg"),
)

_CAMERA = "camera:"
_ADDRESSES = ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "udp", "tcp", "http", "https")
_STEP = 0.04  # seconds between frames, where a video does not say it
_FASTEST = 1000  # frames a second; more is a wrong header
_PATIENCE = 10.0  # seconds that a live source may take to open, or for a packet
_FRAMES_SHORT = 2  # that headers count and no decoder gives
_SECONDS_SHORT = 0.1  # by which videos end before their headers say so
_LONGEST_GAP = 600.0  # seconds between two frames; after more, or less than 0, clocks start again
_TICK = 0.1  # seconds
_DEVICES = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}")}
_OTHER_DEVICES = ("dshow", "video={}")  # Windows knows cameras by name


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of a video.

    Args:
        number: in the video, from 0.
        pixels: (H, W, 3) RGB, upright.
        time: seconds since the first frame; None of a live source.
    """

    number: int
    pixels: NDArray[np.uint8]
    time: float | None = None


def is_live(name: str) -> bool:
    """Tell whether a name is that of a camera or a live stream, not of a file."""
    protocol, separator, _ = name.partition("://")
    return name.startswith(_CAMERA) or (bool(separator) and protocol.lower() in _ADDRESSES)


def frames(path: Path, every: int = 1) -> Iterator[Frame]:
    """Decode a video file. Warns of frames that are damaged, whose missing parts the decoder made up.

    Args:
        path: of the file.
        every: yield only every so many frames, the first one included.

    Raises:
        ImageError: the file is not a video, has no frame, is damaged, ends before its header says so, or
            its frames are too large. What was yielded before is there to be used.
        BackendMissing: PyAV is not installed.
    """
    with _opened(path) as container:
        yield from _decode(container, str(path), every)


def count(path: Path, every: int = 1) -> int | None:
    """Return how many frames `frames` will yield, as the file says; None if it does not."""
    with _opened(path) as container:
        said = _frames_said(container)
    return None if said is None else -(-said // every)


def size(path: Path) -> tuple[int, int]:
    """Return height and width of the first frame, upright, in pixels.

    Raises:
        ImageError: the file is not a video, or has no frame.
        BackendMissing: PyAV is not installed.
    """
    pixels = next(frames(path)).pixels
    return pixels.shape[0], pixels.shape[1]


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
        self._container = _interruptible(lambda: _open_live(name))
        self._changed = threading.Condition()
        self._newest: tuple[int, Any] | None = None
        self._error: Exception | None = None
        self._started = self._ended = False

    def frames(self, every: int = 1) -> Iterator[Frame]:
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
            yield Frame(newest[0], _pixels(newest[1]))
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


def _decode(container: Any, name: str, every: int) -> Iterator[Frame]:
    number, damaged, clock, frame = -1, 0, _Clock(container), None
    try:
        for number, frame in enumerate(container.decode(video=0)):
            time = clock.tell(frame)
            if number % every == 0:
                damaged += frame.is_corrupt
                yield Frame(number, _pixels(frame), time)
    except failures() as error:
        raise ImageError(
            f"{name} cannot be decoded after frame {number}: {_reason(error)}. A copy made by FFmpeg may be "
            "readable."
        ) from error
    _check_end(container, name, number + 1, frame)
    if damaged:
        warn(
            f"{name} has damaged frames, {damaged} of {number + 1}. The decoder made up what is missing of "
            "them, so their labels may be wrong."
        )


class _Clock:
    """Tells the time of each frame, since the first one; goes on where the time stamps start again."""

    def __init__(self, container: Any) -> None:
        rate = container.streams.video[0].average_rate
        self._step = float(1 / rate) if rate and 0 < rate <= _FASTEST else _STEP
        self._stamp: float | None = None  # of the frame before, as the file has it
        self._time: float | None = None

    def tell(self, frame: Any) -> float:
        """Return the seconds between the first frame and this one."""
        before, self._stamp = self._stamp, frame.time
        if self._time is None:
            self._time = 0.0
            return self._time
        passed = None if before is None or frame.time is None else frame.time - before
        self._time += passed if passed and 0 < passed <= _LONGEST_GAP else self._step
        return self._time


def _check_end(container: Any, name: str, found: int, last: Any) -> None:
    """Refuse a video that ends before its header says so.

    Args:
        container: of the video, read to its end.
        name: of the file.
        found: frames that were decoded.
        last: the last one of them.

    Raises:
        ImageError: frames are missing.
    """
    if not found:
        raise ImageError(f"{name} has no frame that can be decoded: it is empty or damaged")
    stream, said = container.streams.video[0], _frames_said(container)
    short = (
        f"it is cut off or damaged. A copy made by FFmpeg has the {found} frames that are there."
    )
    if said is not None and found < said - _FRAMES_SHORT:
        raise ImageError(
            f"{name} has {said} frames by its header, and {found} could be decoded: {short}"
        )
    seconds = _seconds_said(container)
    if said is not None or seconds is None or last.time is None:
        return
    step = float(1 / stream.average_rate) if stream.average_rate else 0.0
    ends = last.time + step - float((stream.start_time or 0) * stream.time_base)
    if ends < seconds - _SECONDS_SHORT - _FRAMES_SHORT * step:
        raise ImageError(
            f"{name} takes {seconds:.2f} s by its header, and ends after {ends:.2f} s: {short}"
        )


def _frames_said(container: Any) -> int | None:
    """Return the number of frames in a header; None where it has none, or that of more than is shown.

    Phones trim a video by a list of what to show, and leave all frames in the file.
    """
    stream = container.streams.video[0]
    said = stream.frames
    if said <= 0:
        return None
    seconds = _seconds_said(container)
    if seconds is None or not stream.average_rate:
        return int(said)
    trimmed = seconds * stream.average_rate < said - _FRAMES_SHORT
    return None if trimmed else int(said)


def _seconds_said(container: Any) -> float | None:
    """Return the length that the header gives the video alone; sound may be longer.

    Of other formats FFmpeg estimates it from what is there.
    """
    stream, kind = container.streams.video[0], container.format.name
    if "mov" in kind and stream.duration:
        return float(stream.duration * stream.time_base)
    if "matroska" in kind:
        tag = re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", stream.metadata.get("DURATION", ""))
        if tag is not None:
            return 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3])
    return None


def _pixels(frame: Any) -> NDArray[np.uint8]:
    """Convert a frame to RGB and turn it upright.

    A display matrix turns a frame counter-clockwise, in degrees; cameras of phones store one.
    """
    if frame.width * frame.height > DEFAULT_MAX_PIXELS:
        raise ImageError(
            f"a frame has {frame.height} x {frame.width} pixels (height x width), more than "
            f"{DEFAULT_MAX_PIXELS:,}"
        )
    turns = round(getattr(frame, "rotation", 0) / 90)
    pixels: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
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


def _interruptible(open_source: Callable[[], Any]) -> Any:
    """Open a source in another thread, as Ctrl-C does not reach FFmpeg while it waits for a server."""
    opened: Future[Any] = Future()

    def work() -> None:
        try:
            opened.set_result(open_source())
        except BaseException as error:  # noqa: BLE001 - raised where the caller waits
            opened.set_exception(error)

    threading.Thread(target=work, name="fastfcn-open", daemon=True).start()
    try:
        while not opened.done():
            wait([opened], timeout=_TICK)  # a signal is seen between two looks, on every system
        return opened.result()
    except KeyboardInterrupt:
        opened.add_done_callback(_close)
        raise


def _close(opened: "Future[Any]") -> None:
    with suppress(Exception):
        opened.result().close()


def _open_live(name: str) -> Any:
    av = load()
    protocol, separator, rest = name.partition("://")
    where, chosen = protocol.lower() + separator + rest, None
    if name.startswith(_CAMERA):
        chosen, pattern = _DEVICES.get(sys.platform, _OTHER_DEVICES)
        number = name.removeprefix(_CAMERA)
        if pattern != _OTHER_DEVICES[1] and not number.isdecimal():
            raise ImageError(f"{name} is no camera; its number was expected, such as {_CAMERA}0")
        where = pattern.format(number)
    try:
        container = av.open(where, format=chosen, timeout=_PATIENCE)
    except failures() as error:
        device = f" as {where}" if chosen else ""
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
