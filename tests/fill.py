"""Values for golden cases: a tensor from its name, shape and kind, the same on any machine.

NumPy's legacy generator is used because its streams are frozen.
"""

import zlib
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray


def tensor(name: str, shape: Sequence[int], kind: str) -> NDArray[Any]:
    """Return float32 values, or int64 zeros for the kind ``count``; `kind` says what for."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if kind == "count":
        return np.zeros(shape, np.int64)
    if kind == "conv":  # (out, in / groups, k, k)
        values = random.randn(*shape) * np.sqrt(2.0 / prod(shape[1:]))
    elif kind == "linear_torch":  # (out, in)
        values = random.randn(*shape) / np.sqrt(shape[1])
    elif kind == "linear_paddle":  # (in, out)
        values = random.randn(*shape) / np.sqrt(shape[0])
    elif kind == "norm_weight":
        values = random.rand(*shape) * 0.5 + 0.5
    elif kind == "norm_var":
        values = random.rand(*shape) * 0.5 + 0.75
    elif kind in ("norm_mean", "norm_bias", "bias"):
        values = random.randn(*shape) * 0.1
    elif kind == "codewords":
        values = random.randn(*shape) * 0.3
    elif kind == "enc_scale":
        values = -random.rand(*shape) * 0.02
    else:
        raise ValueError(f"unknown kind {kind!r} of {name}")
    return np.asarray(values, np.float32)


def network_input(seed: int, height: int, width: int) -> NDArray[np.float32]:
    """Return a network's input (1, 3, height, width): blocks and noise, about unit variance."""
    random = np.random.RandomState(seed)
    coarse = random.randn(3, height // 16 + 2, width // 16 + 2)
    blocks = np.kron(coarse, np.ones((16, 16)))[:, :height, :width]
    return (blocks * 0.8 + random.randn(3, height, width) * 0.4).astype(np.float32)[None]


def picture(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """Return a picture (height, width, 3), RGB."""
    planes = network_input(seed, height, width)[0].transpose(1, 2, 0)
    return np.asarray(np.clip(planes * 50 + 120, 0, 255), np.uint8)
