"""What does Joint Pyramid Upsampling gain, and where does the time go?

    python -m benchmarks.jpu [--rounds N] [--output benchmarks/results/jpu.json]

Networks of the original code with the heads of its table, and an EncNet as mmsegmentation configures it:
each with a dilated backbone of stride 8 and without JPU, and with JPU behind a backbone of stride 32.
Random weights, written as checkpoints of those codes and converted by fastfcn-export; one picture of
512 x 512, the size at which the authors measured; two threads. The four of a pair, two forms in two
runtimes, take turns. Both runtimes have to agree on the logits, or the script fails.

For the EncNets on ResNet-50 it also says which part of the network takes how long: from OpenVINO's own
counters, and in eager PyTorch if that is installed. Peak memory is that of a process of its own.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.jpu_stages import by_part, medians, openvino_seconds, torch_runs, torch_seconds
from benchmarks.machine_facts import environment, laps, ratio, timing, write_results
from benchmarks.network import PAUSE, THREADS
from benchmarks.random_checkpoint import Network, write_safetensors
from fastfcn_export import Request, export
from fastfcn_export.dialect.dialect import to_dialect
from fastfcn_export.network.architecture import Jpu
from fastfcn_export.network.choice import NetworkChoice, architecture
from fastfcn_export.target.random_weights import random_weights
from fastfcn_export.target.targets import cost
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.benchmark.timing import OtherLoad
from fastfcn_infer.runtime.backend import open_backend

SIZE = 512  # height and width, pixels; that of the authors' script
RUNTIMES = ("open_vino", "onnx_runtime")
FORMS = DILATED, JPU = "dilated", "jpu"
DIFFERENCE = 1e-4  # of the largest logit, between the runtimes


class Pair(NamedTuple):
    """A network without and with JPU.

    Args:
        networks: its two forms, `DILATED` and `JPU`.
        published: pictures a second that were published for the two; None if they were not.
        staged: find out how long each part of it takes.
    """

    networks: Mapping[str, Network]
    published: tuple[float, float] | None = None
    staged: bool = False


def pairs() -> dict[str, Pair]:
    """Return the pairs by name; what the authors published is in their README, FPS column."""
    published = {
        ("resnet50", "encnet"): (18.77, 37.56),
        ("resnet50", "psp"): (18.08, 28.48),
        ("resnet50", "deeplab"): (15.99, 20.67),
        ("resnet101", "encnet"): (10.51, 32.02),
    }
    found = {
        f"{head}_{depth}": Pair(
            _original(depth, head), published.get((depth, head)), (depth, head) == STAGED
        )
        for depth in ("resnet50", "resnet101")
        for head in ("encnet", "psp", "deeplab")
    }
    # Of its table for ADE20K, a V100, pictures of the validation set with everything up to labels.
    found["mmseg_encnet_resnet50"] = Pair(_mmseg(), (22.81, 17.23), True)
    return found


STAGED = ("resnet50", "encnet")


def _original(depth: Any, head: Any) -> dict[str, Network]:
    """Return a network of the original code, for the 59 classes of PASCAL Context."""
    forms = {}
    for form, jpu, stride in ((DILATED, None, 8), (JPU, "jpu", 32)):
        choice = NetworkChoice(
            backbone=depth,
            head=head,
            jpu=jpu,  # type: ignore[arg-type]
            output_stride=stride,  # type: ignore[arg-type]
            semantic=head == "encnet",
        )
        forms[form] = Network("wuhuikai", architecture(choice, 59), stride)
    return forms


def _mmseg() -> dict[str, Network]:
    """Return mmsegmentation's EncNet, for the 150 classes of ADE20K.

    Its head begins with a 3x3 convolution behind the JPU, too, and its backbone of stride 32 has the
    dilations of stride 8, which cost nothing.
    """
    choice = NetworkChoice(form="v1c", jpu=None, output_stride=8)
    dilated = architecture(choice, 150)
    one, two, three, four = dilated.backbone.stages
    halving = (one, two, replace(three, stride=2), replace(four, stride=2))
    coarse = replace(
        dilated,
        backbone=replace(dilated.backbone, stages=halving),
        jpu=Jpu(align_corners=False, coarse_first=False),
    )
    return {DILATED: Network("mmseg", dilated, 8), JPU: Network("mmseg", coarse, 32)}


def exported(network: Network, folder: Path) -> Path:
    """Write a checkpoint of the network and convert it."""
    folder.mkdir()
    checkpoint = folder / "random.safetensors"
    weights = random_weights(network.architecture)
    write_safetensors(to_dialect(network.dialect, network.architecture, weights), checkpoint)
    request = Request(dialect=network.dialect, output_stride=network.output_stride, verify=False)
    export(checkpoint, folder / "artifact", request)
    checkpoint.unlink()
    return folder / "artifact"


def multiply_adds(network: Network, size: int) -> dict[str, int]:
    """Count them by part of the network, as it is shipped."""
    layers = cost.layers(network.architecture, (size, size))
    return {
        part: int(count)
        for part, count in by_part((each.name, each.multiply_adds) for each in layers).items()
    }


def peak_memory(model: Path, runtime: str, size: int) -> dict[str, int]:
    """Measure one call in a process of its own; bytes with the opened model, and at the peak of the call."""
    case = json.dumps([model.parent.name, str(model), runtime, [size, size], 1])
    command = [sys.executable, "-m", "benchmarks.memory", "--case", case]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    row = json.loads(done.stdout.splitlines()[-1])
    return {"opened": row["opened"], "peak": row["opened"] + row["peak"]}


def measure(name: str, pair: Pair, folder: Path, size: int, rounds: int) -> dict[str, Any]:
    """Measure a pair."""
    models = {
        form: exported(net, folder / f"{name}_{form}") for form, net in pair.networks.items()
    }
    batch = np.random.default_rng(0).normal(size=(1, 3, size, size)).astype(np.float32)
    counts = {form: multiply_adds(net, size) for form, net in pair.networks.items()}
    totals = {form: sum(parts.values()) for form, parts in counts.items()}
    backends = {
        (form, runtime): open_backend(runtime, open_artifact(model), device="cpu", threads=THREADS)
        for form, model in models.items()
        for runtime in RUNTIMES
    }
    calls = {" ".join(key): partial(each.run, batch) for key, each in backends.items()}
    differences = {
        form: _difference(*(calls[f"{form} {r}"]() for r in RUNTIMES)) for form in models
    }
    taken = laps(calls, repeats=rounds, pause=PAUSE, warm=False)
    for backend in backends.values():
        backend.close()
    found: dict[str, Any] = {
        "network": name,
        "published": pair.published,
        "multiply_adds": totals,
        "multiply_adds_by_part": counts,
        "multiply_adds_ratio": totals[DILATED] / totals[JPU],
        "seconds": {call: timing(times)._asdict() for call, times in taken.items()},
        "ratios": {
            runtime: ratio(taken[f"{DILATED} {runtime}"], taken[f"{JPU} {runtime}"])._asdict()
            for runtime in RUNTIMES
        },
        "differences": differences,
        "memory": {
            f"{form} {runtime}": peak_memory(model, runtime, size)
            for form, model in models.items()
            for runtime in RUNTIMES
        },
    }
    if pair.staged:
        found["seconds_by_part"] = {
            f"{form} open_vino": openvino_seconds(model, batch, THREADS, rounds)
            for form, model in models.items()
        }
        if find_spec("torch") is not None:
            runs = torch_runs(pair.networks, batch, THREADS)
            parts = torch_seconds(runs, max(1, rounds // 2))
            found["seconds_by_part"] |= {
                f"{form} torch": medians(each) for form, each in parts.items()
            }
            whole = {form: [sum(each.values()) for each in runs] for form, runs in parts.items()}
            found["seconds"] |= {
                f"{form} torch": timing(times)._asdict() for form, times in whole.items()
            }
            found["ratios"]["torch"] = ratio(whole[DILATED], whole[JPU])._asdict()
    for model in models.values():
        shutil.rmtree(model.parent)
    return found


def _difference(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(np.abs(one - other).max() / np.abs(one).max())


def show(row: Mapping[str, Any]) -> None:
    """Print what a pair gave."""
    counts = row["multiply_adds"]
    print(
        f"{row['network']:24}{counts[DILATED] / 1e9:7.1f} -> {counts[JPU] / 1e9:5.1f} G multiply-adds"
        f" ({row['multiply_adds_ratio']:.2f} x)",
        flush=True,
    )
    for runtime, found in row["ratios"].items():
        without, with_ = (1 / row["seconds"][f"{form} {runtime}"]["median"] for form in FORMS)
        quartiles = f"[{found['lower_quartile']:.2f} .. {found['upper_quartile']:.2f}]"
        line = f"    {runtime:20}{without:7.2f} -> {with_:5.2f} a second ({found['median']:.2f} x {quartiles})"
        if f"{DILATED} {runtime}" in row["memory"]:
            peaks = [row["memory"][f"{form} {runtime}"]["peak"] >> 20 for form in FORMS]
            line += f", {peaks[0]} -> {peaks[1]} MiB"
        print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 if the runtimes' logits differ."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=4, help="counted turns of each pair")
    parser.add_argument("--size", type=int, default=SIZE, help="height and width of the picture")
    parser.add_argument("--pairs", nargs="+", choices=pairs(), help="(default: all)")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    given = parser.parse_args(arguments)
    stamp, other_load, began = environment(), OtherLoad(), time.perf_counter()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, pair in pairs().items():
            if given.pairs is None or name in given.pairs:
                rows.append(measure(name, pair, Path(folder), given.size, given.rounds))
                show(rows[-1])
    results = {
        "environment": stamp,
        "others_took": other_load.share(),
        "threads": THREADS,
        "size": given.size,
        "took": round(time.perf_counter() - began),
        "rows": rows,
    }
    write_results(results, given.output)
    return int(any(max(row["differences"].values()) > DIFFERENCE for row in rows))


if __name__ == "__main__":
    sys.exit(main())
