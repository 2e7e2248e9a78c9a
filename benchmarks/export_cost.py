"""What does converting a checkpoint cost, in seconds and in memory over the weights' size?

    python -m benchmarks.export_cost [--rounds N] [--output benchmarks/results/export_cost.json]

ResNet-50-vd, JPU, EncNet: a checkpoint of 200 MB with random weights. Every job runs in processes
of its own; its peak memory is the resident set's high-water mark, pages of the memory-mapped
checkpoint included.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine_facts import environment, timing, write_results
from benchmarks.random_checkpoint import MAIN, NETWORKS
from fastfcn_export.target.targets import cost
from fastfcn_infer.benchmark.timing import OtherLoad

STRIDE = NETWORKS[MAIN].output_stride
EXPORT = (
    "from fastfcn_export.__main__ import main; "
    f"failed = main(['FILE', '-o', 'FOLDER', '--output-stride', '{STRIDE}', '--json', *MORE])"
)
READ = (
    "from fastfcn_export.checkpoint.read import read_checkpoint; tensors = read_checkpoint('FILE')"
)
JOBS = {
    "import alone": "import fastfcn_export.convert, fastfcn_export.target.targets.onnx_graph",
    "read": READ,
    "read, every tensor copied": READ + "; kept = [a.copy() for a in tensors.values()]",
    "export --verify off": EXPORT.replace("*MORE", "'--verify', 'off'"),
    "export, verified": EXPORT.replace(", *MORE", ""),
}
FILES = ("random.pdparams", "random.safetensors")
PROGRAM = """
import io, json, sys, time
from contextlib import redirect_stdout
from fastfcn_infer.system.machine import peak_memory
began, failed = time.perf_counter(), 0
with redirect_stdout(io.StringIO()):
    JOB
print(json.dumps([time.perf_counter() - began, peak_memory()]))
sys.exit(failed)
"""


def run(job: str, file: Path, folder: Path) -> tuple[float, int]:
    """Run a job in a fresh process.

    Returns:
        Seconds without starting Python but with imports; peak memory, bytes.
    """
    text = job.replace("FILE", file.as_posix()).replace("FOLDER", folder.as_posix())
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("JOB", text)],
        check=True,
        capture_output=True,
        text=True,
    )
    seconds, peak = json.loads(done.stdout)
    return float(seconds), int(peak)


def measure(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Run all jobs in turn, on each kind of checkpoint."""
    rows = []
    for name in FILES:
        file = folder / name
        subprocess.run(
            [sys.executable, "-m", "benchmarks.random_checkpoint", MAIN, str(file)],
            check=True,
            capture_output=True,
        )
        taken: dict[str, list[tuple[float, int]]] = {job: [] for job in JOBS}
        for turn in range(rounds):
            for number, (job, text) in enumerate(JOBS.items()):
                taken[job].append(run(text, file, folder / f"{name}-{number}-{turn}"))
        rows += [
            {
                "file": name,
                "bytes": file.stat().st_size,
                "job": job,
                **timing([seconds for seconds, _ in results])._asdict(),
                "peak_bytes": max(peak for _, peak in results),
            }
            for job, results in taken.items()
        ]
    return rows


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="processes of each kind")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    arguments = parser.parse_args()

    stamp = environment()
    other_load = OtherLoad()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), arguments.rounds)
    layers = cost.layers(NETWORKS[MAIN].architecture)
    weights = 4 * sum(layer.parameters for layer in layers)
    for row in rows:
        row["peak_over_weights"] = row["peak_bytes"] / weights
        print(
            f"{row['file']:20}{row['job']:28}{row['median']:7.2f} s "
            f"[{row['lower_quartile']:.2f} .. {row['upper_quartile']:.2f}]"
            f"{row['peak_bytes'] / 1e6:8.0f} MB = {row['peak_over_weights']:.2f} x the weights"
        )
    results = {
        "environment": stamp,
        "others_took": other_load.share(),
        "network": MAIN,
        "weights_bytes": weights,
        "jobs": rows,
    }
    print(f"other processes took {results['others_took']} of the processors' time")
    write_results(results, arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
