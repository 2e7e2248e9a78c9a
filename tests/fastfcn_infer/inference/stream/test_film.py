"""A film has all of its frames, or does not exist."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fastfcn_infer.errors import ImageError, WriteError
from fastfcn_infer.inference.stream import video
from fastfcn_infer.inference.stream.film import Film

av = pytest.importorskip("av")


def grey(
    value: int, height: int = 48, width: int = 64
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize(
    "rate", [Fraction(25), Fraction(30_000, 1001), Fraction(1, 2), Fraction(9.97)]
)
def test_frames_and_their_rate_are_read_back(rate: Fraction, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    values = [20, 90, 160, 230]
    with Film(path, rate) as film:
        for value in values:
            film.add(grey(value))
        assert not path.exists()
    found = [frame.pixels for frame in video.frames(path)]
    assert [
        abs(int(frame.mean()) - value) <= 3 for frame, value in zip(found, values, strict=True)
    ]
    read = video.rate(path)
    assert read is not None
    assert float(read) == pytest.approx(float(rate), rel=1e-3)
    assert [each.name for each in tmp_path.iterdir()] == ["film.mp4"]


@pytest.mark.parametrize("color", [(200, 60, 30), (10, 120, 240)])
@pytest.mark.parametrize("size", [(48, 64), (720, 1280)])
def test_colours_are_written_as_players_read_them(
    color: tuple[int, int, int], size: tuple[int, int], tmp_path: Path
) -> None:
    with Film(tmp_path / "film.mp4", Fraction(10)) as film:
        film.add(np.full((*size, 3), color, np.uint8))
    with av.open(str(tmp_path / "film.mp4")) as container:
        frame = next(container.decode(video=0))
    assert (frame.colorspace, frame.color_range) == (1, 1)  # BT.709, limited
    red, green, blue = np.array(color) / 255
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    expected = (
        16 + 219 * light,
        128 + 224 * (blue - light) / 1.8556,
        128 + 224 * (red - light) / 1.5748,
    )
    found = [bytes(plane)[0] for plane in frame.planes]
    assert found == pytest.approx(expected, abs=2)


def test_frames_that_say_when_they_are_shown_are_shown_then(tmp_path: Path) -> None:
    times = [0, 1001 / 30_000, 0.5, 0.5, 3.25]  # two of one time come one after the other
    with Film(tmp_path / "film.mp4", Fraction(30)) as film:
        for value, time in enumerate(times):
            film.add(grey(50 * value), time)
    found = [frame.time for frame in video.frames(tmp_path / "film.mp4")]
    assert found == pytest.approx(times, abs=1e-3)


def test_odd_sides_grow_by_a_pixel(tmp_path: Path) -> None:
    with Film(tmp_path / "film.mp4", Fraction(10)) as film:
        film.add(grey(99, 47, 63))
    (found,) = video.frames(tmp_path / "film.mp4")
    frame = found.pixels
    assert frame.shape == (48, 64, 3)
    assert abs(int(frame[-1, -1, 0]) - 99) <= 3


def test_after_an_error_the_old_film_is_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"older")
    with (
        pytest.raises(ValueError, match=r"48 x 66 pixels .height x width., the first one 48 x 64"),
        Film(path, Fraction(10)) as film,
    ):
        film.add(grey(1))
        film.add(grey(1, 48, 66))
    assert path.read_bytes() == b"older"
    assert [each.name for each in tmp_path.iterdir()] == ["film.mp4"]


def test_a_film_of_no_frame_is_not_written(tmp_path: Path) -> None:
    with Film(tmp_path / "film.mp4", Fraction(10)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_film_that_cannot_be_begun_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ValueError("no container format 'mp4'")

    monkeypatch.setattr(video.load(), "open", refuse)
    with pytest.raises(ImageError, match=r"film\.mp4 cannot be encoded: no container format"):
        Film(tmp_path / "film.mp4", Fraction(10))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_an_error_that_names_the_film(tmp_path: Path) -> None:
    path = tmp_path / "none" / "film.mp4"
    with (
        pytest.raises(WriteError, match=r"none/film\.mp4 cannot be written"),
        Film(path, Fraction(10)) as film,
    ):
        film.add(grey(1))
