"""How fast is a folder of pictures, from files to files, against the network alone?

    python -m benchmarks.stream FOLDER [--count 200] [--rounds N] [--runtimes open_vino onnx_runtime]
        [--networks embedded_resnet18 resnet50_stride32] [--output benchmarks/results/stream.json]

FOLDER holds pictures of one size, such as CamVid's. In turns, with two threads: the network alone, on
batches of one and of the runtime's best, and in two calls of one thread each, as `Segmenter.stream` runs
it; the pictures one by one, `predict` and `save`; and through `Segmenter.stream`, with one call for the
pictures of a batch, and with two calls at a time, saving while the next ones are computed. Labels and
overlays are written in all cases. The script fails unless all write the same files with labels that are
equal on 99.9 % of the pixels: runtimes may round batches of other sizes differently. Shares are of the
faster of the two networks with one call, and of the fastest of all three. What a picture takes of
processors in each step, in milliseconds, says what share can be reached: where all processors are busy with
the network, every other step takes its time from it.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.machine_facts import environment, laps, ratio, timing, write_results
from benchmarks.memory import EMBEDDED_NAME, THREADS, export_all
from fastfcn_infer.benchmark.timing import OtherLoad
from fastfcn_infer.hub.models import EMBEDDED, find_artifact
from fastfcn_infer.inference.pipeline import Job
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.inference.stream.source import open_source
from fastfcn_infer.picture.read import read_picture
from fastfcn_infer.runtime.backend import open_backend, profile_of
from fastfcn_infer.segmenter import Segmenter
from fastfcn_infer.system.several_files import write_files

NETWORKS = ("embedded_resnet18", "resnet50_stride32")
RUNTIMES = ("open_vino", "onnx_runtime")
EQUAL = 0.999
STEPS_OF = 32  # pictures whose steps are timed one by one
WRITERS = 2  # threads, as `fastfcn predict` has
TARGET = 0.95  # of the network's own throughput
PAUSE = 0.05  # seconds; the threads of the last call go to sleep


def save(found: Segmentation, folder: Path) -> None:
    """Write labels and overlay of a picture."""
    name = Path(str(found.source)).stem
    found.save_each(
        {"labels": folder / f"{name}_labels.png", "overlay": folder / f"{name}_overlay.jpg"}
    )


def one_by_one(segmenter: Segmenter, paths: Sequence[Path], folder: Path) -> None:
    """Label and save each picture before the next one."""
    for path in paths:
        save(segmenter.predict(path), folder)


def streamed(segmenter: Segmenter, paths: Iterable[Path], folder: Path) -> None:
    """Save results in threads while the next pictures are read and labelled, as ``fastfcn predict`` does.

    Of an iterator nobody knows how long it is, so its pictures share calls in batches.
    """
    with segmenter.stream(paths) as stream, ThreadPoolExecutor(WRITERS) as writers:
        saved = [
            writers.submit(save, found, folder)
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
        for first in range(0, count, batch):
            backend.run(pixels[: count - first])

    return run


def network_in_parallel(
    segmenter: Segmenter, path: Path, count: int
) -> dict[str, Callable[[], None]]:
    """Return what runs the network on as many pictures, in as many threads as it has calls, by name.

    Where the pictures are too few for several calls there is nothing to run.
    """
    job = Job([read_picture(path)], segmenter.model)
    fed = job.batch(job.calls[0])
    several = segmenter._parallel.network(count)
    if several is None:
        return {}

    def run() -> None:
        with ThreadPoolExecutor(several.calls) as threads:
            list(threads.map(lambda _: several.run(fed), range(count)))

    return {f"network, {several.calls} calls": run}


def processor_milliseconds(segmenter: Segmenter, paths: Sequence[Path]) -> dict[str, float]:
    """Return what each step of a picture takes of the processors, all threads together: the median."""
    taken: dict[str, list[float]] = {}

    def timed(name: str, step: Callable[[], Any]) -> Any:
        before = time.process_time()
        found = step()
        taken.setdefault(name, []).append(1000 * (time.process_time() - before))
        return found

    backend = segmenter._backend
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            pixels = timed("read", partial(read_picture, path))
            job = Job([pixels], segmenter.model)
            fed = timed("prepare", partial(job.batch, job.calls[0]))
            output = timed("network", partial(backend.run, fed))
            timed("labels", partial(job.label, 0, {0: output[0]}))
            found = segmenter.predict(pixels)
            encoded = timed("encode labels", partial(found._encode, "labels", ".png"))
            overlay = timed("overlay", found.overlay)
            drawn = timed("encode overlay", partial(overlay.encode, ".jpg"))
            files = {Path(folder, "labels.png"): encoded, Path(folder, "overlay.jpg"): drawn}
            timed("write both", partial(write_files, files))
    return {name: float(np.median(values)) for name, values in taken.items()}


def agreement(folder: Path, other: Path, count: int) -> float:
    """Return the share of equal labels; fail if files are missing or it is low."""
    names = sorted(path.name for path in folder.iterdir())
    if len(names) != count or names != sorted(path.name for path in other.iterdir()):
        raise SystemExit(f"{count} files were expected, found {len(names)} and others")
    maps = [name for name in names if name.endswith("_labels.png")]
    shares = []
    for name in maps:
        one, two = (np.asarray(cv2.imread(str(each / name))) for each in (folder, other))
        shares.append(float(np.mean((one == two).all(axis=2))))  # of their colours
    equal = float(np.mean(shares))
    if equal < EQUAL:
        raise SystemExit(f"only {equal:.3%} of the labels are equal")
    return equal


def measure(model: str, runtime: str, paths: Sequence[Path], rounds: int) -> dict[str, Any]:
    """Time one network in one runtime."""
    artifact = find_artifact(model, None, local_files_only=True)
    backend = open_backend(runtime, artifact, device="cpu", threads=THREADS)
    best = profile_of(backend.facts).batch
    with Segmenter(artifact, backend) as segmenter, tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / name for name in ("serial", "batches", "stream")]
        for folder in folders:
            folder.mkdir()
        networks = {
            "network, one at a time": network_alone(segmenter, paths[0], 1, len(paths)),
            f"network, batches of {best}": network_alone(segmenter, paths[0], best, len(paths)),
            **network_in_parallel(segmenter, paths[0], len(paths)),
        }
        written = {
            "one by one": lambda: one_by_one(segmenter, paths, folders[0]),
            "stream of batches": lambda: streamed(segmenter, iter(paths), folders[1]),
            "stream": lambda: streamed(segmenter, paths, folders[2]),
        }
        candidates = {**networks, **written}
        taken = laps(candidates, repeats=rounds, pause=PAUSE)
        steps = processor_milliseconds(segmenter, paths[:STEPS_OF])
        equal = min(agreement(folders[0], each, 2 * len(paths)) for each in folders[1:])
    alone, fastest = (
        [min(turn) for turn in zip(*[*taken.values()][:count], strict=True)]
        for count in (2, len(networks))
    )
    return {
        "best_batch": best,
        "pictures": len(paths),
        "equal_labels": equal,
        "processor_milliseconds": steps,
        "size": list(read_picture(paths[0]).shape[:2]),
        "pictures_per_second": {
            name: len(paths) / timing(seconds).median for name, seconds in taken.items()
        },
        "share_of_network": {name: ratio(alone, taken[name])._asdict() for name in written},
        "share_of_fastest_network": {
            name: ratio(fastest, taken[name])._asdict() for name in written
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
        only_embedded = [*arguments.networks] == [EMBEDDED_NAME]
        models = {EMBEDDED_NAME: EMBEDDED} if only_embedded else export_all(Path(folder))
        for name in arguments.networks:
            for runtime in arguments.runtimes:
                row = measure(models[name], runtime, paths, arguments.rounds)
                rows.append({"network": name, "runtime": runtime, **row})
                speeds = ", ".join(f"{k} {v:.2f}" for k, v in row["pictures_per_second"].items())
                share = row["share_of_network"]["stream"]["median"]
                strict = row["share_of_fastest_network"]["stream"]["median"]
                print(
                    f"{name} in {runtime}, pictures a second: {speeds}; stream {share:.1%} of the network "
                    f"with one call (target {TARGET:.0%}), {strict:.1%} of the fastest",
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
    write_results(results, arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
