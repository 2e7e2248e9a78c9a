from dataclasses import replace

import pytest

from benchmark_reports import STAMP, report, row, slower
from fastfcn_infer.benchmark.compare import compare
from fastfcn_infer.benchmark.report import comparison_lines
from fastfcn_infer.benchmark.timing import timing

BASE = report(row("one"), row("two", batch=4))


@pytest.mark.parametrize(("factor", "count"), [(0.5, 0), (1.0, 0), (1.049, 0), (1.051, 4), (2, 4)])
def test_medians_may_be_slower_by_what_is_allowed_and_not_by_more(
    factor: float, count: int
) -> None:
    found = compare(slower(BASE, factor), BASE, "base.json", 0.05)
    assert len(found.regressed) == count
    assert found.compared == 2


def test_the_network_alone_is_held_to_its_own_time() -> None:
    now = replace(BASE.rows[0], network=timing([0.0991]))
    (change,) = compare(report(now), BASE, "base.json", 0.1).regressed
    assert change.measure == "network"
    assert "one in onnx_runtime, 480x640, batch 1, 2 threads" in change.title
    assert "90.0 -> 99.1 ms, +10.1%" in change.title


def test_rows_are_the_same_by_model_backend_procedure_size_batch_and_threads() -> None:
    one = BASE.rows[0]
    for other in (
        replace(one, model="three"),
        replace(one, backend="open_vino"),
        replace(one, procedure="tiles"),
        replace(one, size=(640, 480)),
        replace(one, batch=2),
        replace(one, threads=1),
    ):
        found = compare(report(one, other), BASE, "base.json", 0.05)
        assert found.compared == 1
        assert found.not_in_base == (other.title,)
        assert found.only_in_base == (BASE.rows[1].title,)
        with pytest.raises(ValueError, match=r"base\.json has none of the rows"):
            compare(report(other), BASE, "base.json", 0.05)


def test_nothing_in_common_never_passes() -> None:
    with pytest.raises(ValueError, match="no rows at all"):
        compare(BASE, report(), "base.json", 0.05)


def test_another_machine_or_version_is_said() -> None:
    other = replace(
        STAMP,
        cpu="another",
        matrix_product_gflops=100.0,
        versions={"numpy": "2.1.0", "torch": "2"},
    )
    found = compare(replace(BASE, environment=other), BASE, "base.json", 0.05)
    text = "\n".join(comparison_lines(found))
    assert "cpu was a processor, is another" in text
    assert "numpy was 2.0.0, is 2.1.0" in text
    assert "onnxruntime was 1.20.0, is not installed" in text
    assert "torch was not installed, is 2" in text
    assert "matrix product was 200.0 GFLOP/s, is now 100.0" in text
    assert compare(BASE, BASE, "base.json", 0.05).environment_differs == ()
