import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfcn_infer.inference.interpolation import Span, taps
from tiny_reference import upsampled


@given(st.integers(1, 40), st.integers(1, 120), st.booleans(), st.data())
def test_a_matrix_holds_the_shares_of_the_positions(
    source: int, target: int, align_corners: bool, data: st.DataObject
) -> None:
    along = taps(source, target, align_corners=align_corners)
    first = data.draw(st.integers(0, target - 1))
    pixels = slice(first, data.draw(st.integers(first + 1, target)))
    values = np.random.default_rng(source).random((1, source, 1))
    expected = upsampled(values, (target, 1), align_corners=align_corners)[0, pixels, 0]
    found = along.matrix(pixels) @ values[0, along.support(pixels), 0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [1, 7, 480])
@pytest.mark.parametrize("align_corners", [False, True])
def test_the_same_size_is_the_identity(size: int, align_corners: bool) -> None:
    along = taps(size, size, align_corners=align_corners)
    np.testing.assert_array_equal(along.matrix(slice(0, size)), np.eye(size, dtype=np.float32))
    assert along.support(slice(0, 1)) == slice(0, 1)  # no position that has no share


@given(st.integers(0, 60), st.integers(0, 59))
def test_a_block_is_both_steps_and_the_weights(start: int, first: int) -> None:
    """A window of 40 of the 100 pixels of a resized picture, which is resized to 60."""
    shares = np.random.default_rng(start).random(40, np.float32)
    up, back = taps(5, 40, align_corners=False), taps(100, 60, align_corners=True)
    span = Span(start, shares, None, 40, 5, up, back)
    logits = np.random.default_rng(first).random(5)
    window = np.zeros(100)
    window[start : start + 40] = shares * (up.matrix(slice(0, 40)) @ logits)
    pixels = slice(first, min(first + 7, 60))
    expected = (back.matrix(slice(0, 60)) @ window)[pixels]
    block = span.block(pixels)
    if block is None:
        assert not expected.any()
        assert span.positions_of(pixels) is None
    else:
        assert span.positions_of(pixels) == block.positions
        np.testing.assert_allclose(block.both @ logits[block.positions], expected, atol=1e-6)
