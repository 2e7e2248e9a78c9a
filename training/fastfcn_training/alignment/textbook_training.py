"""Training of the textbook network, written by definition: losses, schedule and SGD, in float64.

Source: reference/fastfcn_semantics.md, 5.2 and 5.3.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from fastfcn_training.alignment.textbook import FastFCN, bilinear

Tensor = Any  # paddle.Tensor; Paddle's types are not known where the types are checked
Batch = tuple[NDArray[np.float32], NDArray[np.uint8]]
_NO_LABEL = 255
_MATRICES = ("head.gate.weight", "head.semantic.weight")


@dataclass(frozen=True)
class Constants:
    """Constants of a training.

    Args:
        rate: learning rate of the backbone in the first step; it falls as ``(1 - t / T) ** 0.9``.
        head_factor: rate of everything else, divided by the backbone's.
        momentum, weight_decay: of SGD.
        auxiliary, semantic: weights of those losses.
    """

    rate: float
    head_factor: float
    momentum: float
    weight_decay: float
    auxiliary: float
    semantic: float


def fill(network: FastFCN, weights: Mapping[str, NDArray[Any]]) -> None:
    """Set the network's weights, in float64."""
    network.to(dtype="float64")
    for name, tensor in network.state_dict().items():
        # Paddle's matrices are (in, out).
        array = weights[name].T if name in _MATRICES else weights[name]
        tensor.set_value(np.ascontiguousarray(array, np.float64))


def train(network: FastFCN, batches: Sequence[Batch], constants: Constants) -> Iterator[float]:
    """Train on one batch after the other; yields the loss before each step."""
    network.train()
    tensors = dict(network.named_parameters())
    speeds = {name: paddle.zeros_like(tensor) for name, tensor in tensors.items()}
    for step, (pixels, labels) in enumerate(batches):
        value = loss(network, pixels, labels, constants)
        value.backward()
        yield float(value)
        rate = constants.rate * (1 - step / len(batches)) ** 0.9
        with paddle.no_grad():
            for name, tensor in tensors.items():
                force = tensor.grad + constants.weight_decay * tensor
                speeds[name] = constants.momentum * speeds[name] + force
                factor = 1.0 if name.startswith("backbone.") else constants.head_factor
                tensor.set_value(tensor - rate * factor * speeds[name])
                tensor.clear_gradient()


def loss(
    network: FastFCN, pixels: NDArray[np.float32], labels: NDArray[np.uint8], constants: Constants
) -> Tensor:
    """Compute the weighted sum of the three losses; `labels` are (N, H, W)."""
    main, auxiliary, semantic = network(paddle.to_tensor(pixels.astype(np.float64)))
    classes = main.shape[1]
    known = paddle.to_tensor((labels != _NO_LABEL).astype(np.float64)).unsqueeze(1)
    marks = np.arange(classes)[:, None, None] == labels[:, None].astype(np.int64)
    truth = paddle.to_tensor(marks.astype(np.float64))  # (N, classes, H, W)

    def entropy(logits: Tensor) -> Tensor:
        full = bilinear(logits, labels.shape[1:])
        return -(nn.functional.log_softmax(full, 1) * truth).sum() / known.sum()

    shown = paddle.to_tensor(marks.any((2, 3)).astype(np.float64))  # (N, classes)
    likely = 1 / (1 + (-semantic).exp())
    presence = -(shown * likely.log() + (1 - shown) * (1 - likely).log()).mean()
    return entropy(main) + constants.auxiliary * entropy(auxiliary) + constants.semantic * presence
