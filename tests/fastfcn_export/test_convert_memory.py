import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import fastfcn_export
import published
from exports import save_checkpoint
from fastfcn_export.dialect.dialect import to_dialect
from fastfcn_export.target.random_weights import random_weights
from fastfcn_infer.artifact.artifact import open_artifact

ROOT = Path(fastfcn_export.__file__).parents[2]
TIMES = 3  # of the weights' size: the promise, the interpreter and its libraries included

# The process's own peak: `ru_maxrss` would begin with that of the process that started it.
CHILD = """
import re, sys
from pathlib import Path
from fastfcn_export.__main__ import main
code = main([sys.argv[1], "-o", sys.argv[2], "--output-stride", "32", "--verify", "off", "--json"])
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(peak[1], file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc"
)
@pytest.mark.slow  # draws, saves and exports the 200 MB of a ResNet-50
def test_a_resnet_50_is_exported_in_three_times_the_memory_of_its_weights() -> None:
    architecture = published.PADDLESEG_OS32
    with TemporaryDirectory() as place:  # pytest would keep the files
        checkpoint = save_checkpoint(
            Path(place),
            "paddleseg",
            to_dialect("paddleseg", architecture, random_weights(architecture)),
        )
        path = os.pathsep.join([str(ROOT), str(ROOT / "export")])
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(checkpoint), str(Path(place) / "out")],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        manifest = open_artifact(Path(place) / "out").manifest
        assert manifest is not None
        weights = manifest.files["model.onnx"].size
        assert weights > 100e6
        assert int(done.stderr) * 1024 <= TIMES * weights
