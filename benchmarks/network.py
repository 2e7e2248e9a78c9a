"""How fast is the network, against the machine's own matrix product and against eager PyTorch?

    python -m benchmarks.network [--rounds N] [--output benchmarks/results/network.json]

ResNet-50-vd, JPU, EncNet, 150 classes, one picture of 480 x 480, two threads, ONNX Runtime; random
weights, the same for all. All candidates are timed in turn in one process and their outputs are
compared: the script fails if they differ. Without torch only the machine is compared with.

The floor is 2 x multiply-adds / the rate of the fastest matrix product: NumPy's, ONNX
Runtime's, and ONNX Runtime's with one matrix known beforehand, as a network's weights are; measured
in the same turns, several in a row, since a first product after a pause is slower.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks import random_checkpoint
from benchmarks.labels import mixed_share
from benchmarks.machine_facts import Ratio, environment, laps, ratio, timing, write_results
from fastfcn_export import Request, export
from fastfcn_export.target.random_weights import random_weights
from fastfcn_export.target.targets import cost
from fastfcn_export.verify import golden_picture
from fastfcn_infer import Segmenter
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.benchmark.timing import OtherLoad
from fastfcn_infer.inference.pipeline import Job
from fastfcn_infer.runtime.backend import Backend, open_backend

Array = NDArray[Any]
Call = Callable[[], object]

THREADS = 2
SIZE = (480, 480)
PAUSE = 0.05  # seconds; enough for the last candidate's threads to go to sleep
PRODUCT = 2048  # rows and columns of the matrices
NETWORK, PREDICT = "network", "predict"
IN_A_ROW = 6  # matrix products, to be busy about as long as the network is
PRODUCTS = ("products, NumPy", "products, ONNX Runtime", "products, ONNX Runtime, one known")
TORCH = {
    "torch, stride-8 logits": (False, "logits"),
    "torch channels last, stride-8 logits": (True, "logits"),
    "torch, full-size logits": (False, "full_logits"),
    "torch channels last, full-size logits": (True, "full_logits"),
    "torch, labels": (False, "labels"),
}
TARGETS = {"network_over_floor": 1.15, "predict_over_network": 1.08, "torch_over_network": 2.2}


class Subject:
    """The network under test, exported and opened, and the picture that it is fed."""

    def __init__(self, folder: Path, formats: Sequence[str] = ("onnx",)) -> None:
        network = random_checkpoint.NETWORKS[random_checkpoint.MAIN]
        checkpoint = folder / "random.pdparams"
        random_checkpoint.write(random_checkpoint.MAIN, checkpoint)
        request = Request(
            formats=formats,
            classes="ade20k",
            output_stride=network.output_stride,
            verify=False,
        )
        export(checkpoint, folder / "artifact", request)
        self.artifact = open_artifact(folder / "artifact")
        self.architecture = network.architecture
        self.backend, self.segmenter = self.opened("onnx_runtime")
        self.picture = np.asarray(cv2.resize(golden_picture(), SIZE[::-1]), np.uint8)
        self.batch = self._batch()

    def opened(self, name: str) -> tuple[Backend, Segmenter]:
        """Open the artifact in a backend."""
        backend = open_backend(name, self.artifact, device="cpu", threads=THREADS)
        return backend, Segmenter(self.artifact, backend)

    def logits(self) -> Array:
        """Run the network alone."""
        return self.backend.run(self.batch)

    def labels(self) -> Array:
        """Go from the decoded picture to labels."""
        return self.segmenter.predict(self.picture).labels

    def _batch(self) -> NDArray[np.float32]:
        model = self.segmenter.model
        job = Job([self.picture], model)
        (call,) = job.calls
        return job.batch(call).astype(np.float32, copy=False)


def matrix_products() -> dict[str, Call]:
    """Return ways to do `IN_A_ROW` products of two square matrices, by the names in `PRODUCTS`."""
    rng = np.random.default_rng(0)
    left, right = rng.random((2, PRODUCT, PRODUCT), dtype=np.float32)
    both, known = product_session({}), product_session({"right": right})
    calls: list[Call] = [
        partial(np.matmul, left, right, out=np.empty_like(left)),
        partial(both.run, None, {"left": left, "right": right}),
        partial(known.run, None, {"left": left}),
    ]
    return {name: partial(in_a_row, call) for name, call in zip(PRODUCTS, calls, strict=True)}


def in_a_row(call: Call) -> None:
    """Call `IN_A_ROW` times."""
    for _ in range(IN_A_ROW):
        call()


def product_session(known: Mapping[str, Array]) -> Any:
    """Open a session that multiplies ``left`` by ``right``, those in `known` being constants."""
    left, right, product = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [PRODUCT, PRODUCT])
        for name in ("left", "right", "product")
    )
    node = helper.make_node("MatMul", ["left", "right"], ["product"])
    given = [side for side in (left, right) if side.name not in known]
    constants = [numpy_helper.from_array(array, name) for name, array in known.items()]
    graph = helper.make_graph([node], "product", given, [product], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def torch_calls(subject: Subject) -> dict[str, Call]:
    """Return the ways to run the network in torch; empty if torch is not installed."""
    if find_spec("torch") is None:
        return {}
    import torch

    from benchmarks.torch_target import TorchNetwork

    torch.set_num_threads(THREADS)
    weights = random_weights(subject.architecture)
    networks = {
        last: TorchNetwork(
            subject.architecture,
            weights,
            align_corners=subject.segmenter.model.align_corners,
            channels_last=last,
        )
        for last in (False, True)
    }
    return {
        name: partial(getattr(networks[last], method), subject.batch)
        for name, (last, method) in TORCH.items()
    }


def differences(subject: Subject, calls: Mapping[str, Call]) -> dict[str, dict[str, float]]:
    """Compare torch's outputs with ours.

    Returns:
        Name -> worst difference as a fraction of the largest logit, or share of equal labels.
    """
    found: dict[str, dict[str, float]] = {}
    logits, labels = subject.logits(), subject.labels()
    for name, call in calls.items():
        output = np.asarray(call())
        if name.endswith("stride-8 logits"):
            worst = np.abs(output - logits).max() / np.abs(output).max()
            found[name] = {"worst_difference": float(worst)}
        elif name.endswith("labels"):
            found[name] = {"label_agreement": float((output[0] == labels).mean())}
    return found


def disagree(compared: Mapping[str, Mapping[str, float]]) -> bool:
    """Tell whether outputs differ by more than rounding."""
    return any(
        row.get("worst_difference", 0.0) > 1e-4 or row.get("label_agreement", 1.0) < 0.999
        for row in compared.values()
    )


def floor(taken: Mapping[str, list[float]], multiply_adds: int) -> list[float]:
    """Return the seconds of so many multiply-adds at the rate of each turn's matrix products."""
    fastest = min(PRODUCTS, key=lambda name: timing(taken[name]).median)
    return [seconds * multiply_adds / (IN_A_ROW * PRODUCT**3) for seconds in taken[fastest]]


def ratios(taken: Mapping[str, list[float]], multiply_adds: int) -> dict[str, Ratio]:
    """Divide the times that belong together, turn by turn."""
    found = {
        "network_over_floor": ratio(taken[NETWORK], floor(taken, multiply_adds)),
        "predict_over_network": ratio(taken[PREDICT], taken[NETWORK]),
    }
    logits = [name for name in taken if name in TORCH and TORCH[name][1] == "logits"]
    if logits:
        best = min(logits, key=lambda name: timing(taken[name]).median)
        found["torch_over_network"] = ratio(taken[best], taken[NETWORK])
        for name in TORCH:
            ours = PREDICT if TORCH[name][1] == "labels" else NETWORK
            found[f"{name} / {ours}"] = ratio(taken[name], taken[ours])
    return found


def show(results: dict[str, Any]) -> None:
    """Print the results as tables."""
    for name, row in results["seconds"].items():
        quartiles = f"[{row['lower_quartile']:.3f} .. {row['upper_quartile']:.3f}]"
        print(f"{name:42}{row['median']:8.3f} s {quartiles}")
    print()
    for name, row in results["ratios"].items():
        target = f"   target {TARGETS[name]}" if name in TARGETS else ""
        quartiles = f"[{row['lower_quartile']:.3f} .. {row['upper_quartile']:.3f}]"
        print(f"{name:48}{row['median']:8.3f} x {quartiles}{target}")
    print()
    for name, row in results["compared"].items():
        print(f"{name:42}", ", ".join(f"{key} {value:.3g}" for key, value in row.items()))
    print(f"other processes took {results['others_took']} of the processors' time")


def main() -> int:
    """Run the benchmark; 1 if the outputs differ."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=12, help="timed calls of each candidate")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    arguments = parser.parse_args()
    cv2.setNumThreads(THREADS)

    stamp = environment()
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(Path(folder))
    others = torch_calls(subject)
    compared = differences(subject, others)
    calls = {**matrix_products(), NETWORK: subject.logits, PREDICT: subject.labels, **others}
    other_load = OtherLoad()
    taken = laps(calls, repeats=arguments.rounds, pause=PAUSE)
    multiply_adds = sum(layer.multiply_adds for layer in cost.layers(subject.architecture, SIZE))
    medians = {name: timing(times).median for name, times in taken.items()}
    results = {
        "environment": stamp,
        "others_took": other_load.share(),
        "threads": THREADS,
        "network": random_checkpoint.MAIN,
        "size": SIZE,
        "multiply_adds": multiply_adds,
        "mixed_cells": mixed_share(subject.logits()[0]),
        "matrix_product_gflops": {
            name: 2e-9 * IN_A_ROW * PRODUCT**3 / medians[name] for name in PRODUCTS
        },
        "seconds": {name: timing(times)._asdict() for name, times in taken.items()},
        "ratios": {name: row._asdict() for name, row in ratios(taken, multiply_adds).items()},
        "targets": TARGETS,
        "compared": compared,
    }
    show(results)
    write_results(results, arguments.output)
    return int(disagree(compared))


if __name__ == "__main__":
    sys.exit(main())
