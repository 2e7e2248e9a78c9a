"""The reference itself is compared with torch, primitive by primitive."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastfcn_export.target.targets import reference
from fastfcn_export.target.targets.reference import NumpyOps

torch = pytest.importorskip("torch")

# float64 on both sides; only the order of sums differs.
SAME = 1e-12
SIZES = st.tuples(st.integers(1, 13), st.integers(1, 13))

Array = NDArray[Any]


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng((seed, *shape)).normal(size=shape)


def ops(weights: Mapping[str, Array] | None = None) -> NumpyOps:
    return NumpyOps(weights or {}, np.dtype(np.float64))


def agree(found: Array, expected: Any) -> None:
    theirs = expected.detach().numpy()
    assert found.shape == theirs.shape
    assert np.abs(found - theirs).max() <= SAME * max(1.0, np.abs(theirs).max())


def tensor(array: Array) -> Any:
    return torch.from_numpy(np.ascontiguousarray(array))


def norm_weights(layer: str, channels: int, seed: int) -> dict[str, Array]:
    values = drawn(4, channels, seed=seed)
    values[3] = np.abs(values[3])
    return {
        f"{layer}.norm.{part}": value
        for part, value in zip(("weight", "bias", "mean", "var"), values, strict=True)
    }


def batch_norm(x: Any, weights: Mapping[str, Array], layer: str) -> Any:
    weight, bias, mean, var = (
        tensor(weights[f"{layer}.norm.{part}"]) for part in ("weight", "bias", "mean", "var")
    )
    return torch.nn.functional.batch_norm(x, mean, var, weight, bias, eps=1e-5)


@given(SIZES, SIZES, st.booleans())
@settings(max_examples=60, deadline=None)
def test_resize_is_bilinear_interpolation_in_both_conventions(
    source: tuple[int, int], target: tuple[int, int], align_corners: bool
) -> None:
    x = drawn(2, 3, *source)
    theirs = torch.nn.functional.interpolate(
        tensor(x), target, mode="bilinear", align_corners=align_corners
    )
    agree(reference.resize(x, target, align_corners=align_corners), theirs)


@given(SIZES)
@settings(max_examples=30, deadline=None)
def test_max_pool_is_3x3_stride_2_padding_1(size: tuple[int, int]) -> None:
    x = drawn(2, 3, *size)
    agree(ops().max_pool(x), torch.nn.MaxPool2d(3, 2, 1)(tensor(x)))


@given(SIZES)
@settings(max_examples=30, deadline=None)
def test_average_pool_counts_only_the_pixels_that_exist(size: tuple[int, int]) -> None:
    x = drawn(2, 3, *size)
    theirs = torch.nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
    agree(ops().average_pool(x), theirs(tensor(x)))


@given(SIZES)
@settings(max_examples=30, deadline=None)
def test_grid_pools_are_adaptive_average_pools(size: tuple[int, int]) -> None:
    x = drawn(2, 3, *size)
    for bins, found in zip((1, 2, 3, 6), ops().grid_pools(x, (1, 2, 3, 6)), strict=True):
        agree(found, torch.nn.AdaptiveAvgPool2d(bins)(tensor(x)))


@given(
    SIZES, st.sampled_from([(1, 1), (3, 1), (3, 2), (7, 2), (1, 2)]), st.integers(1, 3), st.booleans()
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_conv_norm_is_convolution_batch_norm_and_relu(
    size: tuple[int, int], kind: tuple[int, int], dilation: int, relu: bool
) -> None:
    kernel, stride = kind
    x = drawn(2, 3, *size)
    weights = norm_weights("a", 5, seed=2)
    weights["a.conv.weight"] = drawn(5, 3, kernel, kernel)
    weights["a.conv.bias"] = drawn(5)
    found = ops(weights).conv_norm(
        x, "a", 5, kernel=kernel, stride=stride, dilation=dilation, bias=True, relu=relu
    )
    theirs = torch.nn.functional.conv2d(
        tensor(x), tensor(weights["a.conv.weight"]), tensor(weights["a.conv.bias"]),
        stride=stride, padding=dilation * (kernel // 2), dilation=dilation,
    )  # fmt: skip
    theirs = batch_norm(theirs, weights, "a")
    agree(found, torch.relu(theirs) if relu else theirs)


@pytest.mark.parametrize("kind", ["batch", "group"])
@pytest.mark.parametrize("dilation", [1, 8])
def test_separable_has_no_relu_between_its_convolutions(kind: Any, dilation: int) -> None:
    x = drawn(2, 64, 7, 9)
    weights = norm_weights("a.depthwise", 64, 1) | norm_weights("a.pointwise", 32, 2)
    weights["a.depthwise.conv.weight"] = drawn(64, 1, 3, 3)
    weights["a.pointwise.conv.weight"] = drawn(32, 64, 1, 1)

    def normal(y: Any, layer: str) -> Any:
        if kind == "batch":
            return batch_norm(y, weights, layer)
        weight, bias = (tensor(weights[f"{layer}.norm.{part}"]) for part in ("weight", "bias"))
        return torch.nn.functional.group_norm(y, 32, weight, bias, eps=1e-5)

    y = torch.nn.functional.conv2d(
        tensor(x), tensor(weights["a.depthwise.conv.weight"]),
        padding=dilation, dilation=dilation, groups=64,
    )  # fmt: skip
    y = normal(y, "a.depthwise")
    y = torch.nn.functional.conv2d(y, tensor(weights["a.pointwise.conv.weight"]))
    theirs = torch.relu(normal(y, "a.pointwise"))
    agree(ops(weights).separable(x, "a", 32, dilation=dilation, norm=kind), theirs)


def test_encode_sums_residuals_over_pixels_and_averages_over_codes() -> None:
    x, words, scale = drawn(2, 6, 33, 35), drawn(3, 6), -np.abs(drawn(3))  # more than a block
    weights = norm_weights("e", 3, 4) | {"e.codewords": words, "e.scale": scale}
    pixels = tensor(x).flatten(2).transpose(1, 2).unsqueeze(2)  # (N, P, 1, C)
    residuals = pixels - tensor(words)
    share = torch.softmax(tensor(scale) * (residuals**2).sum(3), 2)  # no minus: scale has the sign
    encoding = (share.unsqueeze(3) * residuals).sum(1)  # (N, K, C)
    theirs = torch.relu(batch_norm(encoding, weights, "e")).mean(1)
    agree(ops(weights).encode(x, "e", 3), theirs)


def test_gate_adds_the_map_weighted_by_the_sigmoid() -> None:
    x, vector = np.abs(drawn(2, 6, 4, 5)), drawn(2, 6) * 100
    weight = torch.sigmoid(tensor(vector))[:, :, None, None]
    agree(ops().gate(x, vector), torch.relu(tensor(x) + tensor(x) * weight))


def test_linear_and_classify_are_torch_s() -> None:
    weights = {"l.weight": drawn(5, 6), "l.bias": drawn(5)}
    x = drawn(2, 6)
    theirs = torch.nn.functional.linear(tensor(x), *(tensor(w) for w in weights.values()))
    agree(ops(weights).linear(x, "l", 5), theirs)
    weights["l.weight"] = drawn(5, 6, 1, 1)
    x = drawn(2, 6, 3, 4)
    theirs = torch.nn.functional.conv2d(tensor(x), *(tensor(w) for w in weights.values()))
    agree(ops(weights).classify(x, "l", 5), theirs)


def test_a_tensor_of_another_shape_is_not_taken() -> None:
    weights = {"l.weight": drawn(5, 7), "l.bias": drawn(5)}
    with pytest.raises(
        ValueError, match=r"l\.weight has shape \(5, 7\); the network wants \(5, 6\)"
    ):
        ops(weights).linear(drawn(2, 6), "l", 5)
