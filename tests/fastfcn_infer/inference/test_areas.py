"""How many pixels each class has."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.inference.areas import count


@pytest.mark.parametrize("size", [(0, 4), (1, 1), (1, 9), (7, 5), (40, 64)])
@pytest.mark.parametrize(
    ("classes", "kind"), [(1, np.uint8), (11, np.uint8), (256, np.uint8), (300, np.uint16)]
)
def test_pixels_are_counted_as_numpy_counts_them(
    size: tuple[int, int], classes: int, kind: type
) -> None:
    random = np.random.default_rng(0)
    noise: NDArray[np.uint8 | np.uint16] = random.integers(0, classes, size).astype(kind)
    stripes = np.sort(noise, axis=1)
    part = stripes[: size[0] // 2, size[1] // 3 :]
    for labels in (noise, stripes, stripes.T, stripes[:, ::2], part):
        found = count(labels, classes)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, np.bincount(labels.ravel(), minlength=classes))


def test_labels_of_no_class_are_not_counted_and_classes_without_pixels_have_none() -> None:
    labels = np.array([[0, 1, 1, 255], [3, 3, 3, 255]], np.uint8)
    assert count(labels, 3).tolist() == [1, 2, 0]
    assert count(labels, 300).tolist() == [1, 2, 0, 3] + [0] * 251 + [2] + [0] * 44


def test_more_pixels_are_counted_than_float32_can_count() -> None:
    labels = np.zeros((4097, 4097), np.uint8)
    labels[0, 0] = 1
    assert count(labels, 2).tolist() == [4097 * 4097 - 1, 1]
