import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastfcn_export.target import fusion
from fastfcn_export.target.fusion import BatchNorm

# Both sides are float64 sums of a few hundred terms of about 1; the rest is rounding.
IDENTICAL = 1e-12

Array = NDArray[np.float64]
SEEDS = st.integers(0, 2**32 - 1)
CHANNELS = st.integers(1, 9)


def norm(random: np.random.Generator, channels: int) -> BatchNorm:
    weight, bias, mean = random.normal(size=(3, channels))
    return BatchNorm(weight, bias, mean, random.uniform(1e-4, 2, channels))


def normalised(x: Array, norm: BatchNorm) -> Array:
    """Batch norm as its paper writes it, over channels at axis 1."""
    weight, bias, mean, var = (
        v[:, None, None] for v in (norm.weight, norm.bias, norm.mean, norm.var)
    )
    return np.asarray(weight * (x - mean) / np.sqrt(var + 1e-5) + bias)


def convolved(x: Array, weight: Array, *, depthwise: bool = False, dilation: int = 1) -> Array:
    """Convolve by the definition, zeros outside, one output pixel at a time."""
    reach = dilation * (weight.shape[2] // 2)
    padded = np.pad(x, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    out = np.empty((len(x), len(weight), *x.shape[2:]))
    for i, j in np.ndindex(*x.shape[2:]):
        seen = padded[:, :, i : i + 2 * reach + 1 : dilation, j : j + 2 * reach + 1 : dilation]
        if depthwise:
            out[:, :, i, j] = (seen * weight[:, 0]).sum((2, 3))
        else:
            out[:, :, i, j] = np.einsum("nckl,ockl->no", seen, weight)
    return out


@given(SEEDS, CHANNELS, CHANNELS, st.sampled_from([1, 3]), st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_folded_norm_is_convolution_then_norm(
    seed: int, inputs: int, outputs: int, kernel: int, biased: bool
) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=(2, inputs, 5, 4))
    weight = random.normal(size=(outputs, inputs, kernel, kernel))
    bias = random.normal(size=outputs) if biased else None
    after = norm(random, outputs)
    unfused = convolved(x, weight)
    if bias is not None:
        unfused = unfused + bias[:, None, None]
    folded, shift = fusion.fold_norm(weight, bias, after)
    fused = convolved(x, folded) + shift[:, None, None]
    expected = normalised(unfused, after)
    assert np.allclose(fused, expected, rtol=0, atol=IDENTICAL * np.abs(expected).max())


@given(SEEDS, CHANNELS, CHANNELS, st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_a_folded_separable_branch_is_the_branch_up_to_its_border(
    seed: int, inputs: int, outputs: int, dilation: int
) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=(2, inputs, 5, 4))
    depthwise = random.normal(size=(inputs, 1, 3, 3))
    pointwise = random.normal(size=(outputs, inputs, 1, 1))
    inner, outer = norm(random, inputs), norm(random, outputs)
    middle = normalised(convolved(x, depthwise, depthwise=True, dilation=dilation), inner)
    expected = normalised(convolved(middle, pointwise), outer)
    first, second, bias = fusion.fold_separable(depthwise, inner, pointwise, outer)
    middle = convolved(x, first, depthwise=True, dilation=dilation)
    fused = convolved(middle, second) + bias[:, None, None]
    # Norms of tiny variance scale by 100 twice, and what cancels leaves their rounding.
    assert np.allclose(fused, expected, rtol=0, atol=100 * IDENTICAL * np.abs(expected).max())


@given(SEEDS, CHANNELS, CHANNELS)
@settings(max_examples=30, deadline=None)
def test_an_affine_map_folds_into_the_pointwise_convolution_behind_it(
    seed: int, inputs: int, outputs: int
) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=(2, inputs, 3, 4))
    pointwise = random.normal(size=(outputs, inputs, 1, 1))
    weight, bias = random.normal(size=(2, inputs))
    expected = convolved(x * weight[:, None, None] + bias[:, None, None], pointwise)
    folded, shift = fusion.fold_affine_before(pointwise, weight, bias)
    fused = convolved(x, folded) + shift[:, None, None]
    assert np.allclose(fused, expected, rtol=0, atol=IDENTICAL * max(1, np.abs(expected).max()))


@given(SEEDS, st.integers(1, 20), CHANNELS, CHANNELS)
@settings(max_examples=30, deadline=None)
def test_the_encoding_terms_are_the_scaled_squared_distances(
    seed: int, pixels: int, channels: int, codes: int
) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=(pixels, channels))
    words, scale = random.normal(size=(codes, channels)), random.uniform(-1, 0, codes)
    expected = np.array([[s * sum((p - d) ** 2) for d, s in zip(words, scale, strict=True)] for p in x])  # fmt: skip
    matrix, offset = fusion.encoding_terms(words, scale)
    fused = scale * np.square(x).sum(1, keepdims=True) + x @ matrix + offset
    assert np.allclose(fused, expected, rtol=0, atol=IDENTICAL * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_fusion_answers_in_the_precision_it_is_given(dtype: type[np.floating]) -> None:
    random = np.random.default_rng(1)

    def draw(*shape: int) -> NDArray[np.floating]:
        return random.uniform(0.5, 1, shape).astype(dtype)

    after = BatchNorm(draw(4), draw(4), draw(4), draw(4))
    made = [
        *fusion.fold_norm(draw(4, 3, 1, 1), None, after),
        *fusion.fold_separable(draw(4, 1, 3, 3), after, draw(4, 4, 1, 1), after),
        *fusion.fold_affine_before(draw(4, 3, 1, 1), draw(3), draw(3)),
        *fusion.encoding_terms(draw(5, 3), draw(5)),
    ]
    assert {array.dtype for array in made} == {np.dtype(dtype)}


def test_a_norm_of_no_variance_divides_by_the_root_of_its_epsilon() -> None:
    one, zero = np.ones(1), np.zeros(1)
    scale, shift = BatchNorm(one, one, zero, zero).affine()
    assert scale == pytest.approx(1e-5**-0.5, rel=1e-15)
    assert shift == 1
