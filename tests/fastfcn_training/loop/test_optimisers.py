"""Five steps of every optimiser beside torch's, and its memory carried into another process."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.errors import CheckpointError
from fastfcn_training.recipe.recipe import Optimiser

paddle = pytest.importorskip("paddle")

from fastfcn_training.loop.optimisers import NamedOptimiser  # noqa: E402 - needs it

SHAPES = {
    "backbone.stem.0.conv.weight": (4, 3, 3, 3),
    "backbone.stem.0.norm.bias": (4,),
    "head.classifier.weight": (5, 4, 1, 1),
    "head.encoding.scale": (3,),
}
RATES = (0.1, 0.09, 0.05, 0.2, 0.01)

Arrays = Mapping[str, NDArray[np.float32]]


def draw(seed: int, size: float = 1.0) -> Arrays:
    random = np.random.default_rng(seed)
    return {n: random.normal(0, size, s).astype(np.float32) for n, s in SHAPES.items()}


def tensors(values: Arrays) -> dict[str, Any]:
    """Make parameters as the live network has them."""
    found = {}
    for name, value in values.items():
        tensor = paddle.create_parameter(list(value.shape), "float32")
        tensor.set_value(value)
        found[name] = tensor
    return found


def step(optimiser: NamedOptimiser, live: Mapping[str, Any], number: int) -> None:
    """Move along gradients that depend on the step's number alone."""
    for name, gradient in draw(100 + number).items():
        # A product with a constant has that constant as its gradient.
        (live[name] * paddle.to_tensor(gradient)).sum().backward()
    optimiser.paddle.set_lr(RATES[number])
    optimiser.paddle.step()
    optimiser.paddle.clear_grad()


def values(live: Mapping[str, Any]) -> Arrays:
    return {name: tensor.numpy().copy() for name, tensor in live.items()}


def assert_close(ours: Arrays, theirs: Arrays, tolerance: float = 2e-6) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=tolerance, atol=tolerance)


SGD = Optimiser("sgd", momentum=0.9, weight_decay=0.01, head_factor=10.0)
ADAMW = Optimiser("adamw", weight_decay=0.05, head_factor=3.0)
WANTED = [
    SGD,
    Optimiser("sgd", momentum=0.0, weight_decay=0.0, head_factor=1.0),
    Optimiser("sgd", momentum=0.5, weight_decay=0.1, head_factor=2.0, clip_norm=0.7),
    ADAMW,
    Optimiser("adamw", weight_decay=0.0, head_factor=1.0, clip_norm=0.5),
    Optimiser("adamw", weight_decay=0.5, head_factor=0.5, clip_norm=1e6),
]


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_five_steps_are_torch_s(wanted: Optimiser) -> None:
    torch = pytest.importorskip("torch")
    live = tensors(draw(0))
    ours = NamedOptimiser(wanted, live)
    theirs = {name: torch.tensor(value, requires_grad=True) for name, value in draw(0).items()}
    groups: list[dict[str, Any]] = [{"params": [], "factor": f} for f in (1, wanted.head_factor)]
    for name, tensor in theirs.items():
        groups[not name.startswith("backbone.")]["params"].append(tensor)
    if wanted.kind == "sgd":
        optimiser = torch.optim.SGD(
            groups, lr=1.0, momentum=wanted.momentum, weight_decay=wanted.weight_decay
        )
    else:
        optimiser = torch.optim.AdamW(groups, lr=1.0, weight_decay=wanted.weight_decay)
    for number in range(5):
        step(ours, live, number)
        for name, gradient in draw(100 + number).items():
            theirs[name].grad = torch.tensor(gradient)
        if wanted.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(theirs.values(), wanted.clip_norm)
        for group in optimiser.param_groups:
            group["lr"] = RATES[number] * group["factor"]
        optimiser.step()
        assert_close(values(live), {n: t.detach().numpy() for n, t in theirs.items()}, 1e-5)


@pytest.mark.parametrize("wanted", [SGD, ADAMW], ids=str)
def test_after_a_round_trip_it_goes_on_as_if_nothing_had_been(wanted: Optimiser) -> None:
    live = tensors(draw(0))
    optimiser = NamedOptimiser(wanted, live)
    for number in range(2):
        step(optimiser, live, number)
    # Other tensors: Paddle gives them other names, as another process may.
    again = tensors(values(live))
    resumed = NamedOptimiser(wanted, again)
    resumed.load(optimiser.state())
    for number in range(2, 5):
        step(optimiser, live, number)
        step(resumed, again, number)
        assert_close(values(again), values(live), 0)
    assert_close(resumed.state(), optimiser.state(), 0)


@pytest.mark.parametrize("wanted", [SGD, ADAMW], ids=str)
def test_what_was_loaded_is_there_before_the_first_step(wanted: Optimiser) -> None:
    live = tensors(draw(0))
    optimiser = NamedOptimiser(wanted, live)
    assert optimiser.state() == {}
    step(optimiser, live, 0)
    other = NamedOptimiser(wanted, tensors(draw(0)))
    other.load(optimiser.state())
    assert_close(other.state(), optimiser.state(), 0)


def test_the_state_says_of_every_tensor_by_our_names_what_the_optimiser_remembers() -> None:
    for wanted, kinds in (
        (SGD, ["velocity_0"]),
        (ADAMW, ["beta1_pow_acc_0", "beta2_pow_acc_0", "moment1_0", "moment2_0"]),
    ):
        live = tensors(draw(0))
        optimiser = NamedOptimiser(wanted, live)
        step(optimiser, live, 0)
        assert sorted(optimiser.state()) == sorted(f"{n}|{kind}" for n in SHAPES for kind in kinds)


def test_a_state_of_other_tensors_is_refused_with_all_faults() -> None:
    live = tensors(draw(0))
    optimiser = NamedOptimiser(SGD, live)
    step(optimiser, live, 0)
    state = dict(optimiser.state())
    del state["head.encoding.scale|velocity_0"]
    state["head.classifier.weight|velocity_0"] = np.zeros((5, 5, 1, 1), np.float32)
    state["jpu.p3.conv.weight|velocity_0"] = np.zeros(1, np.float32)
    with pytest.raises(CheckpointError) as refused:
        NamedOptimiser(SGD, tensors(draw(0))).load(state)
    for fault in (
        "missing: head.encoding.scale|velocity_0",
        "unexpected: jpu.p3.conv.weight|velocity_0",
        "misshapen: head.classifier.weight|velocity_0 is [5, 5, 1, 1], expected [5, 4, 1, 1]",
    ):
        assert fault in str(refused.value)


def test_a_state_of_another_kind_is_refused() -> None:
    live = tensors(draw(0))
    optimiser = NamedOptimiser(SGD, live)
    step(optimiser, live, 0)
    with pytest.raises(CheckpointError, match="does not belong to adamw"):
        NamedOptimiser(ADAMW, tensors(draw(0))).load(optimiser.state())
