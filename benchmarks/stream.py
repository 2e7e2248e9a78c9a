"""How fast is a folder of pictures, from files to files, against the network alone?

    python -m benchmarks.stream FOLDER [--count 200] [--rounds N] [--runtimes open_vino onnx_runtime]
        [--networks embedded_resnet18 resnet50_stride32] [--output benchmarks/results/stream.json]

FOLDER holds pictures of one size, such as CamVid's. In turns, with two threads: the network alone, on
batches of one and of the runtime's best; the pictures one by one, `predict` and `save`; and through
`Segmenter.stream`, saving while the next ones are computed. Labels and overlays are written in both
cases. Both make the same files, or the script fails. Shares are of the faster of the two networks alone.
"""

import argparse
import filecmp
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine_facts import environment, laps, ratio, timing
from benchmarks.memory import THREADS, export_all
from fastfcn_infer.benchmark.timing import OtherLoad
from fastfcn_infer.hub.models import find_artifact
from fastfcn_infer.inference.pipeline import Job
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.inference.stream.source import open_source
from fastfcn_infer.picture.read import read_picture
from fastfcn_infer.runtime.backend import open_backend, profile_of
from fastfcn_infer.segmenter import Segmenter

NETWORKS = ("embedded_resnet18", "resnet50_stride32")
RUNTIMES = ("open_vino", "onnx_runtime")
TARGET = 0.95  # of the network's own throughput
PAUSE = 0.05  # seconds; the threads of the last call go to sleep


def save(found: Segmentation, folder: Path) -> None:
    """Write labels and overlay of a picture."""
    name = Path(str(found.source)).stem
    found.save(folder / f"{name}_labels.png", kind="labels")
    found.save(folder / f"{name}_overlay.jpg", kind="overlay")


def one_by_one(segmenter: Segmenter, paths: Sequence[Path], folder: Path) -> None:
    """Label and save each picture before the next one."""
    for path in paths:
        save(segmenter.predict(path), folder)


def streamed(segmenter: Segmenter, paths: Sequence[Path], folder: Path) -> None:
    """Save results in a thread while the next pictures are read and labelled."""
    with segmenter.stream(iter(paths)) as stream, ThreadPoolExecutor(1) as writer:
        saved = [
            writer.submit(save, found, folder)
            for found in stream
            if isinstance(found, Segmentation)
        ]
        for one in saved:
            one.result()


def network_alone(segmenter: Segmenter, path: Path, batch: int, count: int) -> Callable[[], None]:
    """Return what runs the network on as many pictures as there are, in batches."""
    job = Job([read_picture(path)], segmenter.model)
    fed = job.batch(job.calls[0])
    pixels = np.ascontiguousarray(np.repeat(fed, batch, axis=0))
    backend = segmenter._backend

    def run() -> None:
        for _ in range(-(-count // batch)):
            backend.run(pixels)

    return run


def measure(model: str, runtime: str, paths: Sequence[Path], rounds: int) -> dict[str, Any]:
    """Time one network in one runtime."""
    artifact = find_artifact(model, None, local_files_only=True)
    backend = open_backend(runtime, artifact, device="cpu", threads=THREADS)
    best = profile_of(backend.facts).batch
    with Segmenter(artifact, backend) as segmenter, tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / name for name in ("serial", "stream")]
        for folder in folders:
            folder.mkdir()
        candidates = {
            "network, one at a time": network_alone(segmenter, paths[0], 1, len(paths)),
            f"network, batches of {best}": network_alone(segmenter, paths[0], best, len(paths)),
            "one by one": lambda: one_by_one(segmenter, paths, folders[0]),
            "stream": lambda: streamed(segmenter, paths, folders[1]),
        }
        taken = laps(candidates, repeats=rounds, pause=PAUSE)
        names = sorted(path.name for path in folders[0].iterdir())
        _, differing, missing = filecmp.cmpfiles(folders[0], folders[1], names, shallow=False)
        if differing or missing or len(names) != 2 * len(paths):
            raise SystemExit(f"the files differ: {differing[:3]}, missing: {missing[:3]}")
    alone = [min(pair) for pair in zip(*list(taken.values())[:2], strict=True)]
    return {
        "best_batch": best,
        "pictures": len(paths),
        "size": list(read_picture(paths[0]).shape[:2]),
        "pictures_per_second": {
            name: len(paths) / timing(seconds).median for name, seconds in taken.items()
        },
        "share_of_network": {
            name: ratio(alone, taken[name])._asdict() for name in ("one by one", "stream")
        },
    }


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="pictures of one size")
    parser.add_argument("--count", type=int, default=200, help="pictures of the folder")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each candidate")
    parser.add_argument("--runtimes", nargs="+", default=RUNTIMES, choices=RUNTIMES)
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    arguments = parser.parse_args()
    found = open_source(arguments.folder).items
    paths = [Path(str(item.source)) for item in found][: arguments.count]
    stamp, load, rows = environment(), OtherLoad(), []
    with tempfile.TemporaryDirectory() as folder:
        models = export_all(Path(folder))
        for name in arguments.networks:
            for runtime in arguments.runtimes:
                row = measure(models[name], runtime, paths, arguments.rounds)
                rows.append({"network": name, "runtime": runtime, **row})
                speeds = ", ".join(f"{k} {v:.2f}" for k, v in row["pictures_per_second"].items())
                share = row["share_of_network"]["stream"]["median"]
                print(
                    f"{name} in {runtime}, pictures a second: {speeds}; stream {share:.1%} of the network "
                    f"(target {TARGET:.0%})",
                    flush=True,
                )
    results = {
        "environment": stamp,
        "others_took": load.share(),
        "threads": THREADS,
        "target": TARGET,
        "rows": rows,
    }
    print(f"other processes took {results['others_took']} of the processors' time")
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
