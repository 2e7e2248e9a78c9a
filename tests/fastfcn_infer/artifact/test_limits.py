import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfcn_infer.artifact.limits import (
    LARGEST_ARRAY,
    LARGEST_VIEW,
    LONGEST_SIDE,
    check_array,
    check_picture,
)
from fastfcn_infer.errors import ImageError

SIDES = st.one_of(st.integers(1, 20000), st.sampled_from([2**20, 2**20 + 1, 2**26, 10**12]))


@given(SIDES, SIDES)
def test_a_picture_passes_exactly_if_its_area_and_its_sides_do(height: int, width: int) -> None:
    fits = height * width <= LARGEST_VIEW and height <= LONGEST_SIDE and width <= LONGEST_SIDE
    try:
        check_picture((height, width), (1, 1), "made")
    except ImageError as error:
        assert not fits
        assert f"{height} x {width}" in str(error)
    else:
        assert fits


@given(st.lists(SIDES, min_size=1, max_size=4), st.sampled_from([1, 2, 4]))
def test_an_array_passes_exactly_if_its_bytes_do(shape: list[int], itemsize: int) -> None:
    size = itemsize
    for side in shape:
        size *= side
    try:
        check_array(tuple(shape), itemsize, "The output")
    except ImageError as error:
        assert size > LARGEST_ARRAY
        assert str(error).startswith(f"The output would be {' x '.join(map(str, shape))}, ")
    else:
        assert size <= LARGEST_ARRAY


def test_the_largest_view_of_one_picture_fits_into_a_batch_of_one() -> None:
    check_array((1, 3, 1, LARGEST_VIEW), 4, "The input")
    assert 3 * LARGEST_VIEW * 4 <= LARGEST_ARRAY


def test_an_error_says_how_large_the_array_would_be() -> None:
    with pytest.raises(
        ImageError, match=r"The output would be 1 x 16 x 8192 x 32768, 16\.0 GiB; at"
    ):
        check_array((1, 16, 8192, 32768), 4, "The output")
