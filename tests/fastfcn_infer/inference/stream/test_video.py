"""Frames of videos are those that were encoded; live sources drop frames and count them."""

import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.errors import BackendMissing, ImageError
from fastfcn_infer.inference.stream import video
from fastfcn_infer.inference.stream.source import open_source

av = pytest.importorskip("av")
FRAMES = [
    np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8) for seed in range(10)
]
Frame = NDArray[np.uint8]


def film(path: Path, frames: list[Frame]) -> Path:
    """Write frames without loss: FFV1 in Matroska."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "bgr0"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("every", [1, 3, 20])
def test_frames_are_those_that_were_written_with_their_numbers(every: int, tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", FRAMES)
    found = list(video.frames(path, every))
    assert [number for number, _ in found] == list(range(0, len(FRAMES), every))
    assert all(np.array_equal(frame, FRAMES[number]) for number, frame in found)


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


def test_of_a_video_that_is_cut_off_whole_frames_come_first(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", FRAMES)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    found = []
    try:
        for number, frame in video.frames(path):
            found.append(number)
            assert np.array_equal(frame, FRAMES[number])
    except ImageError as error:
        assert f"cannot be decoded after frame {found[-1]}" in str(error)
    assert found == list(range(len(found)))
    assert 4 <= len(found) < len(FRAMES)


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
    assert next(frames)[0] == 0
    live.sent.acquire()
    live.send(5)  # while the caller is busy
    number, pixels = next(frames)
    assert number == 5
    assert pixels.max() == 5
    assert opened.dropped == 4
    live.send(3)
    assert [number for number, _ in frames] == [8]
    assert opened.dropped == 6


def test_a_camera_that_fails_says_so_after_its_last_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live(1, OSError("unplugged"))
    frames = camera(live, monkeypatch).frames()
    live.send(0)
    live.go.release()
    assert next(frames)[0] == 0
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


@pytest.mark.parametrize("name", ["camera:98", "rtsp://127.0.0.1:1/x", "http://127.0.0.1:1/x"])
def test_a_live_source_that_cannot_be_opened_is_an_error_at_once(name: str) -> None:
    with pytest.raises(ImageError, match=f"{name} cannot be opened"):
        open_source(name)


def test_without_pyav_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", FRAMES)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(BackendMissing, match=r"Videos and cameras need .*video"):
        open_source(path)
