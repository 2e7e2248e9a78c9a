"""Weights, pictures and labels generated from names and seeds, the same on any machine.

So recorded values need no files of weights or pictures. NumPy's legacy generator is used because
its streams never change.
"""

import zlib
from math import prod

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.data.dataset import IGNORE

Shape = tuple[int, ...]
_CELL = 8  # pixels: labels are drawn in squares of this side


def tensor(name: str, theirs: str, shape: Shape) -> NDArray[np.float32]:
    """Draw one of a network's tensors.

    Args:
        name: our name, which tells what the tensor is for.
        theirs: its name in the original code, which determines the numbers.
        shape: of the tensor.
    """
    random = np.random.RandomState(zlib.crc32(theirs.encode()))
    layer, _, part = name.rpartition(".")
    norm = layer.endswith(".norm")
    if part == "var":
        values = random.rand(*shape) * 0.5 + 0.75
    elif norm and part == "weight":
        values = random.rand(*shape) * 0.5 + 0.5
    elif part == "scale":
        values = -random.rand(*shape) * 0.02
    elif part == "codewords":
        values = random.randn(*shape) * 0.3
    elif part == "weight":
        # Convolutions are followed by a ReLU, which halves the variance; matrices are not.
        gain = 2.0 if len(shape) == 4 else 1.0
        values = random.randn(*shape) * np.sqrt(gain / prod(shape[1:]))
    else:
        values = random.randn(*shape) * 0.1
    return np.asarray(values, np.float32)


def network_input(seed: int, height: int, width: int) -> NDArray[np.float32]:
    """Draw a network input (1, 3, height, width): squares and noise, of about unit variance."""
    random = np.random.RandomState(seed)
    coarse = random.randn(3, height // 16 + 2, width // 16 + 2)
    squares = np.kron(coarse, np.ones((16, 16)))[:, :height, :width]
    return (squares * 0.8 + random.randn(3, height, width) * 0.4).astype(np.float32)[None]


def label_maps(seed: int, classes: int, count: int, height: int, width: int) -> NDArray[np.uint8]:
    """Draw labels (count, height, width) in squares: all classes equally often, some unlabelled."""
    cells = (count, -(-height // _CELL), -(-width // _CELL))
    drawn = np.random.RandomState(seed).randint(-1, classes, cells)
    drawn[drawn < 0] = IGNORE
    whole = drawn.astype(np.uint8).repeat(_CELL, axis=1).repeat(_CELL, axis=2)
    return np.ascontiguousarray(whole[:, :height, :width])


def predicted_and_true(
    seed: int, classes: int, shape: Shape
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw predicted and true labels: six in ten right, a tenth ignored.

    The last class is predicted but never true.
    """
    random = np.random.RandomState(seed)
    truth = random.randint(0, classes, shape)
    labels = np.where(random.rand(*shape) < 0.6, truth, random.randint(0, classes, shape))
    truth[random.rand(*shape) < 0.1] = IGNORE
    labels[truth == classes - 1] = 3
    truth[truth == classes - 1] = 2
    return labels.astype(np.uint8), truth.astype(np.uint8)
