"""Logits in evaluation mode against the original's."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray

from fastfcn_training.alignment import values
from fastfcn_training.alignment.check import Comparison, Figure, Setting, absolute
from fastfcn_training.alignment.reference import Forward
from fastfcn_training.network.paddle_network import TrainingNetwork

SUMMARY = "logits of one picture in evaluation mode, against recorded ones"
ALLOWED = 1e-5  # of the largest logit


def compare(setting: Setting) -> Comparison:
    """Compare recorded logits one by one, and the mean over all logits of each class."""
    reference, wanted = setting.reference, setting.reference.forward
    network = TrainingNetwork(
        reference.architecture(wanted.classes), reference.weights(wanted.classes)
    )
    network.eval()
    image = values.network_input(wanted.seed, wanted.height, wanted.width)
    with paddle.no_grad():
        logits = network.logits(paddle.to_tensor(image)).numpy()[0]
    return Comparison(
        "logits of our network in Paddle",
        f"{len(wanted.logits)} of the logits and the mean of each class, of {reference.origin}",
        f"relative to the largest logit, {wanted.largest:.6g}",
        _figures(logits, wanted),
    )


def _figures(logits: NDArray[Any], wanted: Forward) -> tuple[Figure, ...]:
    if logits.shape != wanted.shape:
        sides = zip(("classes", "height", "width"), logits.shape, wanted.shape, strict=True)
        return tuple(absolute(f"{name} of the logits", a, b, 0.0) for name, a, b in sides)
    sample = logits.reshape(-1)[:: wanted.every]
    means = logits.mean((1, 2), dtype=np.float64)
    return (
        _worst("logit", sample, wanted.logits, wanted.largest),
        _worst("mean of a class", means, wanted.means, wanted.largest),
    )


def _worst(name: str, found: NDArray[Any], expected: Sequence[float], largest: float) -> Figure:
    differences = np.abs(found.astype(np.float64) - expected) / largest
    at = int(differences.argmax())  # the first NaN, if there is one
    difference = float(differences[at])
    return Figure(f"{name}, the worst", float(found[at]), expected[at], difference, ALLOWED)
