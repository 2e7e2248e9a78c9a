"""The loss functions.

Source: reference/fastfcn_semantics.md, 5.2.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle.nn import functional

from fastfcn_export.network.fastfcn import Outputs
from fastfcn_infer.data.dataset import IGNORE
from fastfcn_training.network.paddle_network import resize
from fastfcn_training.recipe.recipe import Losses

Tensor = Any  # paddle.Tensor; Paddle's types are not known where the types are checked


@dataclass(frozen=True)
class LossParts:
    """The parts of a loss, scalars, before weighting; None for a part the network does not have."""

    main: Tensor
    auxiliary: Tensor | None
    semantic: Tensor | None


def parts(
    outputs: Outputs[Tensor], labels: Tensor, wanted: Losses, *, align_corners: bool
) -> LossParts:
    """Compute the losses for labels (N, H, W), int64, 0..classes-1 or ignored."""
    weights = paddle.to_tensor(wanted.class_weights) if wanted.class_weights else None

    def entropy(logits: Tensor) -> Tensor:
        full = resize(logits, labels.shape[1:], align_corners=align_corners)
        return _cross_entropy(full, labels, weights, wanted.average)

    semantic = None
    if outputs.semantic is not None:
        truth = presence(labels.numpy(), outputs.semantic.shape[1])
        semantic = functional.binary_cross_entropy_with_logits(
            outputs.semantic, paddle.to_tensor(truth).astype(outputs.semantic.dtype)
        )
    auxiliary = None if outputs.auxiliary is None else entropy(outputs.auxiliary)
    return LossParts(entropy(outputs.main), auxiliary, semantic)


def total(found: LossParts, wanted: Losses) -> Tensor:
    """Add up the weighted parts."""
    loss = found.main
    if found.auxiliary is not None:
        loss = loss + wanted.auxiliary * found.auxiliary
    if found.semantic is not None:
        loss = loss + wanted.semantic * found.semantic
    return loss


def presence(labels: NDArray[np.integer[Any]], classes: int) -> NDArray[np.float32]:
    """Tell which classes are present in each picture: (N, classes), 0 or 1, of labels (N, H, W)."""
    shown = [np.bincount(one.reshape(-1), minlength=IGNORE + 1)[:classes] > 0 for one in labels]
    return np.asarray(shown, np.float32)


def _cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None, average: str) -> Tensor:
    reduction = "mean" if average == "valid" else "sum"
    # Paddle's mean divides by the weights of the labelled pixels, as PyTorch's does; a batch
    # without any gives 0.
    loss = functional.cross_entropy(
        logits, labels, weights, ignore_index=IGNORE, reduction=reduction, axis=1
    )
    return loss if average == "valid" else loss / labels.size
