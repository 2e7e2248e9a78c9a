"""Many pictures have the labels of each by itself, in order, whatever fails and whoever stops."""

import gc
import io
import os
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.errors import BackendError, ImageError
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.inference.stream.stream import Failed, Stream
from fastfcn_infer.runtime.backend import Backend, open_backend
from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact, tiny_model

SIZES = [(64, 96), (40, 56), (64, 96), (33, 33), (64, 96), (40, 56), (50, 70)]
Picture = NDArray[np.uint8]


class Picky:
    """A backend that refuses batches with a picture that begins with white, and remembers shapes."""

    def __init__(self, backend: Backend) -> None:
        self.facts, self.close, self._run = backend.facts, backend.close, backend.run
        self.shapes: list[tuple[int, ...]] = []

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        self.shapes.append(batch.shape)
        if (batch[:, :, 0, 0].min(axis=1) > 0.99).any():
            raise BackendError("too bright")
        return self._run(batch)


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Picky]:
    tiny_artifact(tmp_path / "tiny", tiny_model(5))
    opened = Picky(open_backend("auto", open_artifact(tmp_path / "tiny"), device="cpu", threads=1))
    yield opened
    opened.close()


@pytest.fixture
def segmenter(backend: Picky, tmp_path: Path) -> Segmenter:
    return Segmenter(open_artifact(tmp_path / "tiny"), backend)


def picture(seed: int, size: tuple[int, int]) -> Picture:
    small = np.random.default_rng(seed).integers(0, 200, (6, 8, 3), np.uint8)
    grown = cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.minimum(np.asarray(grown, np.uint8), 250)


PICTURES = [picture(seed, size) for seed, size in enumerate(SIZES)]
WHITE = np.full((64, 96, 3), 255, np.uint8)


def workers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith("fastfcn-stream")]


@pytest.mark.parametrize("procedure", [None, "tiles", "paddleseg-ms-flip"])
def test_labels_are_those_of_each_picture_by_itself_in_order(
    procedure: str | None, segmenter: Segmenter
) -> None:
    found = segmenter.predict_batch(PICTURES, procedure)
    assert len(found) == len(PICTURES)
    for one, given in zip(found, PICTURES, strict=True):
        alone = segmenter.predict(given, procedure)
        assert isinstance(one, Segmentation)
        assert np.array_equal(one.labels, alone.labels)
        assert np.array_equal(one.picture, given)
        assert one.provenance == alone.provenance
        assert set(one.timings) == {"decode", "preprocess", "network", "labels"}


def test_pictures_of_equal_size_share_calls(
    segmenter: Segmenter, backend: Picky, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, taken, real = threading.Event(), threading.Event(), backend.run

    def run(batch: NDArray[Any]) -> NDArray[Any]:
        began.set()
        assert taken.wait(60)
        return real(batch)

    def pictures() -> Iterator[Picture]:
        yield PICTURES[0]
        assert began.wait(60)
        yield from PICTURES[1:]  # read while the first one is labelled
        taken.set()

    monkeypatch.setattr(backend, "run", run)
    assert len(segmenter.predict_batch(pictures())) == len(SIZES)
    assert len(backend.shapes) == 1 + len(set(SIZES[1:]))
    assert sum(shape[0] for shape in backend.shapes) == len(SIZES)


def test_results_name_their_files(segmenter: Segmenter, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, one in enumerate(PICTURES):
        cv2.imwrite(str(folder / f"{index}.png"), one[..., ::-1])
    with segmenter.stream(folder) as stream:
        found = [one for one in stream if isinstance(one, Segmentation)]
        assert stream.count == stream.done == len(PICTURES)
    assert [one.source for one in found] == [
        str(folder / f"{i}.png") for i in range(len(PICTURES))
    ]
    assert segmenter.predict(folder / "0.png").source == str(folder / "0.png")
    assert segmenter.predict(PICTURES[0]).source is None


@pytest.mark.parametrize("bad", [b"rubbish", WHITE, "missing.png"])
def test_a_bad_picture_fails_alone_and_in_its_place(bad: Any, segmenter: Segmenter) -> None:
    given = [*PICTURES[:3], bad, *PICTURES[3:]]
    found = segmenter.predict_batch(given, on_error="return")
    assert [isinstance(one, Failed) for one in found] == [False] * 3 + [True] + [False] * 4
    failed = found[3]
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, ImageError | BackendError)
    assert failed.source == ("missing.png" if isinstance(bad, str) else None)
    assert len(segmenter.predict_batch(given, on_error="skip")) == len(PICTURES)


def test_an_error_is_raised_after_the_pictures_before_it_and_ends_the_stream(
    segmenter: Segmenter,
) -> None:
    stream = segmenter.stream([*PICTURES[:3], b"rubbish", PICTURES[3]])
    for _ in range(3):
        assert isinstance(next(stream), Segmentation)
    with pytest.raises(ImageError, match="not a picture"):
        next(stream)
    assert list(stream) == []
    assert workers() == []


@pytest.mark.parametrize("error", [ZeroDivisionError("of the caller"), SystemExit(3)])
def test_what_the_callers_iterable_raises_comes_after_its_pictures(
    error: BaseException, segmenter: Segmenter
) -> None:
    def pictures() -> Iterator[Picture]:
        yield from PICTURES[:2]
        raise error

    stream = segmenter.stream(pictures(), on_error="skip")
    assert [next(stream), next(stream)]
    with pytest.raises(type(error)):
        next(stream)
    assert list(stream) == []


class Broken:
    """A file whose reading fails as no file of ours would."""

    def read(self) -> bytes:
        raise RuntimeError("broken")


def test_whatever_is_wrong_with_a_picture_takes_no_other_with_it(segmenter: Segmenter) -> None:
    found = segmenter.predict_batch([*PICTURES[:3], Broken(), PICTURES[3]], on_error="return")
    assert [type(one).__name__ for one in found] == ["Segmentation"] * 3 + [
        "Failed",
        "Segmentation",
    ]
    assert isinstance(found[3], Failed)
    assert str(found[3].error) == "broken"


def test_a_source_may_lend_its_pictures(segmenter: Segmenter, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), PICTURES[0][..., ::-1])

    def lent() -> Iterator[Any]:
        buffer = np.empty_like(PICTURES[0])
        for one in (PICTURES[0], PICTURES[2], PICTURES[4]):
            buffer[:] = one
            yield buffer
        with (tmp_path / "a.png").open("rb") as file:
            yield file
        with Image.open(tmp_path / "a.png") as image:
            yield image

    for one, given in zip(segmenter.stream(lent()), (0, 2, 4, 0, 0), strict=True):
        assert isinstance(one, Segmentation)
        assert np.array_equal(one.picture, PICTURES[given])
        assert np.array_equal(one.labels, segmenter.predict(PICTURES[given]).labels)


def test_a_source_that_waits_for_a_result_gets_it(segmenter: Segmenter) -> None:
    done = threading.Semaphore(0)

    def one_by_one() -> Iterator[Picture]:
        for one in PICTURES:
            yield one
            assert done.acquire(timeout=60)

    count = 0
    for _ in segmenter.stream(one_by_one()):
        count += 1
        done.release()
    assert count == len(PICTURES)


def test_a_source_that_waits_for_ever_does_not_keep_the_stream_open(segmenter: Segmenter) -> None:
    never = threading.Event()

    def waiting() -> Iterator[Picture]:
        yield PICTURES[0]
        never.wait()

    with segmenter.stream(waiting()) as stream:
        next(stream)
    assert workers() == []
    assert list(stream) == []
    never.set()


@pytest.mark.parametrize(
    "given",
    [
        "a.png",
        b"x",
        Path("a.png"),
        WHITE,
        WHITE[..., 0],
        io.BytesIO(b"x"),
        Image.new("RGB", (8, 8)),
    ],
)
def test_a_batch_of_one_picture_is_refused_as_no_batch(given: Any, segmenter: Segmenter) -> None:
    with pytest.raises(TypeError, match="one picture; an iterable of pictures was expected"):
        segmenter.predict_batch(given)


@pytest.mark.parametrize("given", [None, 3, {"a": WHITE}])
def test_what_is_no_iterable_of_pictures_is_no_batch(given: Any, segmenter: Segmenter) -> None:
    with pytest.raises(TypeError, match="an iterable of pictures was expected, such as a list"):
        segmenter.predict_batch(given)


def test_arrays_of_pictures_and_of_paths_are_batches(segmenter: Segmenter, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), PICTURES[0][..., ::-1])
    expected = segmenter.predict(PICTURES[0]).labels
    for given in (PICTURES[0][None], np.array([str(tmp_path / "a.png")])):
        (found,) = segmenter.predict_batch(given)
        assert isinstance(found, Segmentation)
        assert np.array_equal(found.labels, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_is_told_that_the_stream_is_not_its_own(segmenter: Segmenter) -> None:
    with segmenter.stream(iter(PICTURES)) as stream:
        next(stream)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                next(stream)
            except BackendError as error:
                os.write(write, str(error).encode())
            finally:
                os._exit(0)
        os.close(write)
        with open(read, "rb") as said:  # noqa: PTH123 - a descriptor
            assert b"opened before a fork" in said.read()
        os.waitpid(child, 0)
        assert len(list(stream)) == len(PICTURES) - 1


def test_frames_that_are_smoothed_are_compared_whatever_they_come_from(
    segmenter: Segmenter,
) -> None:
    frames = [picture(seed, (64, 96)) for seed in range(4)]
    with segmenter.stream(frames, smooth=0.3) as stream:
        labels = [found.labels for found in stream if isinstance(found, Segmentation)]
    pairs = pairwise(labels)
    assert stream.flicker == pytest.approx(np.mean([np.mean(a != b) for a, b in pairs]))
    with segmenter.stream(frames) as stream:  # pictures, which have nothing to do with each other
        assert len(list(stream)) == len(frames)
    assert stream.flicker is None


def test_windows_of_a_frame_of_another_size_are_not_averaged_with_those_before(
    segmenter: Segmenter,
) -> None:
    wide, high = picture(1, (500, 700)), picture(2, (700, 500))
    found = list(segmenter.stream([wide, high], "tiles", smooth=0.9))[1]
    assert isinstance(found, Segmentation)
    assert np.array_equal(found.labels, segmenter.predict(high, "tiles").labels)


@pytest.mark.parametrize("leave", [Stream.close, lambda stream: stream.__exit__(None, None, None)])
def test_a_stream_that_is_closed_takes_no_more_pictures(
    leave: Callable[[Stream], None], segmenter: Segmenter
) -> None:
    taken = 0

    def endless() -> Iterator[Picture]:
        nonlocal taken
        while True:
            taken += 1
            yield PICTURES[taken % 2]

    stream = segmenter.stream(endless())
    next(stream)
    leave(stream)
    assert workers() == []
    assert taken < 64  # a few batches, however slow the caller is
    assert list(stream) == []
    stream.close()


def test_a_stream_that_is_forgotten_stops_by_itself(segmenter: Segmenter) -> None:
    for _ in segmenter.stream(iter(PICTURES * 50)):
        break
    gc.collect()
    for thread in workers():
        thread.join(timeout=60)
    assert workers() == []


def test_two_streams_at_a_time_do_not_mix(segmenter: Segmenter) -> None:
    pairs = zip(segmenter.stream(PICTURES), segmenter.stream(PICTURES[::-1]), strict=True)
    for index, (one, other) in enumerate(pairs):
        assert isinstance(one, Segmentation)
        assert isinstance(other, Segmentation)
        assert np.array_equal(one.picture, PICTURES[index])
        assert np.array_equal(other.labels, segmenter.predict(PICTURES[-1 - index]).labels)


@pytest.mark.parametrize(
    "options", [{"on_error": "ignore"}, {"depth": 4}, {"color": "grb"}, {"procedure": "tilez"}]
)
def test_wrong_options_are_refused_before_a_picture_is_taken(
    options: dict[str, Any], segmenter: Segmenter
) -> None:
    taken: list[Picture] = []

    def pictures() -> Iterator[Picture]:
        for one in PICTURES:
            taken.append(one)
            yield one

    with pytest.raises(ValueError, match=str(next(iter(options.values())))):
        segmenter.stream(pictures(), **options)
    assert workers() == []
    assert taken == []
