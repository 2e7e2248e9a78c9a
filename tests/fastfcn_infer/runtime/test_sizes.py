"""Pictures of ever new sizes: bounded memory, and labels that depend on nothing seen before."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exports import save_checkpoint
from fastfcn_export import Request, export
from fastfcn_export.dialect.dialect import to_dialect
from fastfcn_export.network.choice import NetworkChoice, architecture
from fastfcn_export.target.random_weights import random_weights
from fastfcn_infer.runtime import backend
from fastfcn_infer.runtime.loading import KEPT_PRIMITIVES, bound_compiled_code
from paddle_models import PADDLE

INSTALLED = [each for each in backend.backend_names() if backend.installed(each)]
VARIABLE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"

# Grows by 250 to 900 MB where nothing is bounded. The largest picture comes first: memory for that
# one is not growth.
CHILD = """
import re, sys
from pathlib import Path
import numpy as np
from fastfcn_infer import Procedure, Segmenter

random = np.random.default_rng(0)
picture = random.integers(0, 256, (288, 288, 3), np.uint8)
sizes = random.integers(33, 289, (300, 2)).tolist()

def resident():
    return 1024 * int(re.search(r"VmRSS:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

with Segmenter.from_pretrained(sys.argv[1], backend=sys.argv[2], device="cpu") as segmenter:
    def labels(height, width):
        return segmenter.predict(picture[:height, :width], procedure=Procedure()).labels

    samples = [(288, 288), (33, 33), *map(tuple, sizes[:8])]
    before = [labels(*size) for size in samples]
    least = resident()
    for size in sizes:
        labels(*size)
    growth = resident() - least
    for size, expected in zip(samples, before, strict=True):
        assert np.array_equal(labels(*size), expected), size
    assert len(np.unique(before[0])) > 1
    print(growth)
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export a network of the embedded model's architecture, with random weights."""
    folder = tmp_path_factory.mktemp("small")
    network = architecture(
        NetworkChoice(
            backbone="resnet18",
            form="vd",
            backbone_width=32,
            jpu_width=96,
            head_width=128,
            auxiliary_width=64,
            family="paddleseg",
        ),
        11,
    )
    checkpoint = save_checkpoint(
        folder, "paddleseg", to_dialect("paddleseg", network, random_weights(network))
    )
    formats = ("onnx", "paddle") if PADDLE else ("onnx",)
    request = Request(formats=formats, output_stride=32, verify=False)
    export(checkpoint, folder / "artifact", request)
    return folder / "artifact"


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc"
)
@pytest.mark.slow  # 320 runs of a ResNet-18, each of which compiles for a new size
@pytest.mark.parametrize("name", INSTALLED)
def test_three_hundred_sizes_cost_little_memory_and_change_no_labels(
    small: Path, name: str
) -> None:
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(small), name],
        env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 100e6


def test_compiled_code_is_bounded_unless_the_user_said_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    bound_compiled_code()
    assert os.environ[VARIABLE] == str(KEPT_PRIMITIVES)
    monkeypatch.setenv(VARIABLE, "7")
    bound_compiled_code()
    assert os.environ[VARIABLE] == "7"
