"""Outputs are averaged over frames as the formula says, call by call."""

from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Output
from fastfcn_infer.inference.stream.smoothing import Smoothed
from models import tiny_model


class Given:
    """A network whose outputs are given."""

    def __init__(self, *outputs: NDArray[np.float32]) -> None:
        self._outputs = iter(outputs)

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        return next(self._outputs)


def outputs(seed: int, *shapes: tuple[int, ...]) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def test_each_call_of_a_frame_is_averaged_with_its_own_past() -> None:
    shapes = [(2, 5, 8, 8), (1, 5, 4, 6)]
    frames = [outputs(seed, *shapes) for seed in range(4)]
    network = Smoothed(Given(*chain.from_iterable(frames)), 0.75, tiny_model(5))
    expected = [frames[0][0].astype(float), frames[0][1].astype(float)]
    for index, frame in enumerate(frames):
        network.start_frame((64, 64))
        for call, now in enumerate(frame):
            if index:
                expected[call] = 0.75 * expected[call] + 0.25 * now
            found = network.run(np.zeros(1))
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected[call], atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 5, 8, 9), (1, 5, 8, 8)])  # windows of it may have one size
def test_a_frame_of_another_size_starts_again(shape: tuple[int, ...]) -> None:
    first, other, back = outputs(0, (1, 5, 8, 8), shape, (1, 5, 8, 8))
    network = Smoothed(Given(first, other, back), 0.9, tiny_model(5))
    for size, expected in (((64, 80), first), ((80, 64), other), ((64, 80), back)):
        network.start_frame(size)
        assert np.array_equal(network.run(np.zeros(1)), expected)


@pytest.mark.parametrize("factor", [-0.1, 1.0, 7.0, float("nan")])
def test_a_weight_out_of_range_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="from 0 to below 1"):
        Smoothed(Given(), factor, tiny_model(5))


def test_labels_cannot_be_smoothed() -> None:
    with pytest.raises(ValueError, match="exported with --output labels"):
        Smoothed(Given(), 0.5, replace(tiny_model(5), output=Output("labels", 1)))
