"""The recorded values of the alignment: the golden cases, and what PyTorch makes of them in float64.

    PYTHONPATH=.:export:training:tests python tests/alignment_reference.py

writes the file that the package carries, and a small one for the tests; takes some minutes.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.dialect.dialect import to_dialect
from fastfcn_export.network.architecture import Architecture
from fastfcn_export.network.choice import NetworkChoice, architecture
from fastfcn_export.network.primitives import Weights
from fastfcn_export.target.random_weights import random_weights
from fastfcn_export.target.targets import reference as judge
from fastfcn_infer.system import record
from fastfcn_training.alignment import values
from fastfcn_training.alignment.reference import (
    RECORDED,
    Forward,
    Metrics,
    Reference,
    Steps,
    Training,
)
from fastfcn_training.recipe.recipe import Losses, Optimiser

DATA = Path(__file__).parent / "data"
GOLDEN = DATA / "golden"
SMALL = DATA / "alignment_small.json"
EVERY = 37  # a prime: the logits that are kept wander over all rows, columns and classes
# Of themselves: weights are moved that far to draw numbers in float32. Two engines differ as much
# in a sum of a thousand products.
MOVED = 5e-7
DRAWS = 12


def shortest(value: Any) -> float:
    """Write a float32 with no more digits than it has."""
    return float(str(np.float32(value)))


def names(network: Architecture) -> dict[str, str]:
    """Our name of every tensor -> the original's."""
    weights = random_weights(network)
    in_dialect = to_dialect("wuhuikai", network, weights)
    theirs = {id(array): key for key, array in in_dialect.items()}
    return {ours: theirs[id(array)] for ours, array in weights.items()}


def forward(classes: int, given: Mapping[str, int], logits: NDArray[Any]) -> Forward:
    """Keep some of the logits (classes, h, w)."""
    depth, height, width = logits.shape
    return Forward(
        classes=classes,
        seed=given["seed"],
        height=given["height"],
        width=given["width"],
        shape=(depth, height, width),
        every=EVERY,
        logits=tuple(map(shortest, logits.reshape(-1)[::EVERY])),
        means=tuple(map(shortest, logits.mean((1, 2), dtype=np.float64))),
        largest=shortest(np.abs(logits).max()),
    )


def metrics() -> Metrics:
    """PaddleSeg's scores."""
    found = json.loads((GOLDEN / "metrics_paddleseg.json").read_text())
    scores = found["paddleseg"]
    return Metrics(
        found["classes"],
        5,
        (4, 60, 80),
        "paddleseg",
        scores["miou"],
        scores["acc"],
        scores["kappa"],
        scores["dice"],
        tuple(scores["iou"]),
        tuple(scores["dice_per_class"]),
    )


def golden() -> Reference:
    """Put the recorded values of the original codes together."""
    case = json.loads((GOLDEN / "wuhuikai_encnet_r50_jpu.json").read_text())
    align = json.loads((GOLDEN / "align_wuhuikai_encnet_r50_jpu.json").read_text())
    with np.load(GOLDEN / "wuhuikai_encnet_r50_jpu.npz") as arrays:
        logits = arrays["low"][0]
    theirs = names(architecture(NetworkChoice(), 19))
    ours = {name: key for key, name in theirs.items()}
    given = align["input"]
    norms = {ours[name]: shortest(n) for name, n in align["gradient_norms_step0"].items()}
    losses = tuple(map(shortest, align["train_losses"]))
    return Reference(
        format_version=1,
        origin="wuhuikai/FastFCN (PyTorch)",
        network=NetworkChoice(),
        names=theirs,
        forward=forward(case["classes"], case["input"], logits),
        training=Training(
            classes=19,
            seeds=tuple(given["seeds"]),
            labels_seed=903,
            height=given["height"],
            width=given["width"],
            align_corners=True,
            losses=Losses(auxiliary=0.2, semantic=0.2),
            optimiser=Optimiser("sgd", momentum=0.9, weight_decay=1e-4, head_factor=10.0),
            rate=0.001,
            evaluation_loss=shortest(align["eval_loss"]),
            steps=(Steps("wuhuikai/FastFCN (PyTorch)", "float32", losses, norms),),
        ),
        metrics=metrics(),
    )


def small() -> Reference:
    """Compute a small network's outputs with PyTorch and the NumPy reference, in float64."""
    network = NetworkChoice(
        "resnet18", "deep", 8, jpu_width=8, head_width=16, codes=5, auxiliary_width=8
    )
    theirs = names(architecture(network, 7))
    given = {"seed": 3, "height": 65, "width": 97}
    whole = replace(golden(), origin="PyTorch and NumPy", network=network, names=theirs)
    image = values.network_input(**given).astype(np.float64)
    logits = judge.logits(whole.architecture(6), whole.weights(6), image)[0]
    training = replace(
        whole.training, classes=7, seeds=(1, 2, 3), height=65, width=97, rate=0.01, steps=()
    )
    whole = replace(whole, forward=forward(6, given, logits), training=training)
    trainer = _trainer(whole, whole.weights(7), np.float64)
    loss = float(trainer.loss(evaluation=True).detach())
    training = replace(training, evaluation_loss=shortest(loss))
    return sharpened(replace(whole, training=training))


def sharpened(found: Reference) -> Reference:
    """Add what PyTorch gives in float64, and how sharp numbers in float32 are."""
    training = found.training
    weights = found.weights(training.classes)
    exact = torch_steps(found, weights, np.float64)
    drawn = [torch_steps(found, _moved(weights, seed), np.float32) for seed in range(DRAWS)]
    losses = np.std([steps.losses for steps in drawn], axis=0, ddof=1)
    norms = {
        name: float(np.std([steps.gradient_norms[name] for steps in drawn], ddof=1))
        for name in exact.gradient_norms
    }
    rough = training.steps[0] if training.steps else replace(exact, precision="float32")
    rough = replace(
        rough,
        loss_spreads=tuple(float(f"{spread:.2g}") for spread in losses),
        norm_spreads={name: float(f"{spread:.2g}") for name, spread in norms.items()},
    )
    return replace(found, training=replace(training, steps=(rough, exact)))


def torch_steps(found: Reference, weights: Weights, dtype: type, count: int = 3) -> Steps:
    """Have PyTorch make the first steps."""
    training = found.training
    trainer = _trainer(found, weights, dtype)
    steps = list(trainer.steps(count, training.rate, training.optimiser))
    return Steps(
        "PyTorch, by definitions",
        "float64",
        tuple(float(f"{step.loss:.10g}") for step in steps),
        {name: float(f"{norm:.7g}") for name, norm in steps[0].gradient_norms.items()},
    )


def _trainer(found: Reference, weights: Weights, dtype: type) -> Any:
    import torch_training  # the rest of this file does without torch

    training = found.training
    size = (training.height, training.width)
    pictures = [values.network_input(seed, *size) for seed in training.seeds]
    labels = values.label_maps(training.labels_seed, training.classes, len(pictures), *size)
    return torch_training.Training(
        found.architecture(training.classes),
        weights,
        torch_training.Batch(np.concatenate(pictures).astype(dtype), labels),
        training.losses,
    )


def _moved(weights: Weights, seed: int) -> Weights:
    random = np.random.default_rng(seed)
    return {
        name: array.astype(np.float64) * (1 + MOVED * random.uniform(-1, 1, array.shape))
        for name, array in weights.items()
    }


if __name__ == "__main__":
    for path, made in ((SMALL, small()), (RECORDED, sharpened(golden()))):
        path.write_text(record.to_json(made, indent=1) + "\n", encoding="utf-8")
