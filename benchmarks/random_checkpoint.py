"""Which networks do the benchmarks compare? The published ones, with seeded random weights.

    python -m benchmarks.random_checkpoint NETWORK FILE [--seed N]

Writes a checkpoint in the keys, the layout and the container of the code that would have trained
it, so that this code and fastfcn-export both read it. The other benchmarks call `write`.
"""

import argparse
import json
import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.dialect.dialect import to_dialect
from fastfcn_export.network.architecture import (
    Architecture,
    Auxiliary,
    Backbone,
    EncNet,
    Jpu,
    Stage,
)
from fastfcn_export.network.choice import NetworkChoice, architecture
from fastfcn_export.target.random_weights import random_weights

Tensors = Mapping[str, NDArray[Any]]
CLASSES = 150
MAIN = "paddleseg_resnet50_vd_os32"  # what the comparisons run: every peer can run it too
SMALL = "small_resnet18_vd"  # not published; for trying a benchmark


@dataclass(frozen=True)
class Network:
    """A published network."""

    dialect: str
    architecture: Architecture
    output_stride: int


def _stages(
    strides: tuple[int, int, int, int] = (1, 2, 2, 2),
    firsts: tuple[int, int, int, int] = (1, 1, 1, 1),
    dilations: tuple[int, int, int, int] = (1, 1, 1, 1),
) -> tuple[Stage, Stage, Stage, Stage]:
    one, two, three, four = (
        Stage(blocks, width, *rest)
        for blocks, width, *rest in zip(
            (3, 4, 6, 3), (64, 128, 256, 512), strides, firsts, dilations, strict=True
        )
    )
    return one, two, three, four


def _network(
    dialect: str,
    stem: tuple[int, ...],
    stages: tuple[Stage, Stage, Stage, Stage],
    kind: Literal["torch", "paddle"],
    *,
    jpu: Jpu | None = None,
) -> Network:
    paddle = kind == "paddle"
    backbone = Backbone(stem, "bottleneck", stages, pooled_shortcut=paddle)
    head = EncNet(project_bias=paddle, dropout=0.0 if paddle else 0.1)
    auxiliary = Auxiliary(512, bias=True) if paddle else Auxiliary(256)
    whole = Architecture(CLASSES, backbone, jpu or Jpu(), head, auxiliary, semantic=True)
    stride = 8 if stages[3].stride == 1 else 32
    return Network(dialect, whole, stride)


_DILATED = _stages((1, 2, 1, 1), (1, 1, 2, 4), (1, 1, 2, 4))
NETWORKS: Mapping[str, Network] = {
    MAIN: _network("paddleseg", (32, 32, 64), _stages(), "paddle"),
    "paddleseg_resnet50_vd_os8": _network("paddleseg", (32, 32, 64), _DILATED, "paddle"),
    SMALL: Network(
        "paddleseg",
        architecture(
            NetworkChoice(
                backbone="resnet18",
                form="vd",
                backbone_width=16,
                jpu_width=32,
                head_width=32,
                family="paddleseg",
            ),
            CLASSES,
        ),
        32,
    ),
    "wuhuikai_resnet50": _network("wuhuikai", (64, 64, 128), _stages(), "torch"),
    "mmseg_resnet50": _network(
        "mmseg",
        (32, 32, 64),
        _stages(firsts=(1, 1, 1, 2), dilations=(1, 1, 2, 4)),
        "torch",
        jpu=Jpu(align_corners=False, coarse_first=False),
    ),
}


def checkpoint(name: str, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Draw the tensors of a network of `NETWORKS`, by its dialect's keys."""
    network = NETWORKS[name]
    weights = random_weights(network.architecture, seed)
    return to_dialect(network.dialect, network.architecture, weights)


def write(name: str, path: Path, seed: int = 0) -> None:
    """Write a random checkpoint.

    Args:
        name: a key of `NETWORKS`.
        path: ends with ``.pdparams`` or ``.safetensors``, which decides the container.
        seed: of the weights.

    Raises:
        ValueError: another ending.
    """
    writers = {".pdparams": write_pdparams, ".safetensors": write_safetensors}
    if path.suffix not in writers:
        raise ValueError(f"{path.name} should end with one of {', '.join(writers)}")
    writers[path.suffix](checkpoint(name, seed), path)


def write_pdparams(tensors: Tensors, path: Path) -> None:
    """Write what ``paddle.save(layer.state_dict(), path)`` writes, without Paddle."""
    state: dict[str, Any] = {key: np.ascontiguousarray(array) for key, array in tensors.items()}
    state["StructuredToParameterName@@"] = {
        key: f"param_{index}" for index, key in enumerate(tensors)
    }
    with path.open("wb") as file:
        pickle.dump(state, file, protocol=4)


def write_safetensors(tensors: Tensors, path: Path) -> None:
    """Write a .safetensors file of float32 tensors."""
    header, end = {}, 0
    for key, array in tensors.items():
        begin, end = end, end + array.nbytes
        header[key] = {"dtype": "F32", "shape": array.shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array, np.float32).data)


def main() -> int:
    """Write one checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("file", type=Path, help="ends with .pdparams or .safetensors")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    write(given.network, given.file, given.seed)
    print(f"{given.file}: {given.file.stat().st_size / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
