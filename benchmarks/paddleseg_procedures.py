"""Do the procedures `paddleseg-slide` and `paddleseg-ms-flip` give what PaddleSeg's own code gives?

    python -m benchmarks.paddleseg_procedures --paddle-python PYTHON [--output FILE]

PaddleSeg's side is `slide_inference` and `aug_inference` of PaddleSeg 2.8.0 on its own FastFCN in
Paddle (`paddleseg_procedures_worker.py`), in a process of its own with the interpreter PYTHON; its
environment is described in `paddleseg_peer.py`. Ours is the same random checkpoint, exported, in ONNX Runtime.
The pictures are smaller than the windows, of prime sides, tall and wide. Compared are the merged
maps, as a share of their largest value, and the labels; the script fails if a map differs by more
than 1e-4 or if less than 99.9 % of the labels agree.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import random_checkpoint
from benchmarks.machine_facts import environment, write_results
from fastfcn_export import Request, export
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
from fastfcn_export.verify import golden_picture
from fastfcn_infer import Procedure, Windows
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.procedure import Mirror, Sides
from fastfcn_infer.inference.pipeline import Job
from fastfcn_infer.runtime.backend import Backend, open_backend

ROOT = Path(__file__).parents[1]
THREADS = 2
SCORES, LABELS = 1e-4, 0.999  # largest difference of the maps, least share of equal labels
SMALL, LARGE = "resnet18_vd", "resnet50_vd"
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    SMALL: {"backbone": "ResNet18_vd", "classes": 19, "codes": 8, "width": 32},
    LARGE: {"backbone": "ResNet50_vd", "classes": 150, "codes": 32, "width": 512},
}
# Smaller than every window, prime sides, tall, wide, a multiple of everything.
PICTURES = ((71, 53), (131, 157), (307, 89), (67, 331), (192, 256))
WINDOWS = (
    ((96, 128), (64, 85)),
    ((64, 64), (64, 64)),
    ((80, 100), (20, 25)),
    ((128, 70), (90, 41)),
)
SCALES = ((0.75, 1.0, 1.25), (0.65, 1.0, 1.75), (1.5,))
MIRRORS: tuple[Mirror, ...] = ("none", "horizontal", "vertical", "both")


@dataclass(frozen=True)
class Case:
    """One picture and one procedure."""

    network: str
    size: Sides
    scales: tuple[float, ...] = (1.0,)
    mirror: Mirror = "none"
    crop: Sides | None = None
    stride: Sides | None = None

    @property
    def procedure(self) -> Procedure:
        """The procedure of ours that should equal PaddleSeg's."""
        windows = None if self.crop is None else Windows(self.crop, self.stride)
        if self.scales == (1.0,) and self.mirror == "none":
            return Procedure.preset("paddleseg-slide", windows=windows)
        return Procedure.preset(
            "paddleseg-ms-flip", scales=self.scales, mirror=self.mirror, windows=windows
        )


def cases() -> Iterator[Case]:
    """Yield all cases: windows, scales and mirrors, and windows of scales and mirrors."""
    for size in PICTURES:
        for crop, stride in WINDOWS:
            yield Case(SMALL, size, crop=crop, stride=stride)
        for mirror in MIRRORS:
            for scales in SCALES:
                yield Case(SMALL, size, scales, mirror)
            for crop, stride in WINDOWS[:2]:
                yield Case(SMALL, size, SCALES[0], mirror, crop, stride)
    yield Case(LARGE, (131, 157), crop=(96, 128), stride=(64, 85))
    yield Case(LARGE, (131, 157), SCALES[0], "horizontal")
    yield Case(LARGE, (131, 157), (1.25,), "horizontal", (96, 128), (64, 85))


def architecture(name: str) -> Architecture:
    """Describe a network of `NETWORKS` for the exporter."""
    if name == LARGE:
        return random_checkpoint.NETWORKS[random_checkpoint.MAIN].architecture
    settings = NETWORKS[name]
    stages = (Stage(2, 64), Stage(2, 128, 2), Stage(2, 256, 2), Stage(2, 512, 2))
    backbone = Backbone((32, 32, 64), "basic", stages, pooled_shortcut=True)
    width = settings["width"]
    head = EncNet(width, codes=settings["codes"], project_bias=True, dropout=0.0)
    auxiliary = Auxiliary(width, bias=True)
    return Architecture(settings["classes"], backbone, Jpu(width), head, auxiliary, semantic=True)


def export_network(name: str, folder: Path) -> tuple[Any, Backend]:
    """Draw a checkpoint, export it, and open it in ONNX Runtime; returns its conventions, too."""
    described, checkpoint = architecture(name), folder / f"{name}.pdparams"
    tensors = to_dialect("paddleseg", described, random_weights(described))
    random_checkpoint.write_pdparams(tensors, checkpoint)
    export(checkpoint, folder / name, Request(output_stride=32, verify=False))
    artifact = open_artifact(folder / name)
    return artifact.model, open_backend("onnx_runtime", artifact, device="cpu", threads=THREADS)


def picture_of(size: Sides) -> NDArray[np.uint8]:
    """Return a picture of a size."""
    return np.asarray(
        cv2.resize(golden_picture(), size[::-1], interpolation=cv2.INTER_AREA), np.uint8
    )


def ours(case: Case, model: Any, backend: Backend) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the merged map (C, H, W) of a case, and the labels."""
    picture = picture_of(case.size)
    job = Job([picture], model, procedure=case.procedure)
    outputs: dict[int, NDArray[Any]] = {}
    for call in job.calls:
        for part, output in job.split(call, backend.run(job.batch(call))):
            outputs[part.view] = output
    whole = (slice(0, case.size[0]), slice(0, case.size[1]))
    return job.scores(0, outputs).tile(*whole), job.label(0, outputs)


def compare(case: Case, found: tuple[NDArray[Any], NDArray[Any]], theirs: NDArray[Any]) -> Any:
    """Compare a case with PaddleSeg's merged map."""
    merged, labels = found
    expected = theirs.argmax(0)
    return asdict(case) | {
        "difference": float(np.abs(merged - theirs).max() / np.abs(theirs).max()),
        "label_agreement": float((labels == expected).mean()),
        "classes_found": len(np.unique(expected)),
    }


def measure(python: str) -> dict[str, Any]:
    """Run both sides."""
    planned = list(cases())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        networks = {network: export_network(network, folder) for network in NETWORKS}
        for number, case in enumerate(planned):
            np.save(folder / f"{number}.npy", picture_of(case.size))
        given = {"networks": NETWORKS, "cases": [asdict(case) for case in planned]}
        (folder / "cases.json").write_text(json.dumps(given))
        worker = [python, "-m", "benchmarks.paddleseg_procedures_worker", str(folder)]
        done = subprocess.run(worker, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"PaddleSeg's process failed:\n{done.stderr[-2000:]}")
        compared = [
            compare(
                case, ours(case, *networks[case.network]), np.load(folder / f"merged_{number}.npy")
            )
            for number, case in enumerate(planned)
        ]
    return {
        "environment": environment(),
        "their_environment": json.loads(done.stdout),
        "networks": NETWORKS,
        "allowed": {"difference": SCORES, "label_agreement": LABELS},
        "worst_difference": max(row["difference"] for row in compared),
        "least_label_agreement": min(row["label_agreement"] for row in compared),
        "cases": compared,
    }


def main() -> int:
    """Compare; 1 if a case differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--paddle-python", default=sys.executable, help="interpreter with paddleseg"
    )
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    given = parser.parse_args()
    results = measure(given.paddle_python)
    for row in results["cases"]:
        settings = {
            name: row[name] for name in ("network", "size", "scales", "mirror", "crop", "stride")
        }
        print(f"{row['difference']:.1e} {row['label_agreement']:.5f}", *settings.values())
    print(f"worst difference {results['worst_difference']:.2e}")
    print(f"least label agreement {results['least_label_agreement']:.5f}")
    write_results(results, given.output)
    return int(results["worst_difference"] > SCORES or results["least_label_agreement"] < LABELS)


if __name__ == "__main__":
    sys.exit(main())
