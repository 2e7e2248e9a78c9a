"""A training, step by step, against a textbook implementation."""

from pathlib import Path

import numpy as np
import paddle
from numpy.typing import NDArray

from fastfcn_export.network.choice import NetworkChoice, architecture
from fastfcn_export.network.primitives import Weights
from fastfcn_infer.data.dataset import IGNORE, open_dataset
from fastfcn_training.alignment import textbook, textbook_training
from fastfcn_training.alignment.check import Comparison, Setting, relative
from fastfcn_training.data.batches import batches, network_input
from fastfcn_training.data.sampler import Sampler
from fastfcn_training.loop.optimisers import NamedOptimiser
from fastfcn_training.network import losses
from fastfcn_training.network.initial_weights import initial_weights
from fastfcn_training.network.paddle_network import TrainingNetwork
from fastfcn_training.recipe import schedules
from fastfcn_training.recipe.recipe import Augmentation, Data, Losses, Optimiser, Schedule

SUMMARY = "losses of 20 steps on CamVid or generated pictures, against a textbook implementation in float64"
ALLOWED = 1e-3

STEPS, BATCH, CROP, CLASSES = 20, 4, (64, 96), 11
NETWORK = NetworkChoice(
    "resnet18", "deep", 8, jpu_width=16, head_width=16, codes=8, auxiliary_width=8
)
# Strong enough that a missing decay or momentum shows within 20 steps, weak enough that rounding
# does not.
OPTIMISER = Optimiser(weight_decay=0.01)
SCHEDULE = Schedule(rate=0.002)
LOSSES = Losses(auxiliary=0.4, semantic=0.2)
_SQUARE = 16  # pixels, of a side

Batch = tuple[NDArray[np.float32], NDArray[np.uint8]]


def compare(setting: Setting) -> Comparison:
    """Compare the loss before each step, and one in evaluation mode after the last.

    The last one is of a batch that was not trained on, and depends on the running statistics.
    """
    drawn = _generated() if setting.camvid is None else _camvid(setting.camvid)
    weights = _weights()
    names = [f"loss before step {step}" for step in range(1, STEPS + 1)]
    names.append("loss after the last, in evaluation mode")
    figures = zip(names, _ours(weights, drawn), _textbook(weights, drawn), strict=True)
    source = "generated pictures" if setting.camvid is None else "the training part of CamVid"
    return Comparison(
        f"our training in Paddle, {BATCH} crops of {CROP[0]} x {CROP[1]} per step, of {source}",
        "a textbook FastFCN, losses and SGD in float64",
        "relative",
        tuple(relative(*figure, ALLOWED) for figure in figures),
    )


def _weights() -> Weights:
    return initial_weights(architecture(NETWORK, CLASSES), seed=0)


def _ours(weights: Weights, drawn: list[Batch]) -> list[float]:
    network = TrainingNetwork(
        architecture(NETWORK, CLASSES), weights, dropout=False, dtype="float64"
    )
    optimiser = NamedOptimiser(OPTIMISER, network.named_trainable())
    found = []
    network.train()
    for step, batch in enumerate(drawn[:STEPS]):
        loss = _loss(network, batch)
        loss.backward()
        found.append(float(loss))
        optimiser.paddle.set_lr(schedules.rate(SCHEDULE, step, STEPS))
        optimiser.paddle.step()
        optimiser.paddle.clear_grad()
    network.eval()
    with paddle.no_grad():
        return [*found, float(_loss(network, drawn[STEPS]))]


def _loss(network: TrainingNetwork, batch: Batch) -> paddle.Tensor:
    pixels, labels = batch
    found = losses.parts(
        network(paddle.to_tensor(pixels.astype(np.float64))),
        paddle.to_tensor(labels.astype(np.int64)),
        LOSSES,
        align_corners=True,
    )
    return losses.total(found, LOSSES)


def _textbook(weights: Weights, drawn: list[Batch]) -> list[float]:
    widths = textbook.Widths(backbone=8, jpu=16, head=16, auxiliary=8, codes=8)
    network = textbook.FastFCN(widths, CLASSES)
    textbook_training.fill(network, weights)
    constants = textbook_training.Constants(
        rate=0.002, head_factor=10, momentum=0.9, weight_decay=0.01, auxiliary=0.4, semantic=0.2
    )
    found = list(textbook_training.train(network, drawn[:STEPS], constants))
    network.eval()
    with paddle.no_grad():
        return [*found, float(textbook_training.loss(network, *drawn[STEPS], constants))]


def _camvid(root: Path) -> list[Batch]:
    """Draw the crops that a training would see."""
    dataset = open_dataset("camvid", root, "train")
    sampler = Sampler(len(dataset.samples), BATCH, seed=0)
    plan = Augmentation(base_size=240, crop=CROP)
    data = Data("camvid")
    with batches(dataset, plan, sampler) as stream:
        drawn = [next(stream) for _ in range(STEPS + 1)]
    return [(network_input(one.pixels, data.mean, data.std), one.labels) for one in drawn]


def _generated() -> list[Batch]:
    """Draw pictures of squares in the colours of four classes each, and unlabelled squares."""
    colours = np.random.default_rng(0).normal(size=(256, 3))
    cells = (CROP[0] // _SQUARE, CROP[1] // _SQUARE)
    drawn = []
    for step in range(STEPS + 1):
        random = np.random.default_rng((1, step))
        known = [np.append(random.permutation(CLASSES)[:4], IGNORE) for _ in range(BATCH)]
        labels = np.stack([classes[random.integers(5, size=cells)] for classes in known])
        labels = labels.astype(np.uint8).repeat(_SQUARE, axis=1).repeat(_SQUARE, axis=2)
        pixels = colours[labels] + random.normal(0, 0.5, (*labels.shape, 3))
        drawn.append((np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32), labels))
    return drawn
