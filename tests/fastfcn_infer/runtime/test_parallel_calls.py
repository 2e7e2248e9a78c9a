"""Many pictures on a processor are labelled by several calls at a time."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.errors import BackendError
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.runtime import parallel_calls
from fastfcn_infer.runtime.backend import Backend, Noted, open_backend
from fastfcn_infer.runtime.parallel_calls import MANY, ParallelCalls, SeveralCalls
from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact, tiny_model

Run = Callable[[NDArray[Any]], NDArray[Any]]


class Counted:
    """A backend of two threads that can be opened again, and counts what it is asked for."""

    def __init__(self, backend: Backend, run: Run | None = None) -> None:
        self.facts, self._backend, self._run = backend.facts, backend, run or backend.run
        self.again: list[Counted] = []
        self.together: Run | None = None  # of those opened again
        self.runs = 0
        self.closed = False

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        self.runs += 1
        if self.closed:
            raise BackendError("closed")
        return self._run(batch)

    def in_parallel(self, calls: int) -> "Counted":
        assert calls == 2
        self.again.append(Counted(self._backend, self.together))
        return self.again[-1]

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_artifact(tmp_path / "tiny", tiny_model(5))
    return tmp_path / "tiny"


@pytest.fixture
def backend(folder: Path) -> Iterator[Counted]:
    opened = open_backend("auto", open_artifact(folder), device="cpu", threads=2)
    yield Counted(opened)
    opened.close()


@pytest.fixture
def segmenter(backend: Counted, folder: Path) -> Segmenter:
    return Segmenter(open_artifact(folder), Noted(backend, ()))


def pictures(count: int, size: tuple[int, int] = (24, 32)) -> list[NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    return [*random.integers(0, 256, (count, *size, 3), np.uint8)]


def test_many_pictures_are_labelled_two_at_a_time_with_the_labels_of_each(
    backend: Counted, segmenter: Segmenter
) -> None:
    both, run = threading.Barrier(2, timeout=60), backend.run

    def together(batch: NDArray[Any]) -> NDArray[Any]:
        both.wait()  # two calls at a time, or an error
        return run(batch)

    alone = [segmenter.predict(each).labels for each in pictures(MANY)]
    backend.together = together
    found = segmenter.predict_batch(pictures(MANY))
    for one, expected in zip(found, alone, strict=True):
        assert isinstance(one, Segmentation)
        assert np.array_equal(one.labels, expected)
    assert [each.runs for each in backend.again] == [MANY]


@pytest.mark.parametrize("procedure", [None, "tiles"])
def test_the_graph_is_opened_again_once_and_for_many_pictures_of_one_view_only(
    procedure: str | None, backend: Counted, segmenter: Segmenter
) -> None:
    segmenter.predict_batch(pictures(MANY - 1), procedure)
    with segmenter.stream(iter(pictures(3)), procedure) as stream:  # who knows how many
        assert len(list(stream)) == 3
    with segmenter.stream(pictures(MANY), smooth=0.5) as stream:  # each depends on the one before
        next(stream)
    assert backend.again == []
    for _ in range(2):
        segmenter.predict_batch(pictures(MANY), procedure)
    assert len(backend.again) == (1 if procedure is None else 0)


def test_a_large_graph_is_opened_again_for_more_pictures_only(backend: Counted) -> None:
    large = ParallelCalls(backend, 100 << 20)
    assert large.network(99) is None
    assert large.network(None) is None
    assert large.network(100) is not None
    assert len(backend.again) == 1


def test_large_batches_take_turns_with_all_threads(backend: Counted) -> None:
    several = backend.in_parallel(2)
    network = SeveralCalls(backend, several, 2)
    small, large = np.zeros((1, 3, 16, 16), np.float32), np.zeros((1, 3, 1040, 1040), np.float32)
    network.run(small)
    assert (several.runs, backend.runs) == (1, 0)
    network.run(large)
    assert (several.runs, backend.runs) == (1, 1)


def test_where_memory_is_short_the_graph_is_not_opened_again(
    backend: Counted, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel_calls, "available_memory", lambda: 0)
    segmenter.predict_batch(pictures(MANY))
    assert backend.again == []


def test_a_closed_segmenter_has_closed_both_graphs(backend: Counted, segmenter: Segmenter) -> None:
    segmenter.predict_batch(pictures(MANY))
    segmenter.close()
    assert backend.closed
    assert backend.again[0].closed
    with pytest.raises(BackendError, match="closed"):
        segmenter.predict_batch(pictures(MANY))


@pytest.mark.parametrize("name", ["open_vino", "onnx_runtime"])
def test_a_runtime_opened_for_two_calls_computes_what_it_did(name: str, folder: Path) -> None:
    artifact = open_artifact(folder)
    one = open_backend(name, artifact, device="cpu", threads=2)
    several = one.in_parallel(2)  # type: ignore[attr-defined]
    batch = np.random.default_rng(0).normal(size=(1, 3, 40, 56)).astype(np.float32)
    found: list[NDArray[Any]] = []
    threads = [threading.Thread(target=lambda: found.append(several.run(batch))) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    expected = one.run(batch)
    assert len(found) == 4
    for each_output in found:
        np.testing.assert_allclose(each_output, expected, rtol=1e-4, atol=1e-4)
    for opened in (one, several):
        opened.close()
    with pytest.raises(BackendError, match="closed"):
        several.run(batch)
