"""Networks with one logit z, whose pixels are of its class where the sigmoid of z is above a threshold.

mmsegmentation (``out_channels=1``, a `threshold` of 0.3 by default) and PaddleSeg (``use_multilabel``, 0.5) resize
the logit to the picture and take its sigmoid there. So does an artifact: it has two logits, 0 for the
background and ``z - log(t / (1 - t))`` for the class. The arg max of these, where ties are background, is
``sigmoid(z) > t``, because the sigmoid only grows; and bilinear resizing keeps 0 and the shift as they are, because
its weights sum to 1. Nothing behind the graph needs to know.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fastfcn_export.dialect.changes import with_rgb
from fastfcn_export.dialect.dialect import Recognised
from fastfcn_export.network.architecture import Architecture
from fastfcn_export.network.primitives import Weights
from fastfcn_infer.artifact.manifest import ClassInfo
from fastfcn_infer.errors import CheckpointError

BACKGROUND = ClassInfo("background", (0, 0, 0))
_FOREGROUND = ClassInfo("foreground", (255, 255, 255))
_WEIGHT, _BIAS = "head.classifier.weight", "head.classifier.bias"


def shift(threshold: float) -> float:
    """Return the logit whose sigmoid is the threshold."""
    return math.log(threshold / (1 - threshold))


def label_count(recognised: Recognised, threshold: float | None) -> int:
    """Return how many classes the labels of an export have.

    Raises:
        CheckpointError: there is one logit, and no threshold.
        ValueError: there is a threshold, and several logits.
    """
    if recognised.trained is not None and recognised.architecture.classes == 1:
        raise CheckpointError(
            "the checkpoint is of fastfcn-train and has one class, which every pixel would be labelled as. "
            "Train with the background as a class of its own."
        )
    return count_with(threshold, recognised.architecture.classes)


def count_with(threshold: float | None, logits: int) -> int:
    """Return how many classes the labels of a network have; the errors are those of `label_count`."""
    if logits == 1 and threshold is None:
        raise CheckpointError(
            "the network has one logit, of which no arg max is taken: its class is where the sigmoid is above a "
            "threshold, which the weights do not tell. Give the one that it was trained and scored with: "
            "fastfcn-export CHECKPOINT -o FOLDER --threshold 0.3 (mmsegmentation's default) or --threshold 0.5 "
            "(PaddleSeg and most other programs)."
        )
    if logits != 1 and threshold is not None:
        raise ValueError(
            f"--threshold is for networks with one logit; this one has {logits}, and the labels are the arg max "
            "of these. Leave --threshold out. A network that gives a pixel several labels, each by a threshold of "
            "its own (multi-label), cannot be exported."
        )
    return 2 if threshold is not None else logits


def as_written(recognised: Recognised, threshold: float | None) -> tuple[Architecture, Weights]:
    """Return the network that is written: it takes RGB, and with a threshold it has two logits.

    Args:
        recognised: the checkpoint; has one logit if there is a threshold.
        threshold: of the sigmoid; None: the network stays as it is.
    """
    architecture, weights = recognised.architecture, with_rgb(recognised)
    if threshold is None:
        return architecture, weights
    weight, bias = weights[_WEIGHT], weights[_BIAS]
    return replace(architecture, classes=2), {
        **weights,
        _WEIGHT: np.concatenate([np.zeros_like(weight), weight]),
        _BIAS: np.concatenate(
            [np.zeros_like(bias), bias - np.asarray(shift(threshold), bias.dtype)]
        ),
    }


def binary_classes(found: Sequence[ClassInfo]) -> tuple[ClassInfo, ...]:
    """Return the background and the class, from a list of both, of the class alone, or of nothing."""
    if len(found) == 2:
        return tuple(found)
    return (BACKGROUND, *(found or (_FOREGROUND,)))
