"""What do procedures cost beside their networks, and against the same procedure in eager PyTorch?

    python -m benchmarks.procedures [--backend NAME] [--rounds N] [--output benchmarks/results/procedures.json]

ResNet-50, JPU, EncNet of the original code, 150 classes, random weights, two threads:

- ``fastfcn-ms`` (36 windows) on a photograph of 512 x 683, in turns with the original code's evaluation in
  eager PyTorch on the same weights (without torch: left out). The script fails if labels differ on more
  than 0.1 % of the pixels.
- Every preset on the same photograph: seconds in the network and outside it. The embedded model, which is trained, too,
  since random logits leave more classes to compare.
- ``tiles`` on 1024 x 2048: its time over windows x the time of a window at the best batch.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import random_checkpoint
from benchmarks.machine_facts import environment, laps, ratio, timing
from fastfcn_export import Request, export
from fastfcn_export.target.random_weights import random_weights
from fastfcn_export.verify import golden_picture
from fastfcn_infer import Procedure, Segmenter
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.procedure import PRESETS
from fastfcn_infer.benchmark.timing import OtherLoad
from fastfcn_infer.inference.pipeline import Job
from fastfcn_infer.runtime.backend import Backend, open_backend

THREADS = 2
NETWORK = "wuhuikai_resnet50"
PICTURE, LARGE = (512, 683), (1024, 2048)
PAUSE = 0.05  # seconds; enough for the last candidate's threads to go to sleep
BATCHES = (1, 2, 4, 8)
TARGETS = {"eager_over_ours": 2.5, "outside_over_network": 0.10, "tiles_over_windows": 1.05}


def photograph(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a photograph (H, W, 3), RGB."""
    return np.asarray(cv2.resize(golden_picture(), size[::-1]), np.uint8)


def against_torch(segmenter: Segmenter, rounds: int) -> dict[str, Any]:
    """Time ``fastfcn-ms`` in turns with eager PyTorch, and compare the labels."""
    import torch

    from benchmarks import torch_procedure
    from benchmarks.torch_target import TorchNetwork

    torch.set_num_threads(THREADS)
    given, picture = segmenter.model.input, photograph(PICTURE)
    mean, std = (np.array(values, np.float32) for values in (given.mean, given.std))
    architecture = random_checkpoint.NETWORKS[NETWORK].architecture
    found: dict[str, NDArray[Any]] = {}

    def ours() -> None:
        found["ours"] = segmenter.predict(picture, procedure="fastfcn-ms").labels

    eager = {}
    for name, last in (("eager", False), ("eager, channels last", True)):
        network = TorchNetwork(
            architecture,
            random_weights(architecture),
            align_corners=segmenter.model.align_corners,
            channels_last=last,
        )

        def call(name: str = name, network: TorchNetwork = network) -> None:
            merged = torch_procedure.scores(network, picture, mean, std)
            found[name] = merged.argmax(0).numpy()

        eager[name] = call
    taken = laps({"ours": ours, **eager}, repeats=rounds, pause=PAUSE)
    fastest = min(eager, key=lambda name: timing(taken[name]).median)
    return {
        "seconds": {name: timing(times)._asdict() for name, times in taken.items()},
        "label_agreement": {name: float((found[name] == found["ours"]).mean()) for name in eager},
        "fastest_eager": fastest,
        "eager_over_ours": {name: ratio(taken[name], taken["ours"])._asdict() for name in eager},
    }


def presets(segmenter: Segmenter, rounds: int) -> dict[str, Any]:
    """Time every preset: seconds in the network and outside it, of the fastest of some calls."""
    picture, rows = photograph(PICTURE), {}
    for name in PRESETS:
        segmenter.predict(picture, procedure=name)
        calls = [segmenter.predict(picture, procedure=name).timings for _ in range(rounds)]
        network = min(times["network"] for times in calls)
        rest = {stage: min(times[stage] for times in calls) for stage in ("preprocess", "labels")}
        share = sum(rest.values()) / network
        rows[name] = {"network": network, **rest, "outside_over_network": share}
    return rows


def tiles(segmenter: Segmenter, backend: Backend, rounds: int) -> dict[str, Any]:
    """Compare ``tiles`` on a large picture with the time that its windows take alone."""
    picture = photograph(LARGE)
    job = Job([picture], segmenter.model, procedure=Procedure.preset("tiles"))
    windows = len(job.views[0])
    crop = np.ascontiguousarray(job.batch(job.calls[0])[:1])
    candidates: dict[str, Callable[[], object]] = {
        "tiles": lambda: segmenter.predict(picture, procedure="tiles")
    }
    for batch in BATCHES:
        candidates[f"batch {batch}"] = partial(backend.run, np.repeat(crop, batch, 0))
    taken = laps(candidates, repeats=rounds, pause=PAUSE)
    each = {batch: timing(taken[f"batch {batch}"]).median / batch for batch in BATCHES}
    best = min(each, key=lambda batch: each[batch])
    window = [seconds / best * windows for seconds in taken[f"batch {best}"]]
    return {
        "windows": windows,
        "seconds": timing(taken["tiles"])._asdict(),
        "seconds_of_a_window": {str(batch): seconds for batch, seconds in each.items()},
        "best_batch": best,
        "tiles_over_windows": ratio(taken["tiles"], window)._asdict(),
    }


def show(results: Mapping[str, Any]) -> None:
    """Print the results as tables."""
    if results["torch"]:
        for name, row in results["torch"]["seconds"].items():
            print(f"fastfcn-ms, {name:24}{row['median']:8.2f} s")
        for name, row in results["torch"]["eager_over_ours"].items():
            agreement = results["torch"]["label_agreement"][name]
            print(f"{name}: {row['median']:.2f} x ours; labels equal on {agreement:.4%}")
    for model, rows in results["presets"].items():
        for name, row in rows.items():
            print(
                f"{model:10}{name:20}network {row['network']:7.3f} s, preprocess {row['preprocess']:.3f}, "
                f"labels {row['labels']:.3f}: {row['outside_over_network']:.1%} outside"
            )
    row = results["tiles"]
    print(
        f"tiles {LARGE[0]} x {LARGE[1]}: {row['seconds']['median']:.2f} s, "
        f"{row['tiles_over_windows']['median']:.3f} x {row['windows']} windows at batch {row['best_batch']}"
    )
    print(f"other processes took {results['others_took']} of the processors' time")


def main() -> int:
    """Run the benchmark; 1 if labels differ from PyTorch's."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", default="open_vino", help="runtime (default: open_vino)")
    parser.add_argument("--rounds", type=int, default=3, help="timed calls of each candidate")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    arguments = parser.parse_args()
    cv2.setNumThreads(THREADS)
    stamp, load = environment(), OtherLoad()
    with tempfile.TemporaryDirectory() as folder:
        network = random_checkpoint.NETWORKS[NETWORK]
        checkpoint = Path(folder) / "random.pdparams"
        random_checkpoint.write(NETWORK, checkpoint)
        request = Request(
            formats=("onnx",), classes="ade20k", output_stride=network.output_stride, verify=False
        )
        export(checkpoint, Path(folder) / "artifact", request)
        artifact = open_artifact(Path(folder) / "artifact")
        backend = open_backend(arguments.backend, artifact, device="cpu", threads=THREADS)
        segmenter = Segmenter(artifact, backend)
        embedded = Segmenter.from_pretrained(backend=arguments.backend, threads=THREADS)
        results: dict[str, Any] = {
            "environment": stamp,
            "network": NETWORK,
            "threads": THREADS,
            "backend": arguments.backend,
            "tiles": tiles(segmenter, backend, arguments.rounds),
            "presets": {
                "random": presets(segmenter, arguments.rounds),
                "embedded": presets(embedded, arguments.rounds),
            },
            "torch": None
            if find_spec("torch") is None
            else against_torch(segmenter, arguments.rounds),
            "targets": TARGETS,
        }
    results["others_took"] = load.share()
    show(results)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")
    compared = (results["torch"] or {}).get("label_agreement", {})
    return int(any(share < 0.999 for share in compared.values()))


if __name__ == "__main__":
    sys.exit(main())
