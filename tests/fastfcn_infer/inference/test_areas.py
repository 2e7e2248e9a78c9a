"""How many pixels each class has."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.inference.areas import count


@pytest.mark.parametrize("size", [(0, 4), (1, 1), (1, 9), (7, 5), (40, 64)])
@pytest.mark.parametrize(("classes", "kind"), [(1, np.uint8), (256, np.uint8), (300, np.uint16)])
def test_pixels_are_counted_as_numpy_counts_them(
    size: tuple[int, int], classes: int, kind: type
) -> None:
    random = np.random.default_rng(0)
    noise: NDArray[np.uint8 | np.uint16] = random.integers(0, classes, size).astype(kind)
    stripes = np.sort(noise, axis=1)
    for labels in (noise, stripes, stripes.T, stripes[:, ::2]):
        found = count(labels, classes)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, np.bincount(labels.ravel(), minlength=classes))
