"""How much memory does each runtime take for a call, beyond the opened model?

    python -m benchmarks.memory [--output benchmarks/results/memory.json]

The embedded ResNet-18 and ResNet-50 with random weights, 150 classes, at stride 32 and 8, in every
installed runtime, two threads. Each row comes from a process of its own, which opens the model,
resets the peak of its resident memory (Linux, ``/proc/self/clear_refs``) and computes one shape of batch
twice. `fastfcn_infer.inference.cost` predicts these figures; the script fails if one is larger than
what it predicts.
"""

import argparse
import gc
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import random_checkpoint
from benchmarks.machine_facts import environment, write_results
from fastfcn_export.convert import export
from fastfcn_infer.artifact.artifact import FORMATS
from fastfcn_infer.hub.models import EMBEDDED, find_artifact
from fastfcn_infer.inference.cost import network_bytes
from fastfcn_infer.inference.views import Size
from fastfcn_infer.runtime.backend import (
    backend_names,
    format_of,
    installed,
    open_backend,
    profile_of,
)

THREADS = 2
CASES: tuple[tuple[Size, int], ...] = (
    ((480, 480), 1),
    ((480, 480), 2),
    ((480, 480), 4),
    ((480, 480), 8),
    ((1024, 2048), 1),
)
EMBEDDED_NAME = "embedded_resnet18"
STRIDES = {"resnet50_stride32": 32, "resnet50_stride8": 8}


@dataclass(frozen=True)
class Row:
    """What one call took; bytes.

    Args:
        network: which.
        backend: which runtime.
        height: of the views, pixels.
        width: likewise.
        views: in the call.
        opened: resident memory of the process with the opened model and the batch.
        peak: above it, during two calls.
        predicted: by `cost.network_bytes`.
    """

    network: str
    backend: str
    height: int
    width: int
    views: int
    opened: int
    peak: int
    predicted: int


def resident(key: str) -> int:
    """Read a figure of ``/proc/self/status``, bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return 1024 * int(line.split()[1])
    raise ValueError(f"this system does not tell {key}")


def measure(network: str, model: str, backend: str, size: Size, views: int) -> Row:
    """Measure one row; in a process that does nothing else."""
    artifact = find_artifact(model, None, local_files_only=True)
    opened = open_backend(backend, artifact, device="cpu", threads=THREADS)
    shape = (views, 3, *size)
    batch = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    gc.collect()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    for _ in range(2):
        opened.run(batch)
    peak = resident("VmHWM") - before
    predicted = network_bytes(artifact.model, size, views, profile_of(opened.facts))
    return Row(network, backend, *size, views, before, peak, predicted)


def export_all(folder: Path) -> dict[str, str]:
    """Export the random networks; returns what opens each network, by name."""
    found = {EMBEDDED_NAME: EMBEDDED}
    checkpoint = folder / "random.safetensors"
    random_checkpoint.write(random_checkpoint.MAIN, checkpoint)
    for name, stride in STRIDES.items():
        export(
            checkpoint, folder / name, formats=tuple(FORMATS), output_stride=stride, verify=False
        )
        found[name] = str(folder / name)
    return found


def measure_all(models: dict[str, str]) -> list[Row]:
    """Measure every network, runtime and case, each in a process of its own."""
    rows = []
    for name, model in models.items():
        formats = find_artifact(model, None, local_files_only=True).formats
        for backend in backend_names():
            if not installed(backend) or format_of(backend) not in formats:
                continue
            for size, views in CASES:
                case = json.dumps([name, model, backend, size, views])
                done = subprocess.run(
                    [sys.executable, "-m", "benchmarks.memory", "--case", case],
                    check=True,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                rows.append(Row(**json.loads(done.stdout.splitlines()[-1])))
                show(rows[-1])
    return rows


def show(row: Row) -> None:
    """Print a row."""
    mib = 1 << 20
    print(
        f"{row.network:20}{row.backend:18}{row.views} x {row.height:4} x {row.width:4}"
        f"{row.peak / mib:9.0f} MiB, predicted {row.predicted / mib:6.0f}"
        f" ({row.predicted / max(row.peak, 1):.2f} x)",
        flush=True,
    )


def main() -> int:
    """Run the benchmark; 1 if a call took more than predicted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    arguments = parser.parse_args()
    if arguments.case:
        name, model, backend, size, views = json.loads(arguments.case)
        print(json.dumps(asdict(measure(name, model, backend, (size[0], size[1]), views))))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        rows = measure_all(export_all(Path(folder)))
    results: dict[str, Any] = {
        "environment": environment(),
        "threads": THREADS,
        "rows": [asdict(row) for row in rows],
    }
    write_results(results, arguments.output)
    return int(any(row.peak > row.predicted for row in rows))


if __name__ == "__main__":
    sys.exit(main())
