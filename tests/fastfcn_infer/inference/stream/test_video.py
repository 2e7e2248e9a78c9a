"""Frames of videos are those that were encoded; live sources drop frames and count them."""

import signal
import struct
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.errors import BackendMissing, ImageError
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.inference.stream import video
from fastfcn_infer.inference.stream.source import open_source
from fastfcn_infer.inference.stream.stream import Decoded, Failed, OnError, Steps, Stream

av = pytest.importorskip("av")
FRAMES = [
    np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8) for seed in range(10)
]
Frame = NDArray[np.uint8]


def film(
    path: Path, frames: list[Frame], codec: str = "ffv1", stamps: list[int] | None = None
) -> Path:
    """Write ten frames a second, without loss as FFV1, or each at its own time in milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25 if codec == "mpeg2video" else 10)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        if stamps is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index, frame in enumerate(frames):
            coded = av.VideoFrame.from_ndarray(frame, format="rgb24")
            if stamps is not None:
                coded.pts, coded.time_base = stamps[index], Fraction(1, 1000)
            container.mux(stream.encode(coded))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("every", [1, 3, 20])
def test_frames_are_those_that_were_written_with_their_numbers(every: int, tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", FRAMES)
    found = list(video.frames(path, every))
    assert [frame.number for frame in found] == list(range(0, len(FRAMES), every))
    assert all(np.array_equal(frame.pixels, FRAMES[frame.number]) for frame in found)


def test_a_video_is_a_source_of_its_frames(tmp_path: Path) -> None:
    path = film(tmp_path / "film.MKV", FRAMES)
    items = list(open_source(path, every=4).items)
    assert [(item.source, item.frame) for item in items] == [(str(path), n) for n in (0, 4, 8)]


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    for data in (b"", b"#EXTM3U\nhttp://127.0.0.1:1/a.ts\n", b"rubbish" * 100):
        path.write_bytes(data)
        with pytest.raises(ImageError, match=r"film\.mp4 cannot be opened as a video"):
            open_source(path)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(ImageError, match="no video stream"):
        open_source(path)


@pytest.mark.parametrize(
    ("name", "says"), [("film.mkv", "takes 1.00 s by its header"), ("film.avi", "has 10 frames")]
)
def test_of_a_video_that_is_cut_off_whole_frames_come_first_and_then_an_error(
    name: str, says: str, tmp_path: Path
) -> None:
    path = film(tmp_path / name, FRAMES)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 5])
    found, equal = [], []
    with pytest.raises(ImageError, match=f"{says}.* it is cut off or damaged"):
        for frame in video.frames(path):
            found.append(frame.number)
            equal.append(np.array_equal(frame.pixels, FRAMES[frame.number]))
    assert found == list(range(len(found)))
    assert all(equal[:-1])  # FFmpeg may show what there is of the one that is cut
    assert 4 <= len(found) < len(FRAMES)


def trim(path: Path, milliseconds: int) -> None:
    """Show only the beginning of an MP4 file, as phones trim one: all frames stay in it."""
    data = bytearray(path.read_bytes())
    struct.pack_into(
        ">I", data, data.index(b"elst") + 12, milliseconds
    )  # of a movie of 1000 ticks a second
    path.write_bytes(data)


def test_a_video_that_a_phone_trimmed_is_whole(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", FRAMES, codec="mpeg4")
    assert video.count(path) == 10
    trim(path, 400)
    assert video.count(path) is None  # the header counts those that are not shown, too
    assert [frame.number for frame in video.frames(path)] == [0, 1, 2, 3]


def test_a_video_without_a_frame_is_an_error(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "film.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        container.start_encoding()
    with pytest.raises(ImageError, match=r"film\.avi has no frame"):
        next(video.frames(tmp_path / "film.avi"))


@pytest.mark.parametrize("on_error", ["return", "skip", "raise"])
def test_a_video_that_is_cut_off_is_an_error_as_that_of_a_picture(
    on_error: OnError, tmp_path: Path
) -> None:
    path = film(tmp_path / "film.avi", FRAMES)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 5])
    steps = Steps(
        lambda given: np.asarray(given), lambda given: [_labelled(given[0])], lambda _: 1
    )
    found = []
    with Stream(open_source(path), steps, on_error=on_error) as stream:
        try:
            for one in stream:
                found.append(one)
        except ImageError:
            assert on_error == "raise"
    assert stream.failed == 1
    failed = [one for one in found if isinstance(one, Failed)]
    assert failed == (found[-1:] if on_error == "return" else [])
    assert [one.frame for one in found if isinstance(one, Segmentation)] == list(
        range(stream.done)
    )
    assert stream.done >= 4


def _labelled(given: Decoded) -> Segmentation:
    labels = np.zeros(given.size, np.uint8)
    colors = np.zeros((1, 3), np.uint8)
    return Segmentation(labels, ("road",), colors, given.pixels, frame=given.item.frame)


def test_damaged_frames_are_counted_in_a_warning(tmp_path: Path) -> None:
    path = film(tmp_path / "film.avi", FRAMES, codec="mpeg4")
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 3, len(data) // 2, 40):
        data[place] ^= 0x55
    path.write_bytes(data)
    with pytest.warns(RuntimeWarning, match=r"film\.avi has damaged frames, [1-9] of 10"):
        assert len(list(video.frames(path))) == 10


STAMPS = [0, 40, 90, 1000, 1040, 3000]  # milliseconds


def test_each_frame_says_when_it_is_shown_also_where_they_are_not_evenly_spaced(
    tmp_path: Path,
) -> None:
    path = film(tmp_path / "film.mkv", FRAMES[:6], stamps=STAMPS)
    found = [frame.time for frame in video.frames(path)]
    assert found == pytest.approx([stamp / 1000 for stamp in STAMPS])
    assert [frame.time for frame in video.frames(path, every=3)] == pytest.approx([0, 1.0])


def test_time_goes_on_where_time_stamps_start_again(tmp_path: Path) -> None:
    parts = [film(tmp_path / f"{n}.ts", FRAMES[:5], codec="mpeg2video").read_bytes() for n in "ab"]
    (tmp_path / "both.ts").write_bytes(b"".join(parts))
    found = [frame.time for frame in video.frames(tmp_path / "both.ts")]
    assert len(found) >= 9
    steps = np.diff(np.array(found, np.float64))
    assert ((steps > 0) & (steps < 0.2)).all()


class Coded:
    """A frame as PyAV gives it, with a display matrix."""

    def __init__(self, pixels: Frame, rotation: int = 0) -> None:
        self.rotation, self._pixels = rotation, pixels
        self.height, self.width = pixels.shape[:2]

    def to_ndarray(self, format: str) -> Frame:
        assert format == "rgb24"
        return self._pixels


@pytest.mark.parametrize(
    ("rotation", "corner"), [(0, (0, 0)), (90, (-1, 0)), (-90, (0, -1)), (180, (-1, -1))]
)
def test_a_frame_is_turned_counter_clockwise_by_its_rotation(
    rotation: int, corner: tuple[int, int]
) -> None:
    marked = np.zeros((4, 6, 3), np.uint8)
    marked[0, 0] = 255  # where it comes to lie when the picture is turned
    found = video._pixels(Coded(marked, rotation))
    assert found.shape == ((4, 6, 3) if rotation % 180 == 0 else (6, 4, 3))
    assert found[corner].tolist() == [255, 255, 255]
    assert found.sum() == 3 * 255


class Live:
    """A source that sends a frame whenever the test says so, and then fails or ends."""

    def __init__(self, count: int, failure: Exception | None = None) -> None:
        self.go, self.sent = threading.Semaphore(0), threading.Semaphore(0)
        self._count, self._failure = count, failure
        self.closed = False

    def close(self) -> None:
        self.closed = True

    def decode(self, video: int) -> Iterator[Coded]:
        for number in range(self._count):
            self.go.acquire()
            yield Coded(np.full((2, 2, 3), number, np.uint8))
            self.sent.release()
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> "Live":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None
    ) -> None:
        pass

    def send(self, count: int) -> None:
        for _ in range(count):
            self.go.release()
            self.sent.acquire()


def camera(live: Live, monkeypatch: pytest.MonkeyPatch) -> video.Camera:
    monkeypatch.setattr(video, "_open_live", lambda name: live)
    return video.Camera("camera:0")


def test_a_camera_gives_its_newest_frame_and_counts_those_it_drops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live = Live(9)
    opened = camera(live, monkeypatch)
    frames = opened.frames()
    live.go.release()
    assert next(frames).number == 0
    live.sent.acquire()
    live.send(5)  # while the caller is busy
    newest = next(frames)
    assert newest.number == 5
    assert newest.pixels.max() == 5
    assert opened.dropped == 4
    live.send(3)
    assert [frame.number for frame in frames] == [8]
    assert opened.dropped == 6


def test_a_camera_that_fails_says_so_after_its_last_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live(1, OSError("unplugged"))
    frames = camera(live, monkeypatch).frames()
    live.send(0)
    live.go.release()
    assert next(frames).number == 0
    with pytest.raises(ImageError, match="camera:0 failed: unplugged"):
        next(frames)


def test_a_camera_that_is_closed_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live(5)
    opened = camera(live, monkeypatch)
    frames = opened.frames()
    live.go.release()
    next(frames)
    opened.close()
    assert list(frames) == []
    live.go.release(4)


def test_a_camera_of_which_nobody_wanted_a_frame_is_released(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live = Live(5)
    opened = camera(live, monkeypatch)
    frames = opened.frames()
    opened.close()
    assert live.closed
    assert list(frames) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("camera:98", ".*"),
        ("rtsp://127.0.0.1:1/x", "Connection refused"),
        ("RTSP://127.0.0.1:1/x", "Connection refused"),
        ("http://127.0.0.1:1/x", "Connection refused"),
    ],
)
def test_a_live_source_that_cannot_be_opened_is_an_error_at_once(name: str, reason: str) -> None:
    with pytest.raises(ImageError, match=f"{name} cannot be opened.*: {reason}"):
        open_source(name)


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="cameras have names there")
@pytest.mark.parametrize("name", ["camera:", "camera:x", "camera:-1", "camera:../../film.mp4"])
def test_a_camera_has_a_number(name: str) -> None:
    with pytest.raises(ImageError, match=f"{name} is no camera; its number was expected"):
        open_source(name)


def test_ctrl_c_does_not_wait_for_a_server_that_says_nothing() -> None:
    opening, closed = threading.Event(), threading.Event()

    class Container:
        def close(self) -> None:
            closed.set()

    def answer() -> Container:
        assert opening.wait(60)
        return Container()

    threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        video._interruptible(answer)
    opening.set()  # it answers in the end
    assert closed.wait(60)


def test_without_pyav_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", FRAMES)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(BackendMissing, match=r"Videos and cameras need .*video"):
        open_source(path)
