"""Seeded random weights of any network, for benchmarks, tests and trying out commands."""

import zlib
from math import prod

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.network.architecture import Architecture
from fastfcn_export.network.primitives import Weights
from fastfcn_export.target.targets import cost


def random_weights(architecture: Architecture, seed: int = 0) -> Weights:
    """Draw every tensor a checkpoint of this network holds, by our names, float32.

    Convolutions keep the variance of what goes through them, so that logits stay in a range that
    trained networks have. A tensor depends on its name, its shape and `seed` alone.
    """
    return {
        name: _draw(name, shape, np.random.default_rng((seed, zlib.crc32(name.encode()))))
        for name, shape in cost.tensors(architecture).items()
    }


def _draw(name: str, shape: tuple[int, ...], random: np.random.Generator) -> NDArray[np.float32]:
    part = name.rpartition(".")[2]
    if part == "var":
        values = random.uniform(0.75, 1.25, shape)
    elif part == "scale":
        values = random.uniform(-0.02, 0.0, shape)
    elif part == "codewords":
        values = random.normal(0, 0.3, shape)
    elif ".norm." in name and part == "weight":
        values = random.uniform(0.5, 1.0, shape)
    elif part == "weight":
        values = random.normal(0, np.sqrt(2 / prod(shape[1:])), shape)
    else:
        values = random.normal(0, 0.1, shape)
    return values.astype(np.float32)
