"""How long each part of a network takes: in OpenVINO, by its own counters, and in eager PyTorch.

What has no layer's name, such as a concatenation, is counted for the layer that was computed before it.
"""

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.random_checkpoint import Network
from fastfcn_export.network.fastfcn import fastfcn
from fastfcn_export.target.random_weights import random_weights

_PART = re.compile(r"backbone\.(?:stem|stage\d)|jpu\.branch|jpu|head")


def by_part(found: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Add up what was counted for layers, in the order of the network.

    Args:
        found: names that hold a layer's name, or none, and a figure each.
    """
    sums: defaultdict[str, float] = defaultdict(float)
    part = "backbone.stem"
    for name, figure in found:
        match = _PART.search(name)
        part = part if match is None else match[0]
        sums[part] += figure
    return dict(sums)


def openvino_seconds(
    model: Path, batch: NDArray[np.float32], threads: int, runs: int
) -> dict[str, float]:
    """Return the median seconds of each part.

    Args:
        model: folder of an artifact.
        batch: input of the network.
        threads: for computing.
        runs: that are counted, after two that are not.
    """
    import openvino

    settings = {
        "PERF_COUNT": True,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = openvino.Core().compile_model(str(model / "model.onnx"), "CPU", settings)
    request, counted = compiled.create_infer_request(), list[dict[str, float]]()
    for _ in range(2 + runs):
        request.infer([batch])
        nodes = [
            (node.node_name, node.real_time.total_seconds())
            for node in request.get_profiling_info()
            if node.status == openvino.ProfilingInfo.Status.EXECUTED
        ]
        counted.append(by_part(nodes))
    return medians(counted[2:])


def torch_runs(
    networks: Mapping[str, Network], batch: NDArray[np.float32], threads: int
) -> dict[str, Callable[[], dict[str, float]]]:
    """Return runs of networks in eager PyTorch, in its usual memory format, as the authors' code.

    A run returns the seconds of each part.
    """
    import torch

    from benchmarks.torch_target import TorchOps

    torch.set_num_threads(threads)
    image = torch.from_numpy(batch)

    def run(ops: Any, network: Network) -> dict[str, float]:
        timed = _Timed(ops)
        with torch.no_grad():
            fastfcn(timed, network.architecture, image)
        return by_part(timed.found)

    def runs(network: Network) -> Callable[[], dict[str, float]]:
        weights = random_weights(network.architecture)
        ops = TorchOps({name: torch.from_numpy(array) for name, array in weights.items()})
        return lambda: run(ops, network)

    return {form: runs(network) for form, network in networks.items()}


def torch_seconds(
    runs: Mapping[str, Callable[[], dict[str, float]]], rounds: int
) -> dict[str, list[dict[str, float]]]:
    """Run them in turn, once more than counted, and return the seconds of each part of each run."""
    found: dict[str, list[dict[str, float]]] = {form: [] for form in runs}
    for _ in range(1 + rounds):
        for form, run in runs.items():
            found[form].append(run())
    return {form: counted[1:] for form, counted in found.items()}


def medians(counted: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each part."""
    return {part: float(np.median([each[part] for each in counted])) for part in counted[0]}


class _Timed:
    """The primitives, each call of which is timed; eager PyTorch computes on processors at once."""

    def __init__(self, ops: Any) -> None:
        self._ops, self.found = ops, list[tuple[str, float]]()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        compute = getattr(self._ops, name)

        def call(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            output = compute(*given, **named)
            layer = next((each for each in given if isinstance(each, str)), "")
            self.found.append((layer, time.perf_counter() - began))
            return output

        return call
