"""How long do procedures take outside the network, and how fast are they against eager PyTorch?

    python -m benchmarks.procedures [--parts resnet50 embedded tiles torch] [--rounds N]
        [--runtimes open_vino onnx_runtime] [--picture FILE]
        [--output benchmarks/results/procedures.json]

``resnet50``: every preset with ResNet-50, JPU, EncNet, 150 classes, in the variant of the authors that
the preset belongs to, with random weights, on a picture of 512 x 683. ``embedded``: every preset with
the embedded model, which is trained, on 360 x 480 and 512 x 683. Shares are those of each run: seconds
outside the network / seconds of the network, which the target limits to 0.1.

``tiles``: 2048 x 1024 against the number of windows times the seconds of one window in a batch of the
best size, in turns. ``torch``: ``fastfcn-ms`` against the original code's protocol in eager PyTorch with the same
weights, in turns. Their scores and labels are compared, and the script fails if they differ.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import random_checkpoint
from benchmarks.machine_facts import environment, laps, ratio, timing, write_results
from fastfcn_export import Request, export
from fastfcn_export.target.random_weights import random_weights
from fastfcn_infer import Segmenter
from fastfcn_infer.artifact.artifact import Artifact, open_artifact
from fastfcn_infer.artifact.procedure import PRESETS, Procedure
from fastfcn_infer.benchmark.timing import OtherLoad
from fastfcn_infer.inference.conventions import choose_procedure
from fastfcn_infer.inference.pipeline import Job, segment
from fastfcn_infer.picture.read import read_picture
from fastfcn_infer.runtime.backend import Backend, open_backend

STREET = Path(str(resources.files("fastfcn_infer"))) / "assets" / "demo" / "street.jpg"
Picture = NDArray[np.uint8]

THREADS = 2
PARTS = ("resnet50", "embedded", "tiles", "torch")
RUNTIMES = ("open_vino", "onnx_runtime")
SIZE = (512, 683)
SMALL = (360, 480)
LARGE = (1024, 2048)
WINDOW = (480, 480)
BATCHES = (1, 2, 4, 8)
MULTI_SCALE = "fastfcn-ms"
NETWORKS = {  # beginning of a preset's name -> whose network
    "fastfcn": "wuhuikai_resnet50",
    "mmseg": "mmseg_resnet50",
    "": random_checkpoint.MAIN,
}
TARGETS = {"outside_over_network": 0.10, "torch_over_ours": 2.5, "tiles_over_windows": 1.05}
SCORES = 1e-4  # of the largest
AGREEMENT = 0.999  # share of equal labels


class Networks:
    """The random networks, each exported once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def artifact(self, name: str) -> Artifact:
        """Export a network of `random_checkpoint.NETWORKS`, unless that is done."""
        folder = self._folder / name
        if not folder.exists():
            checkpoint = self._folder / f"{name}.safetensors"
            random_checkpoint.write(name, checkpoint)
            stride = random_checkpoint.NETWORKS[name].output_stride
            request = Request(classes="ade20k", output_stride=stride, verify=False)
            export(checkpoint, folder, request)
            checkpoint.unlink()
        return open_artifact(folder)


@contextmanager
def opened(artifact: Artifact, runtimes: Sequence[str]) -> Iterator[dict[str, Backend]]:
    """Open an artifact in some runtimes, and close them."""
    backends: dict[str, Backend] = {}
    try:
        for name in runtimes:
            backends[name] = open_backend(name, artifact, device="cpu", threads=THREADS)
        yield backends
    finally:
        for backend in backends.values():
            backend.close()


def network_of(preset: str) -> str:
    """Name the network whose authors evaluate with a preset."""
    return next(name for start, name in NETWORKS.items() if preset.startswith(start))


def presets(
    artifact: Artifact,
    names: Sequence[str],
    picture: Picture,
    runtimes: Sequence[str],
    rounds: int,
) -> list[dict[str, Any]]:
    """Run some presets in turns and time their stages; the first run of each is not counted."""
    rows = []
    with opened(artifact, runtimes) as backends:
        taken: dict[tuple[str, str], list[dict[str, float]]] = {}
        for turn in range(rounds + 1):
            for name in names:
                for runtime, backend in backends.items():
                    seconds = stages(artifact, backend, name, picture)
                    if turn:
                        taken.setdefault((name, runtime), []).append(seconds)
    for (name, runtime), runs in taken.items():
        row = {
            "preset": name,
            "network": artifact.model.name,
            "size": list(picture.shape[:2]),
            "runtime": runtime,
            "views": len(Job([picture], artifact.model, procedure=of(name, artifact)).views[0]),
            "seconds": {
                stage: timing([run[stage] for run in runs])._asdict() for stage in runs[0]
            },
            "outside_over_network": ratio(
                [run["preprocess"] + run["labels"] for run in runs],
                [run["network"] for run in runs],
            )._asdict(),
        }
        show_preset(row)
        rows.append(row)
    return rows


def stages(artifact: Artifact, backend: Backend, name: str, picture: Picture) -> dict[str, float]:
    """Label a picture and return the seconds of each stage."""
    taken: dict[str, float] = {}
    segment([picture], artifact.model, backend, procedure=of(name, artifact), timings=taken)
    return taken


def of(name: str, artifact: Artifact) -> Procedure:
    """Return a preset for a model."""
    procedure: Procedure = choose_procedure(name, artifact.model)
    return procedure


def tiles(
    artifact: Artifact, picture: Picture, runtimes: Sequence[str], rounds: int
) -> list[dict[str, Any]]:
    """Compare ``tiles`` with its windows alone, in batches of the best size."""
    rows = []
    model, procedure = artifact.model, PRESETS["tiles"]
    window = np.ascontiguousarray(picture[: WINDOW[0], : WINDOW[1]])
    fed = Job([window], model, procedure=procedure)
    one = fed.batch(fed.calls[0])
    with opened(artifact, runtimes) as backends:
        for runtime, backend in backends.items():
            batches = {size: np.repeat(one, size, axis=0) for size in BATCHES}
            speed = laps(
                {str(size): partial(backend.run, batch) for size, batch in batches.items()},
                repeats=rounds,
            )
            best = min(BATCHES, key=lambda size: timing(speed[str(size)]).median / size)
            work = partial(segment, [picture], model, backend, procedure=procedure, batch=best)
            windows = len(Job([picture], model, procedure=procedure).views[0])
            # Windows and picture take turns; the window's batch runs as often as it would for all.
            alone = partial(in_a_row, partial(backend.run, batches[best]), max(1, windows // best))
            taken = laps({"tiles": work, "windows": alone}, repeats=rounds)
            share = windows / (best * max(1, windows // best))
            bound = [seconds * share for seconds in taken["windows"]]
            over = ratio(taken["tiles"], bound)
            row = {
                "runtime": runtime,
                "size": list(picture.shape[:2]),
                "windows": windows,
                "best_batch": best,
                "seconds_of_batches": {s: timing(t)._asdict() for s, t in speed.items()},
                "seconds": timing(taken["tiles"])._asdict(),
                "seconds_of_windows": timing(bound)._asdict(),
                "tiles_over_windows": over._asdict(),
            }
            print(f"tiles {runtime}: batch {best}, {over.median:.3f} x its windows", flush=True)
            rows.append(row)
    return rows


def in_a_row(call: Callable[[], object], times: int) -> None:
    """Call several times."""
    for _ in range(times):
        call()


def against_torch(
    artifact: Artifact, picture: Picture, runtimes: Sequence[str], rounds: int
) -> dict[str, Any]:
    """Race ``fastfcn-ms`` with the original protocol in eager PyTorch, and compare the results."""
    import torch

    from benchmarks.torch_procedure import MultiEval
    from benchmarks.torch_target import TorchNetwork

    torch.set_num_threads(THREADS)
    architecture = random_checkpoint.NETWORKS[network_of(MULTI_SCALE)].architecture
    given, procedure = artifact.model.input, of(MULTI_SCALE, artifact)
    weights = random_weights(architecture)
    peer = MultiEval(
        TorchNetwork(architecture, weights, align_corners=artifact.model.align_corners),
        given.mean,
        given.std,
    )
    scores = peer.scores(picture).numpy()
    with opened(artifact, runtimes) as backends:
        # What is compared are the first runs of all, which are not timed.
        agreement = {
            runtime: compared(artifact, backend, procedure, picture, scores)
            for runtime, backend in backends.items()
        }
        calls: dict[str, Callable[[], object]] = {
            runtime: partial(segment, [picture], artifact.model, backend, procedure=procedure)
            for runtime, backend in backends.items()
        }
        calls["torch"] = partial(peer.labels, picture)
        taken = laps(calls, repeats=rounds, warm=False)
    over = {runtime: ratio(taken["torch"], taken[runtime]) for runtime in runtimes}
    for runtime in runtimes:
        print(
            f"{MULTI_SCALE} {runtime}: torch takes {over[runtime].median:.2f} x; "
            f"labels {agreement[runtime]['equal_labels']:.4%} equal, scores differ by at most "
            f"{agreement[runtime]['worst_difference']:.1e} of the largest",
            flush=True,
        )
    return {
        "seconds": {name: timing(times)._asdict() for name, times in taken.items()},
        "torch_over_ours": {runtime: one._asdict() for runtime, one in over.items()},
        "agreement": agreement,
    }


def compared(
    artifact: Artifact,
    backend: Backend,
    procedure: Procedure,
    picture: Picture,
    expected: NDArray[np.float32],
) -> dict[str, float]:
    """Compare our merged scores and labels with others' (C, H, W)."""
    job = Job([picture], artifact.model, procedure=procedure)
    outputs = {
        part.view: one.copy()
        for call in job.calls
        for part, one in job.split(call, backend.run(job.batch(call)))
    }
    height, width = picture.shape[:2]
    scores = job.scores(0, outputs).tile(slice(0, height), slice(0, width))
    return {
        "worst_difference": float(np.abs(scores - expected).max() / np.abs(expected).max()),
        "equal_labels": float((job.label(0, outputs) == expected.argmax(0)).mean()),
    }


def show_preset(row: Mapping[str, Any]) -> None:
    """Print one row."""
    seconds = {stage: times["median"] for stage, times in row["seconds"].items()}
    print(
        f"{row['network'][:28]:28} {row['size'][0]:4} x {row['size'][1]:4} {row['runtime']:13}"
        f"{row['preset']:18}{row['views']:3} views  network {seconds['network']:8.3f} s  outside "
        f"{seconds['preprocess']:.3f} + {seconds['labels']:.3f} s  "
        f"{row['outside_over_network']['median']:6.1%}",
        flush=True,
    )


def run(arguments: argparse.Namespace, networks: Networks) -> dict[str, Any]:
    """Run the parts that are asked for."""
    photograph = read_picture(arguments.picture or STREET)
    picture, small, large = (sized(photograph, size) for size in (SIZE, SMALL, LARGE))
    runtimes, rounds = arguments.runtimes, arguments.rounds
    results: dict[str, Any] = {}
    if "resnet50" in arguments.parts:
        results["resnet50"] = [
            row
            for network in NETWORKS.values()
            for row in presets(
                networks.artifact(network),
                [name for name in PRESETS if network_of(name) == network],
                picture,
                runtimes,
                rounds,
            )
        ]
    if "embedded" in arguments.parts:
        with Segmenter.from_pretrained() as segmenter:
            artifact = segmenter.artifact
        results["embedded"] = [
            row
            for seen in (small, picture)
            for row in presets(artifact, list(PRESETS), seen, runtimes, rounds + 1)
        ]
    if "tiles" in arguments.parts:
        results["tiles"] = tiles(
            networks.artifact(random_checkpoint.MAIN), large, runtimes, rounds
        )
    if "torch" in arguments.parts:
        results["torch"] = (
            against_torch(networks.artifact(network_of(MULTI_SCALE)), picture, runtimes, rounds)
            if find_spec("torch")
            else {"not_run": "torch is not installed"}
        )
    return results


def sized(photograph: Picture, size: tuple[int, int]) -> Picture:
    """Resize a photograph."""
    return np.asarray(cv2.resize(photograph, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def main() -> int:
    """Run the benchmark; 1 if results differ from PyTorch's."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rounds", type=int, default=2, help="turns that are counted")
    parser.add_argument("--runtimes", nargs="+", choices=RUNTIMES, default=RUNTIMES)
    parser.add_argument("--picture", type=Path, help="a photograph; default: the bundled street")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    arguments = parser.parse_args()
    cv2.setNumThreads(THREADS)

    stamp, other_load = environment(), OtherLoad()
    with tempfile.TemporaryDirectory() as folder:
        found = run(arguments, Networks(Path(folder)))
    results = {
        "environment": stamp,
        "others_took": other_load.share(),
        "threads": THREADS,
        "targets": TARGETS,
        "picture": (arguments.picture or STREET).name,
        **found,
    }
    print(f"other processes took {results['others_took']} of the processors' time")
    write_results(results, arguments.output)
    agreement = found.get("torch", {}).get("agreement", {}).values()
    return int(
        any(a["worst_difference"] > SCORES or a["equal_labels"] < AGREEMENT for a in agreement)
    )


if __name__ == "__main__":
    sys.exit(main())
