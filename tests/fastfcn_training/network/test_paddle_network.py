"""The network in Paddle, compared with NumPy in evaluation and with torch in training."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from exports import difference, widened
from fastfcn_export.network.architecture import Architecture
from fastfcn_export.network.choice import NetworkChoice, architecture
from fastfcn_export.network.primitives import Weights
from fastfcn_export.target.random_weights import random_weights
from fastfcn_export.target.targets import reference
from fastfcn_infer.errors import CheckpointError
from networks import CASES

paddle = pytest.importorskip("paddle")

from fastfcn_training.network.paddle_network import MOMENTUM, PaddleOps, TrainingNetwork  # noqa: E402 - needs it

SIZE = (65, 49)  # odd, so that halves are rounded at every stage
FLOAT32 = 1e-5  # of the largest value

Array = NDArray[Any]
SMALL = NetworkChoice(
    "resnet18", "deep", 8, jpu_width=8, head_width=12, codes=5, auxiliary_width=6
)


def image(count: int = 2, size: tuple[int, int] = SIZE) -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(count, 3, *size)).astype(np.float32)


def small(**options: Any) -> tuple[TrainingNetwork, Weights]:
    network = architecture(SMALL, 7)
    weights = random_weights(network)
    return TrainingNetwork(network, weights, **options), weights


def outputs(network: TrainingNetwork, pixels: Array) -> list[Array]:
    found = network(paddle.to_tensor(pixels))
    parts = (found.main, found.auxiliary, found.semantic)
    return [part.numpy() for part in parts if part is not None]


def check_evaluation(network: Architecture) -> None:
    weights = random_weights(network)
    live = TrainingNetwork(network, weights)
    live.eval()
    textbook = reference.training_outputs(network, weights, image())
    expected = [
        part for part in (textbook.main, textbook.auxiliary, textbook.semantic) if part is not None
    ]
    for mine, theirs in zip(outputs(live, image()), expected, strict=True):
        assert difference(mine, theirs) <= FLOAT32
    assert difference(live.logits(paddle.to_tensor(image())).numpy(), textbook.main) <= FLOAT32


@pytest.mark.parametrize("case", CASES)
def test_in_evaluation_all_outputs_are_those_of_the_reference(case: str) -> None:
    check_evaluation(CASES[case][1])


def backbones() -> Iterator[Any]:
    """Every depth in every form at every stride; the two deepest, whose blocks are those of
    resnet50, in one form each."""
    forms: tuple[Literal["plain", "deep", "v1c", "vd"], ...] = ("plain", "deep", "v1c", "vd")
    for depth in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"):
        for form in forms:
            for stride in (8, 16, 32):
                if depth not in ("resnet101", "resnet152") or (form, stride) == ("deep", 32):
                    yield pytest.param(depth, form, stride, id=f"{depth}-{form}-{stride}")


@pytest.mark.parametrize(("depth", "form", "stride"), list(backbones()))
def test_every_backbone_source_a_choice_computes_what_the_reference_computes(
    depth: Any, form: Any, stride: Any
) -> None:
    choice = NetworkChoice(
        depth,
        form,
        4,
        stride,
        jpu_width=8,
        head_width=12,
        codes=5,
        auxiliary_width=6,
        family="paddleseg" if form == "vd" else "wuhuikai",
    )
    check_evaluation(architecture(choice, 7))


def test_running_statistics_move_a_tenth_of_the_way_to_those_of_the_batch() -> None:
    network, weights = small(dtype="float64")
    network.train()
    pixels = image().astype(np.float64)
    outputs(network, pixels)
    stem = paddle.nn.functional.conv2d(
        paddle.to_tensor(pixels),
        paddle.to_tensor(widened(weights)["backbone.stem.0.conv.weight"]),
        None,
        2,
        1,
    ).numpy()
    found = network.weights()
    for part, batch in (("mean", stem.mean((0, 2, 3))), ("var", stem.var((0, 2, 3)))):
        name = f"backbone.stem.0.norm.{part}"
        expected = MOMENTUM * weights[name].astype(np.float64) + (1 - MOMENTUM) * batch
        # Paddle's momentum is a float32; PyTorch's variances would be 6e-4 of themselves larger.
        np.testing.assert_allclose(found[name], expected, rtol=1e-6)


def test_frozen_norms_compute_as_in_evaluation_and_keep_their_statistics() -> None:
    network, weights = small(freeze_norms=True, dropout=False)
    network.eval()
    expected = outputs(network, image())
    network.train()
    for mine, theirs in zip(outputs(network, image()), expected, strict=True):
        assert difference(mine, theirs) <= FLOAT32
    for name, tensor in network.weights().items():
        np.testing.assert_array_equal(tensor, weights[name])


def test_dropout_drops_whole_channels_while_training_and_the_rest_makes_up_for_them() -> None:
    ones = paddle.ones([4, 500, 3, 2])
    dropped = PaddleOps({}, {}, learn_norms=True, dropout=True).dropout(ones, 0.1).numpy()
    first = dropped[:, :, :1, :1]
    assert (dropped == first).all()
    assert set(np.unique(first)) == {np.float32(0), np.float32(1) / np.float32(0.9)}
    assert 0.07 < (first == 0).mean() < 0.13  # 2000 channels: six standard deviations around 0.1
    kept = PaddleOps({}, {}, learn_norms=True, dropout=False).dropout(ones, 0.1).numpy()
    assert (kept == 1).all()


def test_two_passes_differ_by_dropout_alone() -> None:
    for dropout, same in ((True, False), (False, True)):
        network, _ = small(dropout=dropout)
        network.train()
        many = image(8)  # of fewer channels, two passes may drop the same by chance
        first, second = outputs(network, many), outputs(network, many)
        assert np.array_equal(first[0], second[0]) is same
        assert np.array_equal(first[1], second[1]) is same
        network.eval()
        assert np.array_equal(outputs(network, image())[0], outputs(network, image())[0])


def test_joint_norms_are_all_but_the_depthwise_ones_and_hold_the_same_tensors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Joint(paddle.nn.SyncBatchNorm):  # type: ignore[misc,name-defined]
        """The real one but for its arithmetic, which Paddle has on GPUs only."""

        calls = 0

        def forward(self, x: Any) -> Any:
            Joint.calls += 1
            return paddle.nn.functional.batch_norm(
                x, self._mean, self._variance, self.weight, self.bias, True,
                self._momentum, self._epsilon,
            )  # fmt: skip

    alone, weights = small(dropout=False)
    expected = outputs(alone, image())
    monkeypatch.setattr(paddle.nn, "SyncBatchNorm", Joint)
    network, _ = small(synchronised=True, dropout=False)
    for mine, theirs in zip(outputs(network, image()), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    norms = [name for name in weights if name.endswith(".norm.mean")]
    assert Joint.calls == len([name for name in norms if ".depthwise." not in name])
    for name, tensor in network.weights().items():
        np.testing.assert_array_equal(tensor, alone.weights()[name])
    assert network.named_trainable().keys() == alone.named_trainable().keys()
    network.eval()
    outputs(network, image())
    assert Joint.calls < len(norms)  # no more than before: evaluation has nothing to share


def test_an_optimiser_moves_all_tensors_but_the_statistics() -> None:
    network, weights = small()
    statistics = {name for name in weights if name.endswith((".norm.mean", ".norm.var"))}
    assert network.named_tensors().keys() == weights.keys()
    assert network.named_trainable().keys() == weights.keys() - statistics
    trainable = {id(t) for t in network.parameters() if not t.stop_gradient}
    assert trainable == {id(t) for t in network.named_trainable().values()}


def test_weights_come_out_as_they_went_in() -> None:
    network, weights = small()
    other = random_weights(architecture(SMALL, 7), seed=1)
    for name, array in network.weights().items():
        np.testing.assert_array_equal(array, weights[name])
    network.load(other)
    for name, array in network.weights().items():
        np.testing.assert_array_equal(array, other[name])


def test_tensors_that_are_not_the_networks_are_all_named() -> None:
    network = architecture(SMALL, 7)
    weights = dict(random_weights(network))
    weights["stranger"] = weights.pop("head.gate.bias")
    weights["head.gate.weight"] = weights["head.gate.weight"][1:]
    with pytest.raises(CheckpointError, match=r"(?s)head\.gate\.weight.*gate\.bias.*stranger"):
        TrainingNetwork(network, weights)
