"""What do bfloat16 and int8 gain on this processor, and what do they cost in mean IoU?

    python -m benchmarks.precision [--resnet50 DIR] [--embedded DIR] [--rounds N]
        [--parts speed,accuracy] [--camvid DIR] [--limit N] [--output benchmarks/results/precision.json]

Speed: ResNet-50-vd, JPU, EncNet, 150 classes, random weights, and the embedded model; the network alone,
one picture of 480 x 480, two threads, in OpenVINO and in ONNX Runtime. All of them take turns in one
process, and every ratio is of the same turn. Accuracy: the embedded model on the test part of CamVid,
every picture, end to end: mean IoU, and how many labels are those of float32.

int8 needs artifacts that hold such a graph, which `fastfcn-export --precision int8` makes; without
one, and for everything else that cannot run here, the reason is printed and kept. A part that is not
run is kept as it is in the file.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import random_checkpoint
from benchmarks.machine_facts import environment, laps, ratio, timing, write_results
from fastfcn_export import Request, export
from fastfcn_export.verify import golden_picture
from fastfcn_infer.artifact.artifact import Artifact, open_artifact
from fastfcn_infer.benchmark.timing import OtherLoad
from fastfcn_infer.data.dataset import open_dataset
from fastfcn_infer.errors import BackendError
from fastfcn_infer.evaluation.agreement import Agreement, agreement
from fastfcn_infer.evaluation.metrics import Confusion, scores
from fastfcn_infer.hub.models import EMBEDDED, find_artifact
from fastfcn_infer.inference.pipeline import Job
from fastfcn_infer.runtime.backend import Backend, open_backend
from fastfcn_infer.segmenter import Segmenter

THREADS = 2
SIZE = (480, 480)
PAUSE = 0.05  # seconds; enough for the last candidate's threads to go to sleep
BACKENDS = ("open_vino", "onnx_runtime")
PRECISIONS = ("fp32", "bf16", "int8")
RESNET50 = random_checkpoint.MAIN
TARGETS = {
    f"{RESNET50}, open_vino, bf16": 1.8,
    f"{RESNET50}, open_vino, int8": 3.0,
    f"{RESNET50}, onnx_runtime, int8": 2.0,
    f"{EMBEDDED}, open_vino, bf16": 1.7,
    f"{EMBEDDED}, open_vino, int8": 2.5,
}
MOST_LOST = {"bf16": 0.0005, "int8": 0.004}  # of mean IoU, 0..1
PARTS = ("speed", "accuracy")


def random_resnet50(folder: Path) -> Artifact:
    """Export a network of random weights; it has no golden picture, and no graph in int8."""
    network = random_checkpoint.NETWORKS[RESNET50]
    checkpoint = folder / "random.pdparams"
    random_checkpoint.write(RESNET50, checkpoint)
    request = Request(classes="ade20k", output_stride=network.output_stride, verify=False)
    export(checkpoint, folder / "artifact", request)
    return open_artifact(folder / "artifact")


def opened(
    artifact: Artifact, stack: ExitStack, missing: dict[str, str], name: str
) -> Iterator[tuple[str, str, Backend]]:
    """Open an artifact in every runtime and precision; what cannot be had is noted in `missing`."""
    for backend in BACKENDS:
        for precision in PRECISIONS:
            try:
                found = open_backend(
                    backend, artifact, device="cpu", threads=THREADS, precision=precision
                )
            except (BackendError, ValueError) as error:  # the latter: it holds no graph in it
                missing[f"{name}, {backend}, {precision}"] = str(error)
            else:
                stack.callback(found.close)
                yield backend, precision, found


def _in_fp32(name: str) -> str:
    return f"{name.rpartition(', ')[0]}, fp32"


def speed(artifacts: Mapping[str, Artifact], rounds: int) -> dict[str, Any]:
    """Time all networks in turn."""
    missing: dict[str, str] = {}
    picture = np.asarray(cv2.resize(golden_picture(), SIZE[::-1]), np.uint8)
    with ExitStack() as stack:
        calls: dict[str, partial[Any]] = {}
        versions: dict[str, str] = {}
        for name, artifact in artifacts.items():
            job = Job([picture], artifact.model)
            batch = job.batch(job.calls[0]).astype(np.float32, copy=False)
            for backend, precision, found in opened(artifact, stack, missing, name):
                calls[f"{name}, {backend}, {precision}"] = partial(found.run, batch)
                versions |= found.facts.versions
        load = OtherLoad()
        taken = laps(calls, repeats=rounds, pause=PAUSE)
        others = load.share()
    ratios = {}
    for name in taken:
        base = _in_fp32(name)
        if name != base and base in taken:
            ratios[name] = ratio(taken[base], taken[name])._asdict()
    return {
        "environment": environment(),
        "others_took": others,
        "threads": THREADS,
        "size": SIZE,
        "versions": versions,
        "seconds": {name: timing(times)._asdict() for name, times in taken.items()},
        "times_faster_than_fp32": ratios,
        "targets": TARGETS,
        "not_run": missing,
    }


def accuracy(artifact: Artifact, camvid: Path, limit: int | None) -> dict[str, Any]:
    """Label the test part of CamVid in every precision, and count."""
    dataset = open_dataset("camvid", camvid, "test")
    samples = dataset.samples[:limit]
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        segmenters = {
            f"{backend}, {precision}": Segmenter(artifact, found)
            for backend, precision, found in opened(artifact, stack, missing, EMBEDDED)
        }
        classes = len(artifact.model.classes)
        counts = {name: Confusion(classes) for name in segmenters}
        agreed = {name: Agreement() for name in segmenters}
        for number, sample in enumerate(samples, 1):
            picture, truth = dataset.read(sample)
            labels = {name: each.predict(picture).labels for name, each in segmenters.items()}
            for name in labels:
                counts[name].add(labels[name], truth)
                agreed[name] += agreement(labels[name], labels[_in_fp32(name)])
            print(f"\r{number} of {len(samples)} pictures", end="", file=sys.stderr)
        print(file=sys.stderr)
    rows = {}
    for name, confusion in counts.items():
        mean = scores(confusion, "paddleseg").mean_iou
        base = counts[_in_fp32(name)]
        rows[name] = {
            "mean_iou": mean,
            "lost": scores(base, "paddleseg").mean_iou - mean,
            "labels_of_fp32": agreed[name].overall,
            "labels_of_fp32_away_from_boundaries": agreed[name].away_from_boundaries,
        }
    return {
        "environment": environment(),
        "model": EMBEDDED,
        "dataset": "camvid, part test",
        "pictures": len(samples),
        "rows": rows,
        "most_lost": MOST_LOST,
        "not_run": missing,
    }


def show(results: Mapping[str, Any]) -> None:
    """Print what was measured."""
    if "speed" in results:
        found = results["speed"]
        for name, times in found["seconds"].items():
            row = found["times_faster_than_fp32"].get(name)
            faster = ""
            if row is not None:
                quartiles = f"[{row['lower_quartile']:.2f} .. {row['upper_quartile']:.2f}]"
                target = f"   target {TARGETS[name]}" if name in TARGETS else ""
                faster = f"{row['median']:7.2f} x {quartiles}{target}"
            print(f"{name:58}{1000 * times['median']:9.1f} ms{faster}")
        print(f"other processes took {found['others_took']} of the processors' time")
    if "accuracy" in results:
        found = results["accuracy"]
        print(f"\n{found['model']}, {found['pictures']} pictures of {found['dataset']}")
        for name, row in found["rows"].items():
            print(
                f"{name:24}mean IoU {100 * row['mean_iou']:6.2f}, lost {100 * row['lost']:+.2f} points; labels of "
                f"fp32 {row['labels_of_fp32']:.2%}, away from boundaries "
                f"{row['labels_of_fp32_away_from_boundaries']:.2%}"
            )
    for part in results.values():
        for name, reason in part["not_run"].items():
            print(f"not run: {name}: {reason}")


def faults(results: Mapping[str, Any]) -> list[str]:
    """List the precisions that lose more than is allowed; speed depends on the machine, and is no fault."""
    rows = results.get("accuracy", {}).get("rows", {})
    return [
        f"{name} loses {row['lost']:.4f} of mean IoU"
        for name, row in rows.items()
        if row["lost"] > MOST_LOST.get(name.rpartition(", ")[2], 0.0)
    ]


def _parts(text: str) -> list[str]:
    wanted = text.split(",")
    if not set(wanted) <= set(PARTS):
        raise argparse.ArgumentTypeError(f"{text}: some of {', '.join(PARTS)} were expected")
    return wanted


def main() -> int:
    """Run the benchmark; 1 if a precision loses too much."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--resnet50", type=Path, help="artifact of the network of random weights, with int8")
    add("--embedded", type=Path, help="artifact of the embedded model, with int8")
    add("--rounds", type=int, default=20, help="turns")
    add("--parts", type=_parts, default=["speed"], help="speed, accuracy or both")
    add("--camvid", type=Path, help="folder of CamVid, with images/test and labels/test")
    add("--limit", type=int, help="only so many pictures of CamVid")
    add("--output", type=Path, help="write the results to this JSON file")
    given = parser.parse_args()
    if "accuracy" in given.parts and given.camvid is None:
        parser.error("the part accuracy needs --camvid")
    cv2.setNumThreads(THREADS)

    embedded = find_artifact(given.embedded or EMBEDDED, None, local_files_only=True)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        if "speed" in given.parts:
            large = (
                random_resnet50(Path(folder))
                if given.resnet50 is None
                else open_artifact(given.resnet50)
            )
            results["speed"] = speed({RESNET50: large, EMBEDDED: embedded}, given.rounds)
    if "accuracy" in given.parts:
        results["accuracy"] = accuracy(embedded, given.camvid, given.limit)
    show(results)
    if given.output:
        held = json.loads(given.output.read_bytes()) if given.output.exists() else {}
        write_results({**held, **results}, given.output)
    found = faults(results)
    print(*found, sep="\n", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
