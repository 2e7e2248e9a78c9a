"""How much memory and time does a raster of 20,000 x 15,000 pixels with 150 classes take?

    python -m benchmarks.raster [--height 20000 --width 15000] [--output benchmarks/results/raster.json]

Synthetic rasters, written in bands, are labelled with the procedure ``tiles`` in a process each: the
whole raster, in tiles and in strips, by a small network of 150 classes with logits at stride 8; and
some rows of windows of it by a ResNet-50. Memory is the peak of the resident memory above that of the
opened model; the script fails if it is more than 1.5 GiB.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine_facts import environment, write_results
from benchmarks.random_checkpoint import CLASSES, MAIN, Network, write, write_safetensors
from fastfcn_export.convert import export
from fastfcn_export.dialect.dialect import to_dialect
from fastfcn_export.network.architecture import (
    Architecture,
    Auxiliary,
    Backbone,
    EncNet,
    Jpu,
    Stage,
)
from fastfcn_export.target.random_weights import random_weights
from fastfcn_infer import Segmenter
from fastfcn_infer.benchmark.timing import OtherLoad

MOST = 3 << 29  # bytes, 1.5 GiB
BAND = 500  # rows of a synthetic raster that are written together
FEW_ROWS = 1120  # three rows of windows
TILED = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
STRIPED = {"blockysize": 16, "compress": "lzw"}
_ONE, _TWO, _THREE, _FOUR = (
    Stage(2, width, stride) for width, stride in ((16, 1), (32, 2), (64, 2), (128, 2))
)
SMALL = Network(
    "paddleseg",
    Architecture(
        CLASSES,
        Backbone((16, 16, 32), "basic", (_ONE, _TWO, _THREE, _FOUR), pooled_shortcut=True),
        Jpu(32),
        EncNet(64, codes=8, project_bias=True, dropout=0.0),
        Auxiliary(32, bias=True),
        semantic=True,
    ),
    32,
)


def models(folder: Path) -> Mapping[str, Path]:
    """Export both networks, with random weights."""
    weights = random_weights(SMALL.architecture, 0)
    small = to_dialect(SMALL.dialect, SMALL.architecture, weights)
    write_safetensors(small, folder / "small.safetensors")
    write(MAIN, folder / "resnet50.safetensors")
    for name in ("small", "resnet50"):
        export(folder / f"{name}.safetensors", folder / name, classes="ade20k")
    return {name: folder / name for name in ("small", "resnet50")}


def make(path: Path, height: int, width: int, layout: Mapping[str, Any]) -> None:
    """Write a raster in bands: smooth colours with some noise, which no codec makes tiny."""
    import rasterio
    from affine import Affine

    profile = {"driver": "GTiff", "height": height, "width": width, "count": 3, "dtype": "uint8"}
    place = {"crs": "EPSG:32633", "transform": Affine(0.1, 0, 5e5, 0, -0.1, 4.6e6)}
    random, across = np.random.default_rng(0), np.arange(width) / 97
    with rasterio.open(path, "w", photometric="rgb", **profile, **place, **layout) as dataset:
        for top in range(0, height, BAND):
            rows = min(BAND, height - top)
            down = (top + np.arange(rows))[:, None] / 71
            for band, shift in enumerate((0.0, 1.0, 2.0), 1):
                values = 127 + 90 * np.sin(across + shift) * np.cos(down - shift)
                values += random.integers(-20, 20, values.shape)
                window = ((top, top + rows), (0, width))
                dataset.write(values.astype(np.uint8), band, window=window)


def status(name: str) -> int:
    """Return a figure of this process, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def label(model: str, source: str, target: str, backend: str) -> None:
    """Label a raster in this process and print what it took."""
    with Segmenter.from_pretrained(model, backend=backend) as segmenter:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
        before, began = status("VmRSS"), time.monotonic()
        found = segmenter.predict_raster(source, target)
        print(
            json.dumps(
                {
                    "seconds": round(time.monotonic() - began, 1),
                    "stages": {k: round(v, 1) for k, v in found.timings.items()},
                    "peak": status("VmHWM") - before,
                    "estimated": found.memory,
                    "windows_at_a_time": found.batch,
                    "classes_present": len(found.areas()),
                    "bytes_of_result": Path(target).stat().st_size,
                    "runtime": segmenter.runtime.backend,
                }
            )
        )


def measure(model: Path, source: Path, backend: str) -> dict[str, Any]:
    """Label a raster in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.raster", "--worker", model, source, backend],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> int:
    """Run the benchmark; 1 if a raster takes more memory than it may."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--height", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=15_000)
    parser.add_argument("--backend", default="auto", help="runtime")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        model, source, backend = arguments.worker
        label(model, source, f"{source}.labels.tif", backend)
        return 0

    stamp, other_load, rows = environment(), OtherLoad(), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = models(folder)
        for model, height, layout, options in (
            ("small", arguments.height, "tiles", TILED),
            ("small", arguments.height, "strips", STRIPED),
            ("resnet50", min(FEW_ROWS, arguments.height), "tiles", TILED),
        ):
            source = folder / f"{model}_{layout}.tif"
            make(source, height, arguments.width, options)
            case = {"model": model, "layout": layout, "height": height, "width": arguments.width}
            rows.append(case | measure(found[model], source, arguments.backend))
            source.unlink()
            peak = f"{rows[-1]['peak'] / (1 << 30):.2f} GiB beyond the model"
            print(
                f"{model:10}{layout:8}{height} x {arguments.width}: {peak}, {rows[-1]['seconds']} s"
            )
    results = {
        "environment": stamp,
        "others_took": other_load.share(),
        "most": MOST,
        "rasters": rows,
    }
    print(f"other processes took {results['others_took']} of the processors' time")
    write_results(results, arguments.output)
    return int(any(row["peak"] > MOST for row in rows))


if __name__ == "__main__":
    sys.exit(main())
