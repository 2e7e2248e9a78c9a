"""How should Paddle use two cores to train? One step of the embedded model's recipe, several ways.

    python -m benchmarks.training_step [--rounds N] [--output benchmarks/results/training_step.json]

Every way is a process of its own, or two of them; they run in turn, and each gives the median of its
steps. What ``fastfcn-train`` chooses by itself is `fastfcn_training.paddle_setup.processors`.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine_facts import environment, timing, write_results
from fastfcn_infer.benchmark.timing import OtherLoad

RECIPE = "fastfcn-resnet18-camvid"
CLASSES, STEPS = 11, 6
COMES, CHOSEN = "Paddle as it comes", "as fastfcn-train sets it"
ONE, ONEDNN, TWO = (
    f"the same, {what}" for what in ("one thread", "with oneDNN", "two processes of one thread")
)


def ways() -> dict[str, dict[str, str]]:
    """Name the environment variables of every way."""
    from fastfcn_training.paddle_setup.processors import prepare

    chosen: dict[str, str] = {}
    prepare(chosen)
    single = {**chosen, "OMP_NUM_THREADS": "1"}
    return {
        COMES: {},
        CHOSEN: chosen,
        ONE: single,
        ONEDNN: {**chosen, "FLAGS_use_mkldnn": "1"},
        TWO: single,
    }


def seconds(way: str, variables: Mapping[str, str]) -> float:
    """Measure one way in processes of their own: seconds of a step of the recipe's whole batch.

    Raises:
        CalledProcessError: it failed.
    """
    path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("FLAGS_", "MKL_", "OMP_"))}
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "seconds"
        launcher = ["paddle.distributed.launch", "--nproc_per_node", "2", "--log_dir", folder]
        words = [*launcher, __file__] if way == TWO else [__file__]
        subprocess.run(
            [sys.executable, *(["-m"] if way == TWO else []), *words, "--worker", str(result)],
            env={**clean, **variables, "PYTHONPATH": path},
            check=True,
            capture_output=True,
        )
        return float(result.read_text())


def work(result: Path) -> None:
    """Make the steps, and write the median of their seconds."""
    from fastfcn_export.network.choice import architecture
    from fastfcn_training.cli.recipe_sources.recipe_file import read_recipe
    from fastfcn_training.data.batches import Batch
    from fastfcn_training.loop.step import TrainingStep
    from fastfcn_training.network.initial_weights import initial_weights
    from fastfcn_training.paddle_setup.distributed import ProcessGroup

    processes, recipe = ProcessGroup(), read_recipe(RECIPE)
    network = architecture(recipe.network, CLASSES)
    learner = TrainingStep(recipe, network, initial_weights(network, 0), processes)
    rng = np.random.default_rng(processes.rank)
    count, (height, width) = recipe.batch // processes.world, recipe.augmentation.crop
    pixels = rng.integers(0, 256, (count, height, width, 3), np.uint8)
    labels = rng.integers(0, CLASSES, (count, height, width), np.uint8)
    batch = Batch(pixels, labels, ("noise",) * count)

    def batches() -> Iterator[Batch]:
        while True:
            yield batch

    taken, stream = [], batches()
    for number in range(STEPS + 2):  # the first two make memory and choose kernels
        began = time.perf_counter()
        learner.compute_gradients(stream, number)
        learner.update_weights(1e-4)
        taken.append(time.perf_counter() - began)
    if processes.rank == 0:
        result.write_text(str(statistics.median(taken[2:])))


def main() -> None:
    """Measure all ways in turn."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(given.worker)
        return
    taken: dict[str, list[float]] = {way: [] for way in ways()}
    other_load = OtherLoad()
    for _ in range(given.rounds):
        for way, variables in ways().items():
            taken[way].append(seconds(way, variables))
    rows = {way: timing(values)._asdict() for way, values in taken.items()}
    results: dict[str, Any] = {
        "recipe": RECIPE,
        "environment": environment(),
        "others_took": other_load.share(),
        "seconds": rows,
    }
    for way, row in rows.items():
        print(f"{way:28} {row['median']:.3f} s  {rows[COMES]['median'] / row['median']:.2f} x")
    write_results(results, given.output)


if __name__ == "__main__":
    main()
