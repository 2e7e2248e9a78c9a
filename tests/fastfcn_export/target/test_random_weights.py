from dataclasses import replace

import numpy as np
import pytest

from fastfcn_export.target.random_weights import random_weights
from fastfcn_export.target.targets import cost, reference
from networks import CASES


@pytest.mark.parametrize("case", CASES)
def test_every_tensor_of_a_network_is_drawn_in_float32(case: str) -> None:
    architecture = CASES[case][1]
    drawn = random_weights(architecture)
    assert {name: array.shape for name, array in drawn.items()} == cost.tensors(architecture)
    assert {array.dtype for array in drawn.values()} == {np.dtype(np.float32)}
    assert all((a > 0).all() for name, a in drawn.items() if name.endswith(".norm.var"))


def test_a_tensor_depends_on_its_name_its_shape_and_the_seed_alone() -> None:
    architecture = CASES["wuhuikai_encnet"][1]
    first, again = random_weights(architecture), random_weights(architecture)
    other_head = random_weights(replace(architecture, classes=9))
    other_seed = random_weights(architecture, seed=1)
    for name, array in first.items():
        assert np.array_equal(array, again[name])
        assert not np.array_equal(array, other_seed[name])
        if other_head[name].shape == array.shape:
            assert np.array_equal(array, other_head[name])


@pytest.mark.parametrize("case", CASES)
def test_logits_are_neither_flat_nor_out_of_range(case: str) -> None:
    architecture = CASES[case][1]
    image = np.random.default_rng(0).normal(size=(1, 3, 65, 65)).astype(np.float32)
    logits = reference.logits(architecture, random_weights(architecture), image)
    assert 0.05 < logits.std() < 100  # trained networks have about 3
    assert len(np.unique(logits.argmax(1))) > 1
