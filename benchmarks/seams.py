"""How much do windows differ from the whole picture, and does more overlap help?

    python -m benchmarks.seams --root CAMVID [--pictures N] [--output benchmarks/results/seams.json]
        [--plot docs/images/seams.png]

The embedded model (EncNet: context of all it sees) labels CamVid's test pictures whole, and in
windows of half their width, with strides from the crop down to a quarter of it, weighted by coverage
and by a gaussian; once at the pictures' own size and once enlarged to twice that. Compared with the
whole picture: the share of labels that differ, near seams (`NEAR` pixels from a border of a window) and
elsewhere; how often the two pixels on both sides of a seam have different labels; mean IoU; the
pixels that the network computes.

Then one window is compared with the whole picture by the distance from its border: with random networks of a
ResNet-50's depth, by head, by the convention of the JPU's resizes and by where the window starts, and
with the embedded model.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.accuracy import IGNORED, files, read
from benchmarks.machine_facts import environment, write_results
from benchmarks.receptive_field import radius
from fastfcn_export.description import model_of
from fastfcn_export.dialect.dialect import recognise, to_dialect
from fastfcn_export.network.architecture import Architecture, Backbone, Fcn, Jpu, Psp, Stage
from fastfcn_export.request import Request
from fastfcn_export.target.random_weights import random_weights
from fastfcn_export.target.target import Options
from fastfcn_export.target.targets import onnx_graph
from fastfcn_infer import Procedure, Segmenter, Windows
from fastfcn_infer.artifact.class_table import numbered_classes
from fastfcn_infer.inference.pipeline import Job
from fastfcn_infer.inference.views import View
from fastfcn_infer.runtime.backend import Backend, open_backend

Labels = NDArray[Any]

THREADS = 2
NEAR = 8  # pixels from a seam
CROPS = {
    1: (180, 240),
    2: (360, 480),
}  # enlargement of the picture -> half of its height and width
SHARES = (1.0, 0.75, 0.5, 0.25)  # stride / crop
WEIGHTS = ("coverage", "gaussian")
DISTANCES = (0, 8, 16, 32, 64, 128, 192, 240)  # pixels from a window's border


class Count:
    """What is counted over all pictures for one way to label them."""

    def __init__(self, classes: int) -> None:
        self.confusion = np.zeros((classes, classes), np.int64)
        self.differing, self.pixels = np.zeros(2), np.zeros(2)  # elsewhere, near a seam
        self.steps, self.steps_whole, self.pairs = 0, 0, 0
        self.computed, self.whole = 0, 0

    def add(self, labels: Labels, whole: Labels, truth: Labels, views: Sequence[View]) -> None:
        """Count a picture."""
        seams = [inner_borders(views, axis, labels.shape[axis]) for axis in (0, 1)]
        near = np.zeros(labels.shape, bool)
        for axis, places in enumerate(seams):
            for place in places:
                span = slice(max(0, place - NEAR), place + NEAR)
                near[(slice(None),) * axis + (span,)] = True
                before, after = (place - 1, place)
                pair = (np.take(labels, before, axis), np.take(labels, after, axis))
                self.steps += int((pair[0] != pair[1]).sum())
                pair = (np.take(whole, before, axis), np.take(whole, after, axis))
                self.steps_whole += int((pair[0] != pair[1]).sum())
                self.pairs += pair[0].size
        differing = labels != whole
        for index, part in enumerate((~near, near)):
            self.differing[index] += differing[part].sum()
            self.pixels[index] += part.sum()
        kept = truth != IGNORED
        np.add.at(self.confusion, (truth[kept], labels[kept]), 1)
        self.computed += sum(view.canvas[0] * view.canvas[1] for view in views)
        self.whole += labels.size

    def results(self) -> dict[str, float]:
        """Return shares of pixels and of pairs of pixels, mean IoU, and pixels computed by pixel."""
        hit = np.diag(self.confusion)
        union = self.confusion.sum(0) + self.confusion.sum(1) - hit
        with np.errstate(invalid="ignore"):
            elsewhere, near = self.differing / self.pixels
        return {
            "differing": float(self.differing.sum() / self.pixels.sum()),
            "differing_near_seams": float(near),
            "differing_elsewhere": float(elsewhere),
            "steps_across_seams": self.steps / max(self.pairs, 1),
            "steps_there_in_the_whole_picture": self.steps_whole / max(self.pairs, 1),
            "mean_iou": float(np.mean(hit / np.maximum(union, 1))),
            "cost": self.computed / self.whole,
        }


def strides(crop: Sequence[int], share: float) -> tuple[int, int]:
    """Return the steps from window to window, down and across."""
    return round(crop[0] * share), round(crop[1] * share)


def inner_borders(views: Sequence[View], axis: int, length: int) -> list[int]:
    """List the first pixels behind the borders of windows that lie within a picture."""
    found = set()
    for view in views:
        if view.window is not None:
            start = (view.window.top, view.window.left)[axis]
            size = (view.window.height, view.window.width)[axis]
            found |= {start, start + size}
    return sorted(found - {0, length})


def outputs_of(job: Job, backend: Backend) -> dict[int, NDArray[Any]]:
    """Compute the outputs of all views of one picture."""
    return {
        part.view: output
        for call in job.calls
        for part, output in job.split(call, backend.run(job.batch(call)))
    }


def windows_of(
    enlargement: int, pairs: Sequence[tuple[Path, Path]], backend: Backend, model: Any
) -> list[dict[str, Any]]:
    """Label pictures whole and in windows, and compare."""
    crop, classes = CROPS[enlargement], len(model.classes)
    counts = {(share, weight): Count(classes) for share in SHARES for weight in WEIGHTS}
    reference = Count(classes)
    for number, paths in enumerate(pairs):
        pixels, truth = read("camvid", *paths)
        size = (pixels.shape[1] * enlargement, pixels.shape[0] * enlargement)
        picture = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        truth = truth.repeat(enlargement, 0).repeat(enlargement, 1)
        job = Job([picture], model, procedure=Procedure("whole"))
        whole = job.label(0, outputs_of(job, backend))
        reference.add(whole, whole, truth, job.views[0])
        for share in SHARES:
            cut = {
                weight: Windows(crop, strides(crop, share), weight=weight)  # type: ignore[arg-type]
                for weight in WEIGHTS
            }
            outputs: dict[int, NDArray[Any]] = {}
            for weight, windows in cut.items():
                job = Job([picture], model, procedure=Procedure(windows=windows))
                outputs = outputs or outputs_of(job, backend)  # they have the same views
                counts[share, weight].add(job.label(0, dict(outputs)), whole, truth, job.views[0])
        print(f"x{enlargement}: {number + 1} of {len(pairs)} pictures", file=sys.stderr)
    rows = [{"stride": "whole", "weight": "", **reference.results()}]
    rows += [{"stride": s, "weight": w, **count.results()} for (s, w), count in counts.items()]
    return [{"enlargement": enlargement, "crop": crop, **row} for row in rows]


def deep(head: Fcn | Psp, *, align_corners: bool) -> Architecture:
    """Describe a network as deep as the published ones, an eighth as wide."""
    stages = (Stage(3, 8), Stage(4, 16, 2), Stage(6, 32, 2), Stage(3, 64, 2))
    backbone = Backbone((8, 8, 16), "bottleneck", stages)
    return Architecture(11, backbone, Jpu(64, align_corners, coarse_first=False), head)


NETWORKS: Mapping[str, tuple[Architecture, int]] = {  # and where the window starts
    "FCN head, start 224": (deep(Fcn(64), align_corners=False), 224),
    "FCN head, start 232": (deep(Fcn(64), align_corners=False), 232),
    "FCN head, align_corners, start 224": (deep(Fcn(64), align_corners=True), 224),
    "PSP head, start 224": (deep(Psp(64, 64), align_corners=False), 224),
}


def by_distance(
    folder: Path, photograph: NDArray[np.uint8], trained: Backend, model: Any
) -> list[dict[str, Any]]:
    """Compare the logits of one window with the whole picture's, by the distance from its border.

    The picture is an enlarged photograph of CamVid, cut to multiples of 32.
    """
    picture = cv2.resize(photograph, None, fx=2.7, fy=2.7, interpolation=cv2.INTER_CUBIC)[
        :960, :960
    ]
    mean, std = (np.array(values, np.float32) for values in (model.input.mean, model.input.std))
    image = ((picture / np.float32(255) - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)
    rows: list[dict[str, Any]] = []
    for name, (architecture, start) in NETWORKS.items():
        session = random_network(architecture, folder / str(len(rows)))
        found = compared(lambda fed, s=session: s.run(None, {"image": fed})[0], image, start)
        rows.append({"network": name, "radius": radius(architecture)} | found)
    found = compared(trained.run, image, 224)
    rows.append({"network": "embedded model, start 224", "radius": math.inf} | found)
    return [row | {"radius": None if math.isinf(row["radius"]) else row["radius"]} for row in rows]


def compared(run: Any, image: NDArray[np.float32], start: int, crop: int = 512) -> dict[str, Any]:
    """Compare a window with the whole: RMS of the difference, and differing arg max, at stride 8."""
    at, here = slice(start, start + crop), slice(start // 8, (start + crop) // 8)
    whole = run(image)[0][:, here, here]
    window = run(np.ascontiguousarray(image[:, :, at, at]))[0]
    place = 8 * np.arange(crop // 8)
    edge = np.minimum(place, place[::-1])
    distance = np.minimum.outer(edge, edge)
    bands = [(distance >= low) & (distance < high) for low, high in pairwise(DISTANCES)]
    off = ((window - whole) ** 2).mean(0)
    wrong = window.argmax(0) != whole.argmax(0)
    return {
        "difference": [float(np.sqrt(off[band].mean()) / whole.std()) for band in bands],
        "differing": [float(wrong[band].mean()) for band in bands],
    }


def random_network(architecture: Architecture, folder: Path) -> onnxruntime.InferenceSession:
    """Write a network with random weights and open it."""
    folder.mkdir()
    tensors = to_dialect("mmseg", architecture, random_weights(architecture))
    # The tensors are the same with every dilation and resize: they are ours to choose.
    found = replace(recognise(tensors, output_stride=32), architecture=architecture)
    model = model_of(found, "random", numbered_classes(11), Request(accept_own_size=True))
    onnx_graph.write(architecture, found.weights, model, folder, Options())
    return onnxruntime.InferenceSession(str(folder / "model.onnx"))


def plot(results: Mapping[str, Any], file: Path) -> None:
    """Draw overlap against disagreement, and distance from the border against difference."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for enlargement, crop in CROPS.items():
        for weight, line in zip(WEIGHTS, ("-", "--"), strict=True):
            rows = [
                row
                for row in results["windows"]
                if (row["enlargement"], row["weight"]) == (enlargement, weight)
            ]
            left.plot(
                [100 * (1 - row["stride"]) for row in rows],
                [100 * row["differing"] for row in rows],
                line,
                color=f"C{enlargement - 1}",
                marker="o",
                label=f"windows of {crop[1]} x {crop[0]}, picture x {enlargement}, {weight}",
            )
    left.set(
        xlabel="overlap of neighbouring windows, % of the crop",
        ylabel="labels that differ from the whole picture, %",
        title="Embedded model, CamVid",
        ylim=(0, None),
    )
    for row in results["by_distance"]:
        middle = [(low + high) / 2 for low, high in pairwise(DISTANCES)]
        right.plot(middle, np.maximum(row["difference"], 1e-8), marker="o", label=row["network"])
    right.set(
        xlabel="distance from the border of the window, pixels",
        ylabel="RMS difference of logits / their deviation",
        title="One window of 512 in a picture of 960",
        yscale="log",
    )
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="lower left")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=100)


def measure(root: Path, count: int) -> dict[str, Any]:
    """Measure both."""
    everything = files("camvid", root, "test")
    pairs = everything[:: max(1, len(everything) // count)][:count]
    with Segmenter.from_pretrained(backend="onnx_runtime", device="cpu") as segmenter:
        artifact = segmenter.artifact
    backend = open_backend("onnx_runtime", artifact, device="cpu", threads=THREADS)
    with tempfile.TemporaryDirectory() as name:
        distances = by_distance(Path(name), read("camvid", *pairs[0])[0], backend, artifact.model)
    windows = [
        row for factor in CROPS for row in windows_of(factor, pairs, backend, artifact.model)
    ]
    backend.close()
    return {
        "environment": environment(),
        "pictures": len(pairs),
        "near": NEAR,
        "windows": windows,
        "distances": DISTANCES,
        "by_distance": distances,
    }


def show(results: Mapping[str, Any]) -> None:
    """Print the table of docs/procedures.md, and the differences by distance."""
    print(
        "| picture | stride | weight | differ | near seams | elsewhere | steps across seams | IoU | cost |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for row in results["windows"]:
        crop, stride = row["crop"], row["stride"]
        if stride == "whole":
            cells = [f"x {row['enlargement']}", "whole", "", "", "", "", ""]
        else:
            shares = ("differing", "differing_near_seams", "differing_elsewhere")
            cells = [
                f"x {row['enlargement']}",
                "{} x {}".format(*strides(crop, stride)),
                row["weight"],
                *(f"{100 * row[name]:.1f} %" for name in shares),
                f"{100 * row['steps_across_seams']:.1f} % ({100 * row['steps_there_in_the_whole_picture']:.1f} %)",
            ]
        print(
            "|", " | ".join([*cells, f"{100 * row['mean_iou']:.1f} %", f"{row['cost']:.2f}"]), "|"
        )
    for row in results["by_distance"]:
        print(
            f"{row['network']:36} {row['radius']}",
            *(f"{value:.1e}" for value in row["difference"]),
        )
        print(" " * 40, *(f"{100 * value:.1f} %" for value in row["differing"]))


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, required=True, help="folder of CamVid")
    parser.add_argument("--pictures", type=int, default=30, help="how many, evenly spread")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    parser.add_argument("--plot", type=Path, help="draw them into this PNG file; needs matplotlib")
    parser.add_argument(
        "--from", dest="source", type=Path, help="draw this JSON file, measure nothing"
    )
    given = parser.parse_args()
    results = (
        json.loads(given.source.read_text())
        if given.source
        else measure(given.root, given.pictures)
    )
    show(results)
    write_results(results, given.output)
    if given.plot:
        plot(results, given.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
