"""How many views should one call of the network compute, for each runtime?

    python -m benchmarks.batch [--rounds N] [--output benchmarks/results/batch.json]

The embedded ResNet-18 and ResNet-50 with random weights, 150 classes, at stride 32; views of
480 x 480, two threads. Batches of 1, 2, 4 and 8 take turns in every installed runtime, so that other
load of the machine hits them alike; the gain of a batch is the quotient of views a second, turn by
turn, over batches of one. The best batch of a runtime is stated in its file as ``PROFILE``.
"""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine_facts import environment, laps, ratio, timing, write_results
from benchmarks.memory import THREADS, export_all
from fastfcn_infer.benchmark.timing import OtherLoad
from fastfcn_infer.hub.models import find_artifact
from fastfcn_infer.runtime.backend import (
    backend_names,
    format_of,
    installed,
    open_backend,
    profile_of,
)

SIZE = (480, 480)
BATCHES = (1, 2, 4, 8)
NETWORKS = ("embedded_resnet18", "resnet50_stride32")
PAUSE = 0.05  # seconds; the threads of the last call go to sleep


def measure(model: str, backend: str, rounds: int) -> list[dict[str, Any]]:
    """Time all batches of one network in one runtime."""
    artifact = find_artifact(model, None, local_files_only=True)
    opened = open_backend(backend, artifact, device="cpu", threads=THREADS)
    pixels = np.random.default_rng(0).normal(size=(max(BATCHES), 3, *SIZE)).astype(np.float32)
    try:
        calls = {str(batch): partial(opened.run, pixels[:batch]) for batch in BATCHES}
        taken = laps(calls, repeats=rounds, pause=PAUSE)
    finally:
        opened.close()
    one = taken[str(BATCHES[0])]
    return [
        {
            "batch": batch,
            "seconds": timing(taken[str(batch)])._asdict(),
            "views_per_second": batch / timing(taken[str(batch)]).median,
            "gain_over_one": ratio([batch * t for t in one], taken[str(batch)])._asdict(),
            "stated_best": batch == profile_of(opened.facts).batch,
        }
        for batch in BATCHES
    ]


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=12, help="turns of each batch")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    arguments = parser.parse_args()
    stamp, load, rows = environment(), OtherLoad(), []
    with tempfile.TemporaryDirectory() as folder:
        models = export_all(Path(folder))
        for name in NETWORKS:
            formats = find_artifact(models[name], None, local_files_only=True).formats
            for backend in backend_names():
                if not installed(backend) or format_of(backend) not in formats:
                    continue
                for row in measure(models[name], backend, arguments.rounds):
                    rows.append({"network": name, "backend": backend, **row})
                    gain = row["gain_over_one"]
                    print(
                        f"{name:20}{backend:18}{row['batch']} views in a call"
                        f"{row['views_per_second']:8.2f} views/s   {gain['median']:.2f} x one"
                        f" [{gain['lower_quartile']:.2f} .. {gain['upper_quartile']:.2f}]"
                        + ("   stated" if row["stated_best"] else ""),
                        flush=True,
                    )
    results = {"environment": stamp, "others_took": load.share(), "threads": THREADS, "rows": rows}
    print(f"other processes took {results['others_took']} of the processors' time")
    write_results(results, arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
