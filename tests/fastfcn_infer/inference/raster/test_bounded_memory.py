"""The memory that labelling takes, in processes of their own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from command_line import SEARCH_PATH
from fastfcn_infer.inference.raster.memory import parse_memory
from models import tiny_artifact, tiny_model
from rasters import open_dataset

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").is_file(), reason="memory is measured as Linux tells it"
)
# The address space has what a process never touches: stacks and arenas of threads, and libraries.
SLACK = 512 << 20

CHILD = """
import resource, sys
from pathlib import Path
import numpy as np
import rasterio.windows
from fastfcn_infer import ImageError, Segmenter

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))

source, target, model, allowed, slack = sys.argv[1:]
with Segmenter.from_pretrained(model or None, threads=1, backend="onnx_runtime") as segmenter:
    segmenter.predict(np.zeros((33, 33, 3), np.uint8))
    before = status("VmHWM")
    if int(slack):
        limit = status("VmSize") + int(allowed) + int(slack)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        found = segmenter.predict_raster(source, target, max_memory=int(allowed))
    except ImageError as error:
        print("refused", error)
    else:
        print("batch", found.batch, "peak", status("VmHWM") - before, "estimate", found.memory)
"""


def make(path: Path, height: int, width: int, **options: object) -> Path:
    """Write noise in bands."""
    profile = {"driver": "GTiff", "height": height, "width": width, "count": 3, "dtype": "uint8"}
    with open_dataset(path, "w", photometric="rgb", **profile, **options) as dataset:
        random = np.random.default_rng(0)
        for top in range(0, height, 256):
            rows = min(256, height - top)
            window = ((top, top + rows), (0, width))
            dataset.write(random.integers(0, 256, (3, rows, width), np.uint8), window=window)
    return path


def label(source: Path, model: str | Path, allowed: int, slack: int = 0) -> str:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            CHILD,
            *map(str, (source, source.parent / "out.tif", model, allowed, slack)),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": SEARCH_PATH},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(output: str) -> tuple[int, int, int]:
    found = re.fullmatch(r"batch (\d+) peak (\d+) estimate (\d+)\n", output)
    assert found, output
    return int(found[1]), int(found[2]), int(found[3])


@pytest.mark.slow  # labels two rasters, each in a process of its own
def test_the_peak_does_not_grow_with_the_height(tmp_path: Path) -> None:
    tiny_artifact(tmp_path / "tiny", tiny_model(20))
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    peaks = []
    for height in (2_000, 12_000):
        source = make(tmp_path / f"{height}.tif", height, 2_000, **tiles)
        peaks.append(numbers(label(source, tmp_path / "tiny", 1 << 30))[1])
    assert peaks[1] <= peaks[0] + (16 << 20), peaks


@pytest.mark.slow  # labels a raster in three processes of their own
@pytest.mark.parametrize("layout", ["tiles", "strips", "one strip"])
def test_the_memory_allowed_is_kept_or_refused_beforehand(layout: str, tmp_path: Path) -> None:
    layouts: dict[str, dict[str, object]] = {
        "tiles": {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"},
        "strips": {"blockysize": 16, "compress": "lzw"},
        "one strip": {"blockysize": 2500, "compress": "deflate"},
    }
    source = make(tmp_path / "a.tif", 2_500, 2_000, **layouts[layout])
    refused = label(source, "", 60 << 20, SLACK)
    assert refused.startswith("refused")
    needed = parse_memory(refused.partition("--max-memory ")[2].split(")")[0])
    batch, peak, estimate = numbers(label(source, "", needed, SLACK))
    assert batch == 1
    assert peak <= estimate <= needed
    more = numbers(label(source, "", 3 * needed, SLACK))
    assert more[0] > 1
    assert more[1] <= more[2] <= 3 * needed
