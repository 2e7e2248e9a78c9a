"""What do confidence and its relatives cost, against the softmax of all logits at full size?

    python -m benchmarks.probabilities [--repeats N] [--size H W] [--output benchmarks/results/probabilities.json]

150 classes, a picture of 512 x 683 pixels, its logits at an eighth of that; a third of the cells is mixed, as in
`labels.py`. One thread. Every method takes turns with the textbook: OpenCV resizes each class, then softmax. The peak
of the memory that NumPy takes is measured in another run. Values are compared: the script fails where the confidence
differs by more than 1e-4 (OpenCV rounds the weights of its interpolation).
"""

import argparse
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.labels import logits_with_share
from benchmarks.machine_facts import environment, laps, timing, write_results
from fastfcn_infer import Segmentation
from fastfcn_infer.artifact.class_table import class_table
from fastfcn_infer.artifact.manifest import Output
from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.benchmark.timing import OtherLoad
from fastfcn_infer.inference.labels import labels_from_logits
from fastfcn_infer.inference.probability.kept import KeptScores
from fastfcn_infer.inference.views import Size, View

STRIDE = 8
SHARE = 0.33  # of mixed cells
TEXTBOOK = "textbook confidence"
CLOSE = 1e-4


def made_up(size: Size) -> tuple[Segmentation, NDArray[np.float32]]:
    """Return a result of drawn logits that keeps them, and the logits."""
    logits = logits_with_share((-(-size[0] // STRIDE), -(-size[1] // STRIDE)), SHARE)
    labels = labels_from_logits(logits, size, align_corners=False)
    view = View(0, 0, *size, size, size)
    output = Output("logits", STRIDE)
    scores = KeptScores(
        (view,), (logits,), labels, Procedure(), align_corners=False, output=output
    )
    table = class_table("ade20k")
    return Segmentation(
        labels,
        tuple(one.name for one in table),
        np.array([one.color for one in table], np.uint8),
        np.zeros((*size, 3), np.uint8),
        scores=scores,
    ), logits


def textbook(logits: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    """Resize all classes, take the softmax, and of it the largest value."""
    shares = np.stack([cv2.resize(one, size[::-1]) for one in logits])
    shares -= shares.max(0)
    np.exp(shares, out=shares)
    shares /= shares.sum(0)
    return np.asarray(shares.max(0), np.float32)


def peak(call: Callable[[], object]) -> int:
    """Measure the peak of the memory that a call takes, bytes."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=10, help="turns of each method")
    parser.add_argument("--size", type=int, nargs=2, default=(512, 683), help="height and width")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    size = (arguments.size[0], arguments.size[1])
    stamp, load = environment(), OtherLoad()
    result, logits = made_up(size)
    calls: dict[str, Callable[[], Any]] = {
        "confidence": result.confidence,
        "margin": result.margin,
        "entropy": result.entropy,
        "probabilities of two classes": lambda: result.probabilities(["road", "car"]),
        "top 3": lambda: result.top(3),
        "relabel": lambda: result.relabel(groups={"vehicle": ["car", "bus"]}, min_confidence=0.5),
        TEXTBOOK: lambda: textbook(logits, size),
    }
    worst = float(np.abs(calls["confidence"]() - calls[TEXTBOOK]()).max())
    taken, rows = laps(calls, repeats=arguments.repeats), []
    for name, call in calls.items():
        seconds, most = timing(taken[name]), peak(call)
        rows.append({"method": name, "seconds": seconds._asdict(), "peak_bytes": most})
        print(f"{name:30}{seconds.median:8.3f} s{most / 2**20:10.1f} MiB", flush=True)
    facts = {"size": size, "classes": len(logits), "kept_bytes": logits.nbytes, "worst": worst}
    results = {"environment": stamp, "others_took": load.share(), **facts, "rows": rows}
    print(f"largest difference {worst:.1e}; other processes took {results['others_took']}")
    write_results(results, arguments.output)
    return 0 if worst <= CLOSE else 1


if __name__ == "__main__":
    sys.exit(main())
