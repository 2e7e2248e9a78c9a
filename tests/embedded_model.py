"""The recipe of the embedded model, until a trained one takes its place: seeded random weights.

``python tests/embedded_model.py FOLDER`` makes it anew; a test holds the one in the package to it.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from fastfcn_export import export
from fastfcn_export.dialect import speak
from fastfcn_export.network.architecture import Architecture, Backbone, EncNet, Jpu, Stage
from fastfcn_export.random_weights import random_weights

SEED = 50  # of the first sixty, the one whose labels vary most on the demo photograph
_STAGES = (Stage(2, 16, 1), Stage(2, 24, 2), Stage(2, 32, 2), Stage(2, 48, 2))
ARCHITECTURE = Architecture(
    classes=11,
    backbone=Backbone((8, 8, 16), "basic", _STAGES, pooled_shortcut=True),
    jpu=Jpu(24),
    head=EncNet(32, codes=16, project_bias=True, dropout=0.0),
)


def make(folder: Path, seed: int = SEED) -> None:
    """Export the network to `folder`."""
    tensors = speak("paddleseg", ARCHITECTURE, random_weights(ARCHITECTURE, seed))
    with tempfile.TemporaryDirectory() as temporary:
        checkpoint = Path(temporary) / "fastfcn-resnet18-random.safetensors"
        save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, checkpoint)
        export(checkpoint, folder, classes="camvid", output_stride=32, force=True)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
