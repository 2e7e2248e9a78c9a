import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.errors import BackendError
from fastfcn_infer.inference import labels as module
from fastfcn_infer.inference.labels import labels_from_logits

Array = NDArray[Any]
Size = tuple[int, int]
both_conventions = pytest.mark.parametrize("align_corners", [False, True])


@both_conventions
def test_the_same_size_is_plain_argmax(align_corners: bool) -> None:
    logits = np.random.default_rng(0).normal(size=(21, 13, 17)).astype(np.float32)
    found = labels_from_logits(logits, (13, 17), align_corners=align_corners)
    assert np.array_equal(found, logits.argmax(axis=0))


@both_conventions
def test_a_region_is_the_top_left_part_of_the_whole(align_corners: bool) -> None:
    logits = np.random.default_rng(0).normal(size=(9, 12, 11)).astype(np.float32)
    whole = labels_from_logits(logits, (95, 70), align_corners=align_corners)
    part = labels_from_logits(logits, (95, 70), align_corners=align_corners, region=(51, 33))
    assert np.array_equal(part, whole[:51, :33])


@both_conventions
@pytest.mark.parametrize("size", [(61, 150), (5, 7), (17, 13), (140, 9)])
def test_bands_and_chunks_leave_no_seams(
    monkeypatch: pytest.MonkeyPatch, align_corners: bool, size: Size
) -> None:
    logits = np.random.default_rng(0).normal(size=(30, 17, 13)).astype(np.float32)
    whole = labels_from_logits(logits, size, align_corners=align_corners)
    monkeypatch.setattr(module, "_BAND", 2 * 30 * 13)
    monkeypatch.setattr(module, "_CHUNK", 1)
    assert np.array_equal(labels_from_logits(logits, size, align_corners=align_corners), whole)


@pytest.mark.parametrize(
    ("classes", "dtype"), [(1, np.uint8), (256, np.uint8), (257, np.uint16), (300, np.uint16)]
)
def test_labels_are_bytes_up_to_256_classes(classes: int, dtype: type) -> None:
    logits = np.zeros((classes, 2, 3), np.float32)
    logits[-1, 1] = 1
    found = labels_from_logits(logits, (16, 24), align_corners=False)
    assert found.dtype == dtype
    assert found.max() == classes - 1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_width_and_memory_order_of_the_logits_do_not_matter(dtype: type) -> None:
    logits = np.random.default_rng(0).integers(-50, 50, size=(6, 8, 9)).astype(np.float32)
    expected = labels_from_logits(logits, (64, 72), align_corners=False)
    same: Array = logits.astype(dtype)
    layouts: list[Array] = [
        same,
        np.asfortranarray(same),
        same.repeat(2, axis=2)[:, :, ::2],
        np.ascontiguousarray(same[:, :, ::-1])[:, :, ::-1],
    ]
    for given_logits in layouts:
        before = given_logits.copy()
        found = labels_from_logits(given_logits, (64, 72), align_corners=False)
        assert np.array_equal(found, expected)
        assert np.array_equal(given_logits, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_logits_are_refused(bad: float) -> None:
    logits = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    logits[3, 2, 4] = bad
    with pytest.raises(BackendError, match="non-finite"):
        labels_from_logits(logits, (48, 56), align_corners=False)


def test_logits_beyond_float32_are_refused_and_not_wrapped() -> None:
    logits = np.full((2, 3, 3), 1e300)
    with pytest.raises(BackendError, match="18 infinite"):
        labels_from_logits(logits, (6, 6), align_corners=False)


@pytest.mark.parametrize(
    ("shape", "size", "region"),
    [
        ((3, 4), (8, 8), None),
        ((0, 4, 4), (8, 8), None),
        ((3, 0, 4), (8, 8), None),
        ((65537, 1, 1), (8, 8), None),
        ((3, 4, 4), (0, 8), None),
        ((3, 4, 4), (8, 8), (0, 4)),
        ((3, 4, 4), (8, 8), (9, 4)),
    ],
)
def test_sizes_that_make_no_sense_are_refused(
    shape: tuple[int, ...], size: Size, region: Size | None
) -> None:
    with pytest.raises(ValueError, match="must be"):
        labels_from_logits(np.zeros(shape, np.float32), size, align_corners=False, region=region)


@pytest.mark.parametrize(
    ("shape", "size"), [((150, 60, 60), (1000, 1000)), ((150, 2, 2), (3000, 3000))]
)
def test_noise_and_huge_zooms_take_bounded_memory(shape: tuple[int, int, int], size: Size) -> None:
    logits = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    tracemalloc.start()
    try:
        labels_from_logits(logits, size, align_corners=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50e6
