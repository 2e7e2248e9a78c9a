from dataclasses import replace

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray

from benchmark_reports import report, row
from fastfcn_infer.benchmark.label_maps import (
    MOST_BYTES,
    check_labels,
    pack_labels,
    unpack_labels,
)

MAPS = arrays.arrays(np.uint16, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9))


@given(MAPS)
def test_labels_come_back_as_they_were(labels: NDArray[np.uint16]) -> None:
    before = labels.copy()
    lines = pack_labels(labels)
    assert np.array_equal(labels, before)
    size = (labels.shape[0], labels.shape[1])
    assert np.array_equal(unpack_labels(lines, size), labels)


def test_labels_that_would_make_a_report_large_are_left_out() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8)
    assert noise.nbytes > MOST_BYTES
    assert pack_labels(noise) == ()


def test_the_lines_are_texts_that_a_record_may_hold() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 100), np.uint8)
    lines = pack_labels(noise)
    assert len(lines) > 1
    assert max(map(len, lines)) <= 5000


@pytest.mark.parametrize("damage", ["cut", "letters", "size", "bomb"])
def test_damaged_labels_are_refused_before_they_fill_the_memory(damage: str) -> None:
    labels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    lines, size = pack_labels(labels), (8, 8)
    if damage == "cut":
        lines = (lines[0][:40],)
    elif damage == "letters":
        lines = ("*" + lines[0],)
    elif damage == "size":
        size = (8, 9)
    else:
        lines = pack_labels(np.zeros((2000, 2000), np.uint8))
    with pytest.raises(ValueError, match="the label map of a row is damaged"):
        unpack_labels(lines, size)
    held = report(replace(row("m"), size=size, labels=lines))
    with pytest.raises(
        ValueError, match=r"m in onnx_runtime, .*: the label map of a row is damaged"
    ):
        check_labels(held)
