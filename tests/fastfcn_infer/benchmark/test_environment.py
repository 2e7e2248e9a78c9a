import importlib.metadata
import subprocess
import time
from pathlib import Path

import pytest

from command_line import python
from fastfcn_infer.benchmark import environment, matrix_product
from fastfcn_infer.benchmark.matrix_product import matrix_product_gflops, numpy_gflops
from fastfcn_infer.errors import BackendError
from fastfcn_infer.system import machine


def test_only_what_is_installed_has_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"numpy": "2.4.6", "onnxruntime-gpu": "1.31.1", "not-ours": "1.0"}

    def version(name: str) -> str:
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert machine.versions() == {"numpy": "2.4.6", "onnxruntime-gpu": "1.31.1"}


def test_the_stamp_says_which_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "matrix_product_gflops", lambda threads: 123.456)
    found = environment.environment(2)
    assert found.matrix_product_gflops == 123.5
    assert found.cpu
    assert found.date.endswith("+00:00")


def test_the_product_is_measured_in_a_process_of_its_own() -> None:
    ended = python("-m", "fastfcn_infer.benchmark.matrix_product")
    assert ended.returncode == 0
    assert float(ended.stdout) > 0.1


@pytest.mark.parametrize(
    ("flags", "set_by_user", "kernels"),
    [
        ("avx2", None, [None]),
        ("avx512f avx512cd avx512bw avx512dq avx512vl", None, [None, "SkylakeX"]),
        ("avx512f avx512cd avx512bw avx512dq avx512vl", "Haswell", ["Haswell"]),
    ],
)
def test_kernels_for_avx_512_are_tried_where_the_processor_has_it_and_the_best_counts(
    monkeypatch: pytest.MonkeyPatch, flags: str, set_by_user: str | None, kernels: list[str | None]
) -> None:
    asked = []

    def run(words: list[str], *, env: dict[str, str], **_: object) -> object:
        asked.append(env.get("OPENBLAS_CORETYPE"))
        assert env["OPENBLAS_NUM_THREADS"] == "3"
        return subprocess.CompletedProcess(words, 0, str(10.0 * len(asked)), "")

    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    if set_by_user is not None:
        monkeypatch.setenv("OPENBLAS_CORETYPE", set_by_user)
    monkeypatch.setattr(matrix_product, "cpu_fact", lambda name: flags)
    monkeypatch.setattr(subprocess, "run", run)
    assert matrix_product_gflops(3) == 10.0 * len(kernels)
    assert asked == kernels


@pytest.mark.parametrize("printed", ["", "no number"])
def test_a_process_of_numpy_without_a_result_says_why(
    printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = subprocess.CompletedProcess([], 1, printed, "ImportError: no numpy here")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: ended)

    with pytest.raises(BackendError, match=r"exit code 1\. ImportError: no numpy here"):
        matrix_product_gflops(1)


def test_the_rate_is_operations_over_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(1000))
    monkeypatch.setattr(matrix_product, "SIZES", (10, 100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    assert numpy_gflops() == pytest.approx(2 * 100**3 / 1e9)


def test_the_processor_is_named_from_what_linux_lists() -> None:
    listing = Path("/proc/cpuinfo")
    if listing.is_file() and "model name" in listing.read_text():
        assert machine.cpu_model() in listing.read_text()
