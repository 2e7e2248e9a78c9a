"""Outputs, gradients and running statistics of training, compared with torch in float64."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from exports import difference, widened
from fastfcn_export.network.architecture import Architecture
from fastfcn_export.network.choice import NetworkChoice, architecture
from fastfcn_export.network.fastfcn import Outputs, fastfcn_training
from fastfcn_export.network.primitives import Weights
from fastfcn_export.target.random_weights import random_weights
from networks import CASES

paddle = pytest.importorskip("paddle")
torch = pytest.importorskip("torch")

from fastfcn_training.network.paddle_network import TrainingNetwork  # noqa: E402 - needs Paddle
from torch_training import Textbook  # noqa: E402 - needs torch

# Of the largest value of a tensor. Paddle keeps momentum, epsilon and the positions of a resize in
# float32 whatever the type of the tensors.
FLOAT64 = 1e-5

Array = NDArray[Any]


def score(outputs: Outputs[Any], factors: list[Array], library: Any) -> Any:
    """Weigh every number of every output: a scalar that depends on all of them."""
    make = library.to_tensor if library is paddle else library.from_numpy
    parts = (outputs.main, outputs.auxiliary, outputs.semantic)
    terms = [(p * make(f)).sum() for p, f in zip(parts, factors, strict=True) if p is not None]
    return sum(terms[1:], terms[0])


def factors_of(outputs: Outputs[Any]) -> list[Array]:
    random = np.random.default_rng(11)
    parts = (outputs.main, outputs.auxiliary, outputs.semantic)
    return [np.zeros(0) if p is None else random.normal(size=tuple(p.shape)) for p in parts]


def compare(network: Architecture, weights: Weights, *, frozen: bool = False) -> None:
    """One forward and backward pass in both libraries."""
    pixels = np.random.default_rng(7).normal(size=(3, 3, 65, 49))
    live = TrainingNetwork(network, weights, freeze_norms=frozen, dropout=False, dtype="float64")
    live.train()
    mine = live(paddle.to_tensor(pixels))
    factors = factors_of(mine)
    score(mine, factors, paddle).backward()

    theirs = {name: torch.from_numpy(array) for name, array in widened(weights).items()}
    for name in live.named_trainable():
        theirs[name].requires_grad_()
    textbook = Textbook(theirs, frozen=frozen)
    expected = fastfcn_training(textbook, network, torch.from_numpy(pixels))
    score(expected, factors, torch).backward()

    for one, other in (
        (mine.main, expected.main),
        (mine.auxiliary, expected.auxiliary),
        (mine.semantic, expected.semantic),
    ):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert difference(one.numpy(), other.detach().numpy()) <= FLOAT64
    largest = max(float(t.grad.abs().max()) for t in theirs.values() if t.requires_grad)
    for name, tensor in live.named_trainable().items():
        gradient = theirs[name].grad.numpy()
        # The bias of a convolution before a norm has no gradient but rounding.
        scale = max(float(np.abs(gradient).max()), 1e-6 * largest)
        assert np.abs(tensor.grad.numpy() - gradient).max() <= FLOAT64 * scale, name
    for name, moved in textbook.statistics.items():
        assert difference(live.weights()[name], moved) <= FLOAT64, name


@pytest.mark.parametrize("case", CASES)
def test_gradients_of_every_tensor_and_running_statistics_are_torchs(case: str) -> None:
    network = CASES[case][1]
    compare(network, random_weights(network))


@pytest.mark.parametrize("case", ["wuhuikai_encnet", "paddleseg_os8_laterals", "wuhuikai_psp"])
def test_gradients_through_frozen_norms_are_torchs(case: str) -> None:
    network = CASES[case][1]
    compare(network, random_weights(network), frozen=True)


@pytest.mark.parametrize("form", ["plain", "deep", "v1c", "vd"])
def test_gradients_of_basic_blocks_are_torchs(form: Any) -> None:
    choice = NetworkChoice(
        "resnet18", form, 4, jpu_width=8, head_width=12, codes=5, auxiliary_width=6,
        family="paddleseg" if form == "vd" else "wuhuikai",
    )  # fmt: skip
    network = architecture(choice, 7)
    compare(network, random_weights(network))
