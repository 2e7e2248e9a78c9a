"""``fastfcn predict`` of a camera or an address: whole files, whoever ends it."""

import http.server
import io
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fastfcn_infer.cli.main import main
from fastfcn_infer.inference.stream import video
from fastfcn_infer.inference.stream.film import Film
from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact

av = pytest.importorskip("av")
WORDS = ["-m", "tiny", "--threads", "1"]


class Frame:
    """A frame of PyAV."""

    width, height = 64, 48

    def __init__(self, number: int) -> None:
        self._number = number

    def to_ndarray(self, format: str) -> NDArray[np.uint8]:
        return np.full((self.height, self.width, 3), self._number % 256, np.uint8)


class Endless:
    """A camera that sends frames until it is closed, or fails after some."""

    def __init__(self, until: int | None = None) -> None:
        self._until = until

    def decode(self, video: int) -> Iterator[Frame]:
        pause = threading.Event()
        number = 0
        while self._until is None or number < self._until:
            yield Frame(number)
            number += 1
            pause.wait(0.002)
        raise OSError("unplugged")

    def __enter__(self) -> "Endless":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny_artifact(tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "_open_live", lambda name: Endless())


def predict(*words: str) -> int:
    return main(["predict", *words, *WORDS])


def interrupt_at(frame: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C while a frame is written."""
    add, count = Film.add, iter(range(1, 10**6))

    def add_and_interrupt(film: Film, *words: Any) -> None:
        add(film, *words)
        if next(count) == frame:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Film, "add", add_and_interrupt)


def test_ctrl_c_leaves_whole_files_and_the_counts(
    here: Path, camera: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt_at(3, monkeypatch)
    before = signal.getsignal(signal.SIGINT)
    assert predict("camera:0", "-o", "out", "--save", "overlay,labels,json", "--json") == 0
    assert signal.getsignal(signal.SIGINT) is before
    report = json.loads(capsys.readouterr().out)
    written = [Path(name) for name in report["written"]]
    assert [path.name for path in written] == [
        "camera_0_overlay.mp4",
        "camera_0_labels",
        "camera_0.json",
    ]
    assert report["frames"] == 3
    assert report["dropped"] >= 0
    assert [frame.pixels.shape for frame in video.frames(written[0])] == [(48, 64, 3)] * 3
    assert len(list(written[1].iterdir())) == 3
    assert json.loads(written[2].read_text())["frames"] == 3
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(p.name for p in written)


def test_a_file_says_how_many_frames_it_has(
    here: Path, camera: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt_at(2, monkeypatch)
    assert predict("camera:0", "-o", "out.mp4", "--fps", "5") == 0
    assert capsys.readouterr().out.startswith("2 frames labelled, ")
    assert video.rate(here / "out.mp4") == 5
    assert predict("camera:0", "-o", "out.mp4") == 2  # exists
    assert "give --force" in capsys.readouterr().err


def test_a_camera_that_fails_is_reported_and_what_came_before_is_kept(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(video, "_open_live", lambda name: Endless(4))
    assert predict("rtsp://me:secret@host:1/x", "-o", "out") == 3
    said = capsys.readouterr()
    assert "rtsp://me:***@host:1/x failed: unplugged" in said.err
    assert "secret" not in said.err + said.out
    assert list((here / "out/host_1_labels").iterdir())


def test_a_time_that_is_up_ends_it(here: Path, camera: None) -> None:
    assert predict("camera:0", "-o", "out.mp4", "--seconds", "0.000001") == 0
    assert 1 <= len(list(video.frames(here / "out.mp4"))) <= 2


class Stalled(Endless):
    """A camera that sends two frames, and then nothing for as long as the test runs."""

    over = threading.Event()

    def decode(self, video: int) -> Iterator[Frame]:
        yield Frame(0)
        yield Frame(1)
        self.over.wait(120)


def test_a_time_is_up_also_where_nothing_comes(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(video, "_open_live", lambda name: Stalled())
    assert predict("camera:0", "-o", "out.mp4", "--seconds", "0.2") == 0
    assert 1 <= len(list(video.frames(here / "out.mp4"))) <= 2
    Stalled.over.set()


def test_classes_have_the_colours_that_are_asked_for(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []
    for palette in ("dataset", "distinct"):
        monkeypatch.setattr(video, "_open_live", lambda name: Endless(1))
        words = ("--save", "labels", "--palette", palette, "--force")
        assert (
            predict("camera:0", "-o", "out", *words) == 3
        )  # it fails after a frame, which is kept
        shown.append(Image.open(here / "out/camera_0_labels/000000.png").getpalette())
    with Segmenter.from_pretrained("tiny", threads=1) as segmenter:
        expected = segmenter.with_palette("distinct").predict(np.zeros((8, 8, 3), np.uint8)).colors
    assert shown[0] != shown[1]
    assert shown[1] is not None
    assert shown[1][: expected.size] == expected.ravel().tolist()


def test_a_stream_on_the_network_ends_where_it_ends(here: Path) -> None:
    data = io.BytesIO()
    with av.open(data, "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(8):
            pixels = np.full((48, 64, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data.getvalue())))
            self.end_headers()
            self.wfile.write(data.getvalue())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            address = f"http://127.0.0.1:{server.server_address[1]}/live.ts"
            assert predict(address, "-o", "out.mp4", "--quiet") == 0
        finally:
            server.shutdown()
    assert 1 <= len(list(video.frames(here / "out.mp4"))) <= 8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("camera:0", "film.mp4", "-o", "out"), "the only source of a run"),
        (("camera:0", "-o", "out", "--resume", "job.jsonl"), "--resume is for files"),
        (("camera:0", "-o", "out", "--dry-run"), "--dry-run is for files"),
        (("camera:0", "-o", "out", "--save", "coco"), "--save coco is for pictures"),
        (("camera:0", "-o", "out.png"), "a file that ends in .mp4 or .json"),
        (("camera:0", "-o", "out", "--seconds", "nan"), "--seconds nan: more than 0 was expected"),
    ],
)
def test_what_makes_no_sense_is_refused(
    words: tuple[str, ...], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(*words) == 2
    assert message in capsys.readouterr().err


def test_a_camera_that_is_missing_is_one_sentence(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("camera:97", "-o", "out.mp4") == 3
    said = capsys.readouterr().err.strip()
    assert "camera:97 cannot be opened" in said
    assert "\n" not in said
    assert not (here / "out.mp4").exists()


def test_without_pyav_the_extra_is_named(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    assert predict("camera:0", "-o", "out.mp4") == 5
    assert "[video]" in capsys.readouterr().err
