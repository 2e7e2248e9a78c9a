import pytest

from fastfcn_infer.benchmark import low_precision_product as module
from fastfcn_infer.benchmark.low_precision_product import measure_product, product
from fastfcn_infer.errors import BackendMissing
from fastfcn_infer.system import registry


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_rate_is_operations_over_seconds_or_the_reason_why_there_is_none(
    monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(module, "SIZE", 64)
    ticks = iter([0.0, 2.0, 10.0, 11.0, *range(20, 100)])
    found = measure_product(precision, 1, clock=lambda: next(ticks))
    assert found.precision == precision
    if found.gflops is None:  # a processor that would compute in float32
        assert "on this processor" in found.note
    else:
        monkeypatch.setattr(module, "SIZE", 640)
        ticks = iter([0.0, 2.0, 10.0, 10.5, *range(20, 100)])
        found = measure_product(precision, 1, clock=lambda: next(ticks))
        assert found.gflops == pytest.approx(4 * 2 * 640**3 / 0.5 / 1e9, abs=0.06)


def test_without_a_library_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert product("fp16", 1).gflops is None

    def missing(package: str, name: str) -> object:
        raise BackendMissing("gone")

    monkeypatch.setattr(registry, "load", missing)
    found = measure_product("int8", 1)
    assert (found.gflops, found.note) == (None, "needs OpenVINO, which is not installed")


def test_a_process_that_fails_is_a_reason_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "__name__", "fastfcn_infer.no_such_module")
    found = product("bf16", 1)
    assert found.gflops is None
    assert "No module named fastfcn_infer.no_such_module" in found.note
