"""The rules of CUDA graphs, kept by a session on the processor that stands for one on a GPU."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.runtime.cuda_graphs import LANES, CudaGraphs
from models import tiny_model, tiny_onnx, tiny_output

onnxruntime = pytest.importorskip("onnxruntime")
FAILURES = (RuntimeError,)


class Value(onnxruntime.OrtValue):  # type: ignore[misc, name-defined]
    """Memory that is "on the device": what is read from it is a copy."""

    @classmethod
    def ortvalue_from_numpy(cls, array: NDArray[Any], kind: str, index: int) -> Any:
        assert (kind, index) == ("cuda", 3)
        return super().ortvalue_from_numpy(array.copy())

    @classmethod
    def ortvalue_from_shape_and_type(
        cls, shape: Any, element_type: Any, kind: str, index: int
    ) -> Any:
        assert (kind, index) == ("cuda", 3)
        return super().ortvalue_from_shape_and_type(shape, element_type)

    def numpy(self) -> NDArray[Any]:
        return np.array(super().numpy())


class Session:
    """Checks what a session with CUDA graphs demands."""

    def __init__(self, path: Path) -> None:
        self.real = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.threads: dict[str, set[int]] = {}  # by the number of the recording
        self.bindings: dict[str, Any] = {}  # by the number of the recording
        self.busy = 0
        self.shapes: list[tuple[int, ...]] = []  # of the runs without one
        self.refuses = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def run(self, outputs: Any, feed: Any, options: Any) -> Any:
        assert options.get_run_config_entry("gpu_graph_id") == "-1"
        assert not self.busy
        self.threads.setdefault("-1", set()).add(threading.get_ident())
        self.shapes.append(next(iter(feed.values())).shape)
        return self.real.run(outputs, feed)

    def run_with_iobinding(self, binding: Any, options: Any) -> None:
        number = options.get_run_config_entry("gpu_graph_id")
        self.threads.setdefault(number, set()).add(threading.get_ident())
        if number != "-1":
            if self.refuses:
                raise RuntimeError("CUDA error 900: operation not permitted")
            assert number in self.bindings or not self.busy, "others use the device meanwhile"
            assert self.bindings.setdefault(number, binding) is binding, "other buffers"
        self.busy += 1
        self.real.run_with_iobinding(binding)
        self.busy -= 1


@pytest.fixture
def session(tmp_path: Path) -> Session:
    tiny_onnx(tmp_path / "model.onnx", tiny_model())
    return Session(tmp_path / "model.onnx")


def opened(session: Session, most: int = 32) -> CudaGraphs:
    module = SimpleNamespace(OrtValue=Value, RunOptions=onnxruntime.RunOptions)
    return CudaGraphs(module, session, "logits", 3, FAILURES, most)


def batch(count: int, side: int, seed: int = 0) -> NDArray[np.float32]:
    shape = (count, 3, side, side + 8)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def right(given: NDArray[np.float32]) -> NDArray[Any]:
    return tiny_output(given, len(tiny_model().classes))


def test_batches_of_all_shapes_in_any_order_are_computed_right(session: Session) -> None:
    graphs = opened(session)
    for seed, (count, side) in enumerate(
        [(1, 16), (3, 16), (1, 16), (4, 16), (1, 24), (3, 16)] * 3
    ):
        given = batch(count, side, seed)
        np.testing.assert_allclose(graphs.run(given), right(given), rtol=1e-5, atol=1e-6)
    assert [shape[0] for shape in session.shapes] == [1, 4, 1], "3 is padded to 4"
    assert len(session.bindings) == 3
    graphs.close()


def test_threads_get_their_own_results_from_two_sets_of_buffers(session: Session) -> None:
    graphs = opened(session)
    given = [batch(2, 16, seed) for seed in range(64)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(graphs.run, given))
    for one, output in zip(given, found, strict=True):
        np.testing.assert_allclose(output, right(one), rtol=1e-5, atol=1e-6)
    assert all(len(threads) == 1 for threads in session.threads.values())
    assert 1 <= len(session.bindings) <= LANES
    graphs.close()


def test_a_result_stays_as_it_is_when_the_next_is_computed(session: Session) -> None:
    graphs = opened(session)
    first, second = batch(1, 16, 1), batch(1, 16, 2)
    graphs.run(first)
    kept = graphs.run(first)
    graphs.run(second)
    np.testing.assert_allclose(kept, right(first), rtol=1e-5, atol=1e-6)
    graphs.close()


@pytest.mark.parametrize("most", [0, 1])
def test_shapes_beyond_the_bound_are_computed_without_a_recording(
    session: Session, most: int
) -> None:
    graphs = opened(session, most)
    for side in (16, 24, 16, 24, 16, 24):
        given = batch(1, side)
        np.testing.assert_allclose(graphs.run(given), right(given), rtol=1e-5, atol=1e-6)
    assert list(session.bindings) == ["1"][:most]
    plain = [16, 24, 24, 24] if most else [16, 24] * 3
    assert [shape[2] for shape in session.shapes] == plain
    assert len(session.threads.get("-1", set())) <= 1
    graphs.close()


def test_a_network_that_cannot_be_recorded_is_computed_and_that_is_said(session: Session) -> None:
    graphs = opened(session)
    session.refuses = True
    given = batch(1, 16)
    graphs.run(given)
    with pytest.warns(RuntimeWarning, match="could not record.*not permitted"):
        found = graphs.run(given)
    np.testing.assert_allclose(found, right(given), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(graphs.run(given), right(given), rtol=1e-5, atol=1e-6)
    graphs.close()


def test_a_failure_reaches_its_caller_and_spoils_nothing(session: Session) -> None:
    graphs = opened(session)
    given = batch(1, 16)
    for _ in range(2):
        graphs.run(given)
    with pytest.raises(Exception, match=r"(?i)unexpected|invalid"):
        graphs.run(given.astype(np.float64))
    np.testing.assert_allclose(graphs.run(given), right(given), rtol=1e-5, atol=1e-6)
    graphs.close()
    with pytest.raises(RuntimeError):
        graphs.run(given)
