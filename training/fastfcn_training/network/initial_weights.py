"""Random initial weights.

Source: as in the published trainings, He's normal distribution for the convolutions of the backbone
and PyTorch's uniform default elsewhere (reference/fastfcn_semantics.md, 1.4 for the encoding).
"""

import zlib
from math import prod, sqrt

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.network.architecture import Architecture
from fastfcn_export.network.primitives import Weights
from fastfcn_export.target.targets import cost


def initial_weights(architecture: Architecture, seed: int) -> Weights:
    """Draw every tensor, by our names, float32.

    A tensor depends only on its name, its shape and `seed`.
    """
    shapes = cost.tensors(architecture)
    return {name: _draw(name, shape, shapes, seed) for name, shape in shapes.items()}


def _draw(
    name: str, shape: tuple[int, ...], shapes: dict[str, tuple[int, ...]], seed: int
) -> NDArray[np.float32]:
    random = np.random.default_rng((seed, zlib.crc32(name.encode())))
    layer, _, part = name.rpartition(".")
    if layer.endswith(".norm"):
        # Weight and variance 1, bias and mean 0.
        return np.full(shape, part in ("weight", "var"), np.float32)
    if part == "scale":
        return random.uniform(-1, 0, shape).astype(np.float32)
    if part == "codewords":
        bound = 1 / sqrt(prod(shape))
    elif name.startswith("backbone."):
        fan_out = shape[0] * prod(shape[2:])
        return random.normal(0, sqrt(2 / fan_out), shape).astype(np.float32)
    else:
        # A bias is drawn like the matrix beside it.
        bound = 1 / sqrt(prod(shapes[f"{layer}.weight"][1:]))
    return random.uniform(-bound, bound, shape).astype(np.float32)
