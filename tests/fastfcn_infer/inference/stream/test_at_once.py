"""On a GPU several batches of a stream are in work; labels, order and failures stay the same."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.errors import BackendError
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.inference.stream.stream import Failed
from fastfcn_infer.runtime.backend import RuntimeFacts
from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact, tiny_model, tiny_output

MODEL = tiny_model(5)


class Gpu:
    """Says that it is one; where that is asked its first call waits until another one is in progress."""

    def __init__(self, threads: int, *, in_pairs: bool = False) -> None:
        self.facts = RuntimeFacts("onnx_runtime", "none", "cuda", threads, {})
        self.turn, self.calls = threading.Condition(), 0 if in_pairs else 2

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        with self.turn:
            self.calls += 1
            self.turn.notify_all()
            if not self.turn.wait_for(lambda: self.calls >= 2, timeout=20):
                raise BackendError("alone")
        if (batch[:, :, 0, 0].min(axis=1) > 0.99).any():
            raise BackendError("too bright")
        return tiny_output(batch, len(MODEL.classes))

    def close(self) -> None:
        pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_artifact(tmp_path / "tiny", MODEL)
    return tmp_path / "tiny"


def pictures(count: int) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 200, (40, 40 + 8 * (n % 3), 3), np.uint8) for n in range(count)]


def test_results_and_failures_keep_their_places(folder: Path) -> None:
    given = pictures(50)
    given[17] = np.full((40, 40, 3), 255, np.uint8)
    given[30] = np.zeros((3, 3, 3, 3), np.uint8)
    segmenter = Segmenter(open_artifact(folder), Gpu(threads=4))
    found = segmenter.predict_batch(given, on_error="return")
    assert [index for index, one in enumerate(found) if isinstance(one, Failed)] == [17, 30]
    for one, picture in zip(found, given, strict=True):
        if isinstance(one, Segmentation):
            assert (one.labels == segmenter.predict(picture).labels).all()
            assert (one.picture == picture).all()


def test_two_batches_are_in_work_at_a_time(folder: Path) -> None:
    segmenter = Segmenter(open_artifact(folder), Gpu(threads=2, in_pairs=True))
    same = [one for one in pictures(96) if one.shape[1] == 40]
    assert len(segmenter.predict_batch(same)) == 32


def test_a_call_is_begun_when_a_slow_source_gives_a_picture_while_another_is_in_work(
    folder: Path,
) -> None:
    gpu = Gpu(threads=2, in_pairs=True)  # its first call ends when a second one has begun

    def slow() -> Iterator[NDArray[np.uint8]]:
        given = pictures(4)
        yield given[0]
        with gpu.turn:
            assert gpu.turn.wait_for(lambda: gpu.calls == 1, timeout=20)
        time.sleep(0.3)  # until the stream waits for that call
        yield from given[1:]

    found = Segmenter(open_artifact(folder), gpu).predict_batch(slow())
    assert len(found) == 4


def test_a_smoothed_stream_is_computed_in_its_order(folder: Path) -> None:
    given = [one for one in pictures(30) if one.shape[1] == 40]
    gpu = Gpu(threads=4)
    with Segmenter(open_artifact(folder), gpu).stream(given, smooth=0.5) as stream:
        found = [one.labels for one in stream if isinstance(one, Segmentation)]
    gpu.facts = replace(gpu.facts, device="cpu")
    with Segmenter(open_artifact(folder), gpu).stream(given, smooth=0.5) as stream:
        expected = [one.labels for one in stream if isinstance(one, Segmentation)]
    assert len(found) == len(given)
    assert all((one == other).all() for one, other in zip(found, expected, strict=True))


def test_one_who_stops_early_is_not_kept_waiting(folder: Path) -> None:
    segmenter = Segmenter(open_artifact(folder), Gpu(threads=4))
    with segmenter.stream(pictures(500)) as stream:
        next(stream)
    assert stream.done == 1
    names = [thread.name for thread in threading.enumerate()]
    assert not any(name.startswith(("fastfcn-stream", "fastfcn-label")) for name in names)
