"""Scores during a training, compared with upsampling all logits and counting pixel by pixel."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastfcn_export.network.choice import architecture
from fastfcn_export.target.random_weights import random_weights
from fastfcn_infer.data.dataset import IGNORE, Dataset
from fastfcn_infer.errors import ImageError
from fastfcn_infer.evaluation.metrics import Confusion
from small_trainings import RECIPE, pictures

paddle = pytest.importorskip("paddle")

from fastfcn_training.loop.validation import validate  # noqa: E402
from fastfcn_training.network.paddle_network import TrainingNetwork  # noqa: E402 - needs it


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return pictures(tmp_path_factory.mktemp("data"), 5)


@pytest.fixture(scope="module")
def network() -> TrainingNetwork:
    found = architecture(RECIPE.network, 3)
    return TrainingNetwork(found, random_weights(found))


@pytest.mark.parametrize("align_corners", [True, False])
def test_counts_are_those_of_the_full_size_logits(
    network: TrainingNetwork, data: Dataset, align_corners: bool
) -> None:
    wanted = np.zeros((3, 3), np.int64)
    network.eval()
    for sample in data.samples:
        picture, truth = data.read(sample)
        pixels = (picture / 255 - RECIPE.data.mean) / RECIPE.data.std
        image = paddle.to_tensor(pixels.transpose(2, 0, 1)[None].astype(np.float32))
        full = paddle.nn.functional.interpolate(
            network.logits(image), list(truth.shape), mode="bilinear", align_corners=align_corners
        )
        labels = full.numpy()[0].argmax(0)
        for true in range(3):
            for found in range(3):
                wanted[true, found] += np.count_nonzero((truth == true) & (labels == found))
    counts = validate(network, data, replace(RECIPE, align_corners=align_corners)).counts
    assert counts.sum() == sum((data.read(s)[1] != IGNORE).sum() for s in data.samples)
    # Two classes may be equal to the last digit of a logit.
    assert np.abs(counts - wanted).sum() <= 4


@pytest.mark.parametrize("world", [2, 3, 7])
def test_processes_look_at_every_picture_once_together(
    network: TrainingNetwork, data: Dataset, world: int
) -> None:
    parts = [validate(network, data, RECIPE, rank=rank, world=world) for rank in range(world)]
    together = Confusion(3)
    for part in parts:
        together = together + part
    assert together == validate(network, data, RECIPE)


def test_nothing_is_learned_of_the_pictures(network: TrainingNetwork, data: Dataset) -> None:
    network.train()
    before = network.weights()
    validate(network, data, RECIPE)
    for name, array in network.weights().items():
        assert np.array_equal(array, before[name]), name


def test_a_picture_that_cannot_be_read_is_named(
    network: TrainingNetwork, data: Dataset, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    samples = (*data.samples[:3], replace(data.samples[3], picture=broken), data.samples[4])
    with pytest.raises(ImageError, match=r"broken\.png"):
        validate(network, replace(data, samples=samples), RECIPE)
