from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark_reports import STAMP, report, row, slower
from fastfcn_infer.benchmark.compare import compare
from fastfcn_infer.benchmark.label_maps import pack_labels
from fastfcn_infer.benchmark.report import Row, comparison_lines
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


def test_rows_are_comparable_only_if_the_work_and_the_classes_are_the_same() -> None:
    one = BASE.rows[0]
    for other in (
        replace(one, model="three"),
        replace(one, model="three", classes="other"),
        replace(one, procedure="tiles"),
        replace(one, scenario="stream"),
        replace(one, images="others"),
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


def labelled(row: Row, labels: NDArray[np.uint8], **changes: str) -> Row:
    """A row of a picture of 48 x 64 that holds labels."""
    packed = pack_labels(labels)
    assert packed
    return replace(row, size=(48, 64), classes="c", labels=packed, **changes)  # type: ignore[arg-type]


def test_a_row_in_another_precision_is_beside_the_nearest_with_speed_and_agreement() -> None:
    reference = np.zeros((48, 64), np.uint8)
    reference[:, 32:] = 7
    moved = np.roll(
        reference, 1, axis=1
    )  # 2 of 64 columns differ, both at a boundary or the border
    fp32, slow = row("m", seconds=0.4), row("m", seconds=0.5)
    base = report(
        labelled(slow, moved, backend="paddle_inference"),
        labelled(fp32, reference),
        labelled(row("other", seconds=0.01), moved),
    )
    now = report(labelled(row("m", seconds=0.1), moved, precision="int8"))
    found = compare(now, base, "base.json", 0.05)
    (pair,) = found.pairs
    assert pair.differs == ("precision: fp32 -> int8",)
    assert pair.speed == pytest.approx(4.0)
    assert pair.agreement is not None
    assert pair.agreement.overall == pytest.approx(62 / 64)
    assert found.regressed == ()
    text = "\n".join(comparison_lines(found))
    assert "m in onnx_runtime, int8, 48x64, batch 1, 2 threads: 4.00 x the speed of m in " in text
    assert "96.88% of the labels of the photograph are equal" in text
    # Whatever differs, slower is slower.
    back = compare(report(labelled(fp32, reference)), now, "int8.json", 0.05)
    assert len(back.regressed) == 2
    assert "(was m in onnx_runtime, int8" in back.regressed[0].title


def test_another_backend_or_model_of_the_same_classes_is_compared_too() -> None:
    one = replace(BASE.rows[0], classes="c")
    for other, differs in (
        (replace(one, backend="open_vino"), "backend: open_vino -> onnx_runtime"),
        (replace(one, model="three"), "model: three -> one"),
    ):
        (pair,) = compare(report(one), report(other), "base.json", 0.05).pairs
        assert pair.differs == (differs,)
        assert pair.agreement is None
        assert "no labels" in pair.no_agreement


def test_the_same_row_with_other_labels_is_said_and_with_the_same_labels_is_not() -> None:
    seen = np.zeros((48, 64), np.uint8)
    seen[:, 32:] = 1
    one, other = labelled(row("m"), seen), labelled(row("m"), np.roll(seen, 8, axis=1))
    base = report(one)
    assert len(comparison_lines(compare(report(one), base, "base.json", 0.05))) == 1
    lines = comparison_lines(compare(report(other), base, "base.json", 0.05))
    assert "1.00 x the speed of m in onnx_runtime" in lines[1]
    assert "75.00% of the labels of the photograph are equal" in lines[1]


def test_labels_of_other_classes_are_not_compared() -> None:
    seen = np.zeros((48, 64), np.uint8)
    one = labelled(row("m"), seen)
    (pair,) = compare(report(replace(one, classes="d")), report(one), "base.json", 0.05).pairs
    assert (pair.agreement, pair.no_agreement) == (None, "the classes are others")


def test_nothing_in_common_never_passes() -> None:
    with pytest.raises(ValueError, match="no rows at all"):
        compare(BASE, report(), "base.json", 0.05)


def test_another_machine_or_version_is_said() -> None:
    other = replace(
        STAMP,
        cpu="another",
        matrix_product_gflops=100.0,
        versions={"numpy": "2.1.0", "torch": "2"},
        features=("AVX2",),
    )
    base = replace(BASE, environment=replace(STAMP, features=("AVX2", "AVX-512")))
    found = compare(replace(BASE, environment=other), base, "base.json", 0.05)
    text = "\n".join(comparison_lines(found))
    assert "cpu was a processor, is another" in text
    assert "the processor had AVX2, AVX-512, has AVX2" in text
    assert "numpy was 2.0.0, is 2.1.0" in text
    assert "onnxruntime was 1.20.0, is not installed" in text
    assert "torch was not installed, is 2" in text
    assert "matrix product was 200.0 GFLOP/s, is now 100.0" in text
    assert compare(BASE, BASE, "base.json", 0.05).environment_differs == ()
