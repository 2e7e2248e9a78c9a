"""How fast are exact labels, against upsampling all classes and taking the arg max?

    python -m benchmarks.labels [--repeats N] [--output benchmarks/results/labels.json]

150 classes, 60 x 60 logits to 480 x 480, at several shares of mixed cells (cells whose four corners
have different best classes); then one large picture with the memory it takes. The labels are
compared in the same run: the script fails if one differs where the two best classes do not tie.
"""

import argparse
import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from benchmarks.machine_facts import environment, median_seconds, race, write_results
from fastfcn_infer.inference.labels import labels_from_logits

Array = NDArray[Any]
Size = tuple[int, int]

THREADS = 2
CLASSES = 150
SHARES = (0.1, 0.2, 0.33)  # of mixed cells
OURS = "fastfcn_infer"


def mixed_share(logits: Array) -> float:
    """Measure the share of cells whose four corners have different best classes."""
    best = logits.argmax(axis=0)
    first = best[:-1, :-1]
    others = (best[:-1, 1:], best[1:, :-1], best[1:, 1:])
    return float(np.any([first != other for other in others], axis=0).mean())


def realistic_logits(size: Size, blob: float, seed: int = 0) -> Array:
    """Draw (C, h, w) float32 logits like a network's: blobs of classes, rough in detail.

    Args:
        size: height and width.
        blob: standard deviation of a blob, positions.
        seed: of the drawing.
    """
    rng = np.random.default_rng(seed)
    logits = np.empty((CLASSES, *size), np.float32)
    for scores in logits:
        layers = []
        for sigma in (blob, 1.0):
            layer = cv2.GaussianBlur(rng.normal(size=size).astype(np.float32), (0, 0), sigma)
            layers.append(layer / (layer.std() + 1e-12))
        scores[:] = 4 * layers[0] + 0.3 * layers[1]
    return logits


def logits_with_share(size: Size, share: float) -> Array:
    """Draw logits with about this share of mixed cells: larger blobs, fewer mixed cells."""
    small, large = 1.0, 60.0
    for _ in range(9):
        blob = (small * large) ** 0.5
        logits = realistic_logits(size, blob)
        if mixed_share(logits) > share:
            small = blob
        else:
            large = blob
    return logits


def with_opencv(planes: int) -> Callable[[Array, Size], Array]:
    """Resize so many classes in one call of OpenCV, then take NumPy's arg max."""

    def label(logits: Array, size: Size) -> Array:
        resized = np.empty((*size, len(logits)), np.float32)
        for first in range(0, len(logits), planes):
            group = np.ascontiguousarray(logits[first : first + planes].transpose(1, 2, 0))
            resized[:, :, first : first + planes] = cv2.resize(group, size[::-1])
        return np.asarray(resized.argmax(axis=2))

    return label


def with_opencv_planes(logits: Array, size: Size) -> Array:
    """Resize class by class with OpenCV, then take NumPy's arg max."""
    resized = np.empty((len(logits), *size), np.float32)
    for scores, out in zip(logits, resized, strict=True):
        cv2.resize(scores, size[::-1], dst=out)
    return np.asarray(resized.argmax(axis=0))


def with_onnx_runtime() -> Callable[[Array, Size], Array]:
    """Resize with ONNX Runtime, then take NumPy's arg max."""
    mode = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    free = [None] * 4
    graph = helper.make_graph(
        [helper.make_node("Resize", ["map", "", "", "sizes"], ["out"], **mode)],
        "resize",
        [
            helper.make_tensor_value_info("map", TensorProto.FLOAT, free),
            helper.make_tensor_value_info("sizes", TensorProto.INT64, [4]),
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, free)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def label(logits: Array, size: Size) -> Array:
        sizes = np.array([1, len(logits), *size], np.int64)
        resized = session.run(None, {"map": logits[None], "sizes": sizes})[0][0]
        return np.asarray(resized.argmax(axis=0))

    return label


def with_torch() -> Callable[[Array, Size], Array]:
    """Resize and take the arg max with torch."""
    import torch

    torch.set_num_threads(THREADS)

    def label(logits: Array, size: Size) -> Array:
        resized = torch.nn.functional.interpolate(
            torch.from_numpy(logits[None]), size=size, mode="bilinear", align_corners=False
        )
        return np.asarray(resized[0].argmax(dim=0).numpy())

    return label


def ours(logits: Array, size: Size) -> Array:
    """Label with the product."""
    return labels_from_logits(logits, size, align_corners=False)


def candidates() -> dict[str, Callable[[Array, Size], Array]]:
    """List the ways to label, ours first."""
    found: dict[str, Callable[[Array, Size], Array]] = {
        OURS: ours,
        "OpenCV, class by class": with_opencv_planes,
        "OpenCV, 4 classes a call": with_opencv(4),
        "OpenCV, 30 classes a call": with_opencv(30),
        "ONNX Runtime": with_onnx_runtime(),
    }
    if find_spec("torch") is not None:
        found["torch"] = with_torch()
    return found


def unexplained(logits: Array, found: Array, other: Array) -> int:
    """Count the pixels where two label maps differ, but not because two classes nearly tie there."""
    row, column = np.nonzero(found != other)
    values = []
    for axis, pixel in ((1, row), (2, column)):
        length = found.shape[axis - 1]
        place = (pixel + 0.5) * logits.shape[axis] / length - 0.5
        values.append(place.clip(0, logits.shape[axis] - 1))
    down, across = (np.floor(place).astype(np.intp) for place in values)
    weight_down, weight_across = values[0] - down, values[1] - across
    sums = np.zeros((len(logits), len(row)))
    for step_down, part_down in ((0, 1 - weight_down), (1, weight_down)):
        for step_across, part_across in ((0, 1 - weight_across), (1, weight_across)):
            y = np.minimum(down + step_down, logits.shape[1] - 1)
            x = np.minimum(across + step_across, logits.shape[2] - 1)
            sums += logits[:, y, x] * (part_down * part_across)
    second, best = np.partition(sums, -2, axis=0)[-2:]
    return int((best - second >= 1e-5 * np.abs(logits).max()).sum())


def compare(logits: Array, size: Size, repeats: int) -> dict[str, Any]:
    """Race all ways on one map and check that they agree."""
    ways = candidates()
    found = ways[OURS](logits, size)
    calls = {name: partial(way, logits, size) for name, way in ways.items()}
    timings = race(calls, repeats=repeats)
    rows = {}
    for name, timing in timings.items():
        other = ways[name](logits, size)
        rows[name] = {
            **timing._asdict(),
            "times_ours": timing.median / timings[OURS].median,
            "labels_that_differ": int((found != other).sum()),
            "of_these_no_near_tie": unexplained(logits, found, other),
        }
    return {
        "logits": list(logits.shape),
        "size": list(size),
        "mixed_share": mixed_share(logits),
        "ways": rows,
    }


def added_memory(logits: Array, size: Size) -> int:
    """Measure the peak of what our labels allocate, their result included, bytes."""
    tracemalloc.start()
    ours(logits, size)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def show(case: dict[str, Any]) -> None:
    """Print one case as a table."""
    print(f"\n{case['logits']} -> {case['size']}, {case['mixed_share']:.1%} of the cells mixed")
    for name, row in case["ways"].items():
        print(
            f"  {name:28}{row['median'] * 1e3:9.2f} ms "
            f"[{row['lower_quartile'] * 1e3:.2f} .. {row['upper_quartile'] * 1e3:.2f}]"
            f"{row['times_ours']:8.1f} x   {row['labels_that_differ']} labels differ, "
            f"{row['of_these_no_near_tie']} of them no near tie"
        )


def main() -> int:
    """Run the benchmark; 1 if labels differ that should not."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=15, help="timed calls of each way")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    arguments = parser.parse_args()
    cv2.setNumThreads(THREADS)

    stamp = environment()
    cases = []
    for share in SHARES:
        cases.append(compare(logits_with_share((60, 60), share), (480, 480), arguments.repeats))
        show(cases[-1])
    logits = realistic_logits((375, 500), blob=12.0)
    memory = added_memory(logits, (3000, 4000))
    seconds = median_seconds(partial(ours, logits, (3000, 4000)), repeats=5)
    large = {
        "logits": list(logits.shape),
        "size": [3000, 4000],
        "mixed_share": mixed_share(logits),
        "added_bytes": memory,
        **seconds._asdict(),
    }
    print(
        f"\n{large['logits']} -> {large['size']}, {large['mixed_share']:.1%} mixed: "
        f"{seconds.median * 1e3:.0f} ms, {memory / 1e6:.0f} MB beside the logits"
    )
    results = {"environment": stamp, "threads": THREADS, "cases": cases, "large": large}
    write_results(results, arguments.output)
    return int(any(r["of_these_no_near_tie"] for case in cases for r in case["ways"].values()))


if __name__ == "__main__":
    sys.exit(main())
