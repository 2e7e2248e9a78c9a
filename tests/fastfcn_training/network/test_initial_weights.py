"""First weights have the spread that the published trainings began with, and follow from a seed."""

from math import prod, sqrt

import numpy as np
import pytest

from fastfcn_export.network.architecture import Architecture, Auxiliary, Fcn
from fastfcn_export.target.targets import cost
from fastfcn_training.network.initial_weights import initial_weights
from networks import CASES


@pytest.mark.parametrize("case", CASES)
def test_every_tensor_of_a_network_is_drawn_with_its_shape(case: str) -> None:
    architecture = CASES[case][1]
    weights = initial_weights(architecture, 0)
    assert {name: array.shape for name, array in weights.items()} == cost.tensors(architecture)
    assert {array.dtype for array in weights.values()} == {np.dtype(np.float32)}


def test_norms_begin_as_the_identity() -> None:
    weights = initial_weights(CASES["wuhuikai_jpu_x"][1], 3)
    norms = {name: array for name, array in weights.items() if ".norm." in name}
    assert len(norms) > 50
    for name, array in norms.items():
        assert set(array.tolist()) == {1.0 if name.endswith((".weight", ".var")) else 0.0}, name


def test_backbone_convolutions_spread_by_what_they_feed() -> None:
    # He et al.: a normal distribution of variance 2 / (kernel area x output channels).
    weights = initial_weights(CASES["wuhuikai_encnet"][1], 0)
    array = weights["backbone.stage3.1.conv2.conv.weight"]
    draws = np.concatenate(
        [
            initial_weights(CASES["wuhuikai_encnet"][1], seed)[
                "backbone.stage3.1.conv2.conv.weight"
            ].reshape(-1)
            for seed in range(20)
        ]
    )
    wanted = sqrt(2 / (9 * array.shape[0]))
    assert draws.std() == pytest.approx(wanted, rel=0.03)
    assert abs(draws).max() > 2.5 * wanted  # a normal distribution has no bound


@pytest.mark.parametrize(
    "name",
    [
        "jpu.p5.conv.weight",
        "head.gate.weight",
        "head.project.conv.bias",
        "auxiliary.conv.conv.bias",
    ],
)
def test_all_else_is_uniform_within_torch_s_bound(name: str) -> None:
    architecture = CASES["paddleseg_os32"][1]
    matrix = cost.tensors(architecture)[f"{name.rpartition('.')[0]}.weight"]
    bound = 1 / sqrt(prod(matrix[1:]))
    draws = np.concatenate(
        [initial_weights(architecture, seed)[name].reshape(-1) for seed in range(40)]
    )
    assert abs(draws).max() <= bound
    assert abs(draws).max() > 0.9 * bound
    assert draws.std() == pytest.approx(bound / sqrt(3), rel=0.1)


def test_the_encoding_begins_as_its_authors_have_it() -> None:
    # Code words within 1 / sqrt(K C), factors of the distances between -1 and 0.
    weights = initial_weights(CASES["wuhuikai_encnet"][1], 0)
    codes, channels = weights["head.encoding.codewords"].shape
    words, scale = weights["head.encoding.codewords"], weights["head.encoding.scale"]
    assert 0.8 / sqrt(codes * channels) < abs(words).max() <= 1 / sqrt(codes * channels)
    assert words.min() < 0 < words.max()
    assert -1 <= scale.min() <= scale.max() <= 0
    assert len(set(scale.tolist())) == codes


def test_a_tensor_depends_on_its_name_its_shape_and_the_seed_alone() -> None:
    whole = CASES["wuhuikai_fcn"][1]
    more = Architecture(2, whole.backbone, whole.jpu, Fcn(8), Auxiliary(4))
    weights, again, other = (
        initial_weights(whole, 5),
        initial_weights(more, 5),
        initial_weights(whole, 6),
    )
    for name, array in weights.items():
        assert np.array_equal(array, again[name])
        assert ".norm." in name or not np.array_equal(array, other[name])
