import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark_reports import STAMP
from command_line import EMBEDDED
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.artifact.procedure import Procedure, Resize
from fastfcn_infer.benchmark import measure as module
from fastfcn_infer.benchmark.label_maps import unpack_labels
from fastfcn_infer.benchmark.low_precision_product import Product
from fastfcn_infer.benchmark.measure import (
    WARM_UP,
    Candidate,
    ColdStart,
    Request,
    check_seconds,
    cold_start,
    measure,
)
from fastfcn_infer.benchmark.timing import FEWEST_RUNS
from fastfcn_infer.benchmark.workload import Case, photograph
from fastfcn_infer.errors import BackendError
from fastfcn_infer.inference.pipeline import STAGES, segment
from fastfcn_infer.runtime.backend import Backend, open_backend
from fastfcn_infer.runtime.gpu import Gpu
from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact, tiny_model

SMALL = (64, 96)


class Spy:
    """A backend that remembers how many pictures it was fed."""

    def __init__(self, backend: Backend) -> None:
        self.facts, self.close, self._run = backend.facts, backend.close, backend.run
        self.fed: list[tuple[int, ...]] = []
        self.answers: list[NDArray[Any]] = []

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        self.fed.append(batch.shape)
        self.answers.append(self._run(batch))
        return self.answers[-1]


@pytest.fixture(autouse=True)
def no_second_process(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    asked: list[Request] = []

    def start(request: Request) -> ColdStart:
        asked.append(request)
        return ColdStart(1.5, 1000)

    monkeypatch.setattr(module, "cold_start", start)
    monkeypatch.setattr(module, "environment", lambda threads: STAMP)
    return asked


def candidate(folder: Path, model: Model | None = None, name: str = "tiny") -> Candidate:
    tiny_artifact(folder, model)
    artifact = open_artifact(folder)
    spy = Spy(open_backend("onnx_runtime", artifact, device="cpu", threads=1))
    return Candidate(name, Segmenter(artifact, spy), spy)


def spy_of(found: Candidate) -> Spy:
    backend = found._backend
    assert isinstance(backend, Spy)
    return backend


def test_the_photograph_has_the_size_that_was_asked_for() -> None:
    assert photograph(SMALL).shape == (*SMALL, 3)
    assert photograph(SMALL).dtype == np.uint8


@pytest.mark.parametrize("batch", [1, 3])
def test_a_run_feeds_the_network_once_and_times_every_stage(tmp_path: Path, batch: int) -> None:
    found = candidate(tmp_path / "tiny")
    taken = found.run([photograph(SMALL)] * batch)
    assert spy_of(found).fed == [(batch, 3, *SMALL)]
    assert {*STAGES, "total"} <= set(taken)
    assert taken["total"] >= sum(taken[stage] for stage in STAGES)


@pytest.mark.parametrize(
    "procedure", [None, Procedure("whole", Resize("long_side", 80, align_corners=False))]
)
def test_a_batch_is_what_predict_does_to_each_picture(
    tmp_path: Path, procedure: Procedure | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model()
    found = candidate(tmp_path / "tiny", replace(model, procedure=procedure or model.procedure))
    pictures = [photograph(SMALL), photograph(SMALL)[::-1].copy()]
    expected = [found.predictor.predict(picture).labels for picture in pictures]
    labelled: list[NDArray[Any]] = []

    def remember(*given: Any, **options: Any) -> list[NDArray[Any]]:
        labelled.extend(segment(*given, **options))
        return labelled

    monkeypatch.setattr(module, "segment", remember)
    found.run(pictures)
    assert len(labelled) == 2
    for labels, right in zip(labelled, expected, strict=True):
        assert np.array_equal(labels, right)


def test_rows_hold_what_was_measured_and_what_follows_from_it(
    tmp_path: Path, no_second_process: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = candidate(tmp_path / "tiny")

    def turns(calls: Sequence[Callable[[], object]], **_: Any) -> list[list[dict[str, float]]]:
        return [
            [
                {"preprocess": 0.1, "network": 0.7 + i, "labels": 0.2, "total": 1.0 + i}
                for i in range(3)
            ]
            for _ in calls
        ]

    monkeypatch.setattr(module, "take_turns", turns)
    report = measure([found], [Case((480, 960), 2)], seconds=1.0)
    (row,) = report.rows
    assert (row.model, row.backend, row.size, row.batch) == ("tiny", "onnx_runtime", (480, 960), 2)
    assert row.end_to_end.median == 2.0
    assert row.network.median == 1.7
    assert row.ips == 1.0
    assert row.network_ips == pytest.approx(2 / 1.7)
    assert row.stages == {"preprocess": 0.1, "network": 1.7, "labels": 0.2}
    # The tiny model says 100 multiply-adds for 480 x 480; this picture is twice as large.
    assert row.multiply_adds == 200
    expected = 2 * 200 * 2 / 1.7 / (STAMP.matrix_product_gflops * 1e9)
    assert row.share_of_matrix_product == pytest.approx(expected)
    assert (row.cold_start_seconds, row.peak_memory_bytes) == (1.5, 1000)
    assert (row.model_sha256, row.gpu) == (found.predictor.artifact.fingerprint, "")
    (request,) = no_second_process
    assert (request.size, request.batch, request.backend) == ((480, 960), 2, "onnx_runtime")
    assert request.path == str(tmp_path / "tiny")


@pytest.mark.parametrize(("device", "name"), [("cuda:1", "GPU 1"), ("tensorrt", "GPU 0")])
def test_a_row_names_the_gpu_that_it_ran_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, name: str
) -> None:
    monkeypatch.setattr(module, "find_gpu", lambda i: Gpu(f"GPU {i}", "00", 13000))
    found = candidate(tmp_path / "tiny")
    found.facts = replace(found.facts, device=device)
    (row,) = measure([found], [Case(SMALL, 1)], seconds=0.001).rows
    assert row.gpu == name


def test_multiply_adds_that_were_not_counted_are_not_made_up(tmp_path: Path) -> None:
    model = tiny_model()
    found = candidate(
        tmp_path / "tiny", replace(model, network=replace(model.network, multiply_adds=0))
    )
    (row,) = measure([found], [Case(SMALL, 1)], seconds=0.001).rows
    assert row.multiply_adds is None
    assert row.share_of_matrix_product is None


def test_every_candidate_is_warmed_up_and_measured_in_every_case(tmp_path: Path) -> None:
    candidates = [candidate(tmp_path / name, name=name) for name in ("one", "two")]
    told: list[float] = []
    cases = [Case(SMALL, 1), Case(SMALL, 2)]
    report = measure(candidates, cases, seconds=0.001, advance=told.append)
    assert [(row.model, row.batch) for row in report.rows] == [
        ("one", 1),
        ("two", 1),
        ("one", 2),
        ("two", 2),
    ]
    assert sum(told) == pytest.approx(4 * 0.001)
    for found, rows in zip(candidates, (report.rows[::2], report.rows[1::2]), strict=True):
        runs = [row.end_to_end.runs for row in rows]
        assert min(runs) >= FEWEST_RUNS
        fed = [shape[0] for shape in spy_of(found).fed]
        of_labels = 1  # of the photograph, which the report keeps
        expected = [runs[0] + WARM_UP + of_labels, runs[1] + WARM_UP]
        assert [fed.count(1), fed.count(2)] == expected


def test_streams_are_beside_the_network_alone_and_hold_the_labels_of_the_photograph(
    tmp_path: Path,
) -> None:
    candidates = [candidate(tmp_path / name, name=name) for name in ("one", "two")]
    told: list[float] = []
    cases = [Case(SMALL, 3, scenario) for scenario in ("batch", "stream", "folder")]
    rows = measure(candidates, cases, seconds=0.001, advance=told.append).rows
    assert sum(told) == pytest.approx(6 * 0.001)
    assert [row.scenario for row in rows[::2]] == ["batch", "stream", "folder"]
    expected = candidates[0].predictor.predict(photograph(SMALL)).labels
    for row in rows:
        assert row.batch == 3
        assert row.end_to_end.runs >= 3
        assert row.share_of_network == pytest.approx(row.ips / row.network_ips)
        assert np.array_equal(unpack_labels(row.labels, SMALL), expected)
        assert len(row.distribution) == 21
        assert row.distribution[10] == pytest.approx(row.end_to_end.median)
    one, two = rows[:2]
    assert one.agreement is None
    assert two.agreement is not None
    assert (two.agreement.pictures, two.agreement.counts.overall) == (1, 1.0)
    assert two.agreement.reference == one.title


@pytest.mark.parametrize("rate", [400.0, None])
def test_the_share_is_of_the_product_in_the_precision_that_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: float | None
) -> None:
    found = candidate(tmp_path / "tiny")
    found.facts = replace(found.facts, precision="int8")
    asked = []

    def product(precision: str, threads: int) -> Product:
        asked.append((precision, threads))
        return Product(precision, rate, "a reason")

    monkeypatch.setattr(module, "product", product)
    report = measure([found], [Case(SMALL, 1)], seconds=0.001)
    (row,) = report.rows
    assert asked == [("int8", 1)]
    assert report.products == (Product("int8", rate, "a reason"),)
    expected = None
    if rate is not None and row.multiply_adds is not None:
        expected = pytest.approx(2e-9 * row.multiply_adds / row.network.median / rate)
    assert row.share_of_matrix_product == expected
    # A processor's product says nothing of a GPU.
    found.facts = replace(found.facts, device="cuda:0", precision="fp32")
    (row,) = measure([found], [Case(SMALL, 1)], seconds=0.001).rows
    assert row.share_of_matrix_product is None


def test_a_graph_of_a_fixed_batch_is_shown_one_picture_or_that_many(tmp_path: Path) -> None:
    model = tiny_model()
    found = candidate(
        tmp_path / "tiny", replace(model, input=replace(model.input, shape=(2, None, None)))
    )
    with pytest.raises(
        ValueError, match="exported for batches of 2 pictures and cannot run a batch of 3"
    ):
        measure([found], [Case(SMALL, 1), Case(SMALL, 3)], seconds=0.001)
    assert spy_of(found).fed == []
    measure([found], [Case(SMALL, 1), Case(SMALL, 2)], seconds=0.001)
    assert {shape[0] for shape in spy_of(found).fed} == {2}


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_that_one_cannot_measure_for_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="cannot measure for"):
        check_seconds(seconds)
    with pytest.raises(ValueError, match="cannot measure for"):
        measure([], [], seconds=seconds)


def test_the_segmenter_measures_itself_as_it_was_opened() -> None:
    with Segmenter.from_pretrained(backend="onnx_runtime", threads=1) as segmenter:
        report = segmenter.benchmark(sizes=[SMALL, (48, 48)], batches=[1, 2], seconds=0.001)
        with pytest.raises(ValueError, match="scenario 'burst' is unknown"):
            segmenter.benchmark(scenarios=["burst"])  # type: ignore[list-item]
    assert [(row.size, row.batch) for row in report.rows] == [
        (SMALL, 1),
        (SMALL, 2),
        ((48, 48), 1),
        ((48, 48), 2),
    ]
    assert {row.threads for row in report.rows} == {1}
    assert report.environment == STAMP


def request(path: str | Path, batch: int = 1) -> Request:
    return Request(str(path), "onnx_runtime", "cpu", 1, SMALL, batch, time.time())


@pytest.mark.parametrize("path", [EMBEDDED, EMBEDDED / "model.onnx"])
def test_a_fresh_process_tells_its_time_and_its_memory(path: Path) -> None:
    began = time.time()
    found = cold_start(request(path, batch=2))
    assert 0 < found.seconds <= time.time() - began
    if sys.platform.startswith("linux"):
        assert found.peak_memory_bytes is not None
        assert found.peak_memory_bytes > 20e6


def test_a_cold_start_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="ended with exit code 1") as raised:
        cold_start(request(tmp_path / "gone"))
    assert f"{tmp_path}{os.sep}gone" in str(raised.value)
    assert "in onnx_runtime on cpu" in str(raised.value)
    assert "ArtifactError" in str(raised.value)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("pass", "without a report: it wrote nothing"),
        ("print(); print()", "without a report: it wrote nothing"),
        ("print('runtime 1.0')", "its output ended with 'runtime 1.0'"),
        ("print('{\"seconds\": 1}')", "its output ended with '{\"seconds\": 1}'"),
        ("print('x' * 5000)", "x{200}'"),
        ("import sys; sys.stdout.buffer.write(bytes([255]))", "its output ended with"),
        (
            "import sys; sys.exit('the licence has expired')",
            "exit code 1. the licence has expired",
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "exit code -15"),
        ("import time; time.sleep(60)", "gave no result within 0.5 s"),
    ],
)
def test_a_cold_start_without_a_report_says_what_happened(
    program: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = subprocess.run

    def run_program(command: list[str], **options: Any) -> "subprocess.CompletedProcess[str]":
        return run([sys.executable, "-c", program], **options)

    monkeypatch.setattr(subprocess, "run", run_program)
    if "sleep" in program:
        monkeypatch.setattr(module, "STARTING_LIMIT", 0.5)
    with pytest.raises(BackendError, match=said) as raised:
        cold_start(request(EMBEDDED))
    assert str(EMBEDDED) in str(raised.value)
    assert len(str(raised.value)) < 2000
