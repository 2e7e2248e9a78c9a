"""One iteration: what moves, what stays, and that small batches add up to the large one."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_export.network.choice import NetworkChoice, architecture
from fastfcn_export.target.random_weights import random_weights
from fastfcn_infer.data.dataset import Dataset
from fastfcn_training.recipe.recipe import Losses, Optimiser, Recipe
from small_trainings import NETWORK, PLAIN, RECIPE, pictures

paddle = pytest.importorskip("paddle")

from fastfcn_training.data.batches import batches  # noqa: E402 - needs it
from fastfcn_training.data.sampler import Sampler  # noqa: E402
from fastfcn_training.loop.step import StepResult, TrainingStep  # noqa: E402
from fastfcn_training.paddle_setup.distributed import ProcessGroup  # noqa: E402

Weights = dict[str, NDArray[Any]]

# Without dropout, and without what makes losses of several batches something else than their mean.
QUIET = replace(
    RECIPE,
    network=replace(NETWORK, family="ncpaddle"),
    augmentation=PLAIN,
    losses=Losses(),
    optimiser=Optimiser("sgd", weight_decay=0.01),
    freeze_norms=True,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return pictures(tmp_path_factory.mktemp("data"), 4, void=False)


def learn(
    recipe: Recipe, data: Dataset, *, steps: int = 1
) -> tuple[list[StepResult], Weights, Weights]:
    """Make some steps; returns what they found, and the weights before and after."""
    network = architecture(recipe.network, 3)
    before: Weights = dict(random_weights(network))
    learner = TrainingStep(recipe, network, before, ProcessGroup())
    found = []
    sampler = Sampler(len(data.samples), recipe.batch, recipe.seed)
    with batches(data, recipe.augmentation, sampler) as stream:
        for iteration in range(steps):
            found.append(learner.compute_gradients(stream, iteration))
            learner.update_weights(0.05)
    return found, before, learner.network.weights()


def test_accumulated_batches_are_the_large_batch(data: Dataset) -> None:
    large, before, wanted = learn(replace(QUIET, batch=4), data, steps=2)
    small, _, found = learn(replace(QUIET, batch=2, accumulate=2), data, steps=2)
    for ours, theirs in zip(small, large, strict=True):
        np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-5)
    for name, array in found.items():
        np.testing.assert_allclose(array, wanted[name], rtol=1e-4, atol=2e-6, err_msg=name)
    moved = max(float(abs(wanted[name] - before[name]).max()) for name in wanted)
    assert moved > 0.01


def test_the_whole_loss_is_reported_beside_its_parts(data: Dataset) -> None:
    (step,), _, _ = learn(replace(QUIET, losses=Losses(auxiliary=0.3, semantic=0.7)), data)
    whole, main, auxiliary, semantic = step.losses
    assert min(main, auxiliary, semantic) > 0
    assert whole == pytest.approx(main + 0.3 * auxiliary + 0.7 * semantic, rel=1e-6)


def test_parts_that_the_network_has_not_count_nothing(data: Dataset) -> None:
    bare = replace(QUIET.network, auxiliary=False, semantic=False)
    (step,), _, _ = learn(replace(QUIET, network=bare), data)
    assert step.losses[0] == step.losses[1] > 0
    assert step.losses[2:].tolist() == [0, 0]


def test_frozen_norms_keep_their_statistics_and_learn_the_rest(data: Dataset) -> None:
    for frozen in (True, False):
        _, before, after = learn(replace(QUIET, freeze_norms=frozen), data)
        for name, array in after.items():
            moved = not np.array_equal(array, before[name])
            assert moved is not (frozen and name.endswith((".norm.mean", ".norm.var"))), name


NETWORKS: dict[str, dict[str, Any]] = {
    "encnet": {},
    "laterals": {"laterals": True, "output_stride": 8},
    "jpu_x": {"jpu": "jpu_x", "jpu_width": 64},
    "no_jpu": {"jpu": None},
    "psp": {"head": "psp", "semantic": False},
    "deeplab": {"head": "deeplab", "semantic": False},
    "fcn": {"head": "fcn", "semantic": False},
    "paddleseg": {"family": "paddleseg", "form": "vd", "laterals": True},
}


@pytest.mark.parametrize("network", NETWORKS)
def test_every_tensor_that_learns_has_a_part_in_every_loss(data: Dataset, network: str) -> None:
    # Several processes rely on it: a tensor without a gradient would be waited for, for ever.
    choice: NetworkChoice = replace(NETWORK, **NETWORKS[network])
    recipe = replace(QUIET, network=choice, losses=Losses(auxiliary=0.0, semantic=0.0))
    learner = TrainingStep(
        recipe, architecture(choice, 3), random_weights(architecture(choice, 3)), ProcessGroup()
    )
    with batches(data, recipe.augmentation, Sampler(4, 2, 0)) as stream:
        learner.compute_gradients(stream, 0)
    tensors = learner.network.named_trainable()
    assert [name for name, tensor in tensors.items() if tensor.grad is None] == []


def test_dropout_depends_on_the_seed_and_the_iteration_alone(data: Dataset) -> None:
    recipe = replace(QUIET, network=NETWORK)
    network = architecture(recipe.network, 3)
    sampler = Sampler(4, 4, 0)

    def loss(seed: int, iteration: int) -> float:
        paddle.seed(np.random.default_rng().integers(1000))
        learner = TrainingStep(
            replace(recipe, seed=seed), network, random_weights(network), ProcessGroup()
        )
        with batches(data, recipe.augmentation, sampler) as stream:
            return float(learner.compute_gradients(stream, iteration).losses[0])

    assert loss(0, 5) == loss(0, 5)
    assert len({loss(0, 5), loss(0, 6), loss(1, 5)}) == 3
