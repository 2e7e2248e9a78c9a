"""What does a picture of a new size cost, in seconds and in memory, on each runtime?

    python -m benchmarks.shapes [--sizes N] [--output benchmarks/results/shapes.json]

A service or a folder has pictures whose sizes differ each time. The embedded model's network and
ResNet-50-vd, JPU, EncNet, 150 classes, both with random weights, label pictures of random sizes
that are not resized, each runtime in a process of its own with two threads. Every so often a size
comes twice in a row: the first run pays for the new size, the second is what a fixed size costs, so
their quotient holds on a busy machine, too. The script fails if a process grows by 100 MB with the
small network.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import random_checkpoint
from benchmarks.machine_facts import environment, write_results
from fastfcn_export import Request, export
from fastfcn_export.dialect.dialect import to_dialect
from fastfcn_export.network.choice import NetworkChoice, architecture
from fastfcn_export.target.random_weights import random_weights
from fastfcn_infer import Procedure, Segmenter
from fastfcn_infer.benchmark.timing import OtherLoad
from fastfcn_infer.errors import BackendMissing
from fastfcn_infer.runtime.backend import backend_names, format_of, installed

THREADS = 2
GROWTH = 100e6  # bytes, of the small network
SMALL, LARGE = "resnet18, as embedded", random_checkpoint.MAIN


@dataclass(frozen=True)
class Sizes:
    """Random sizes: their share of ``--sizes``, their sides in pixels; every n-th comes twice."""

    share: float
    least: int
    most: int
    twice: int


SIZES = {SMALL: Sizes(1.0, 160, 480, 5), LARGE: Sizes(0.04, 160, 640, 1)}


def write_small(path: Path) -> None:
    """Write a random checkpoint of the embedded model's network."""
    choice = NetworkChoice(
        backbone="resnet18",
        form="vd",
        backbone_width=32,
        jpu_width=96,
        head_width=128,
        auxiliary_width=64,
        family="paddleseg",
    )
    network = architecture(choice, 11)
    weights = random_weights(network)
    random_checkpoint.write_pdparams(to_dialect("paddleseg", network, weights), path)


def write_large(path: Path) -> None:
    """Write the random checkpoint that the other benchmarks use."""
    random_checkpoint.write(LARGE, path)


def exported(write: Callable[[Path], None], folder: Path) -> tuple[str, ...]:
    """Export a network into `folder`; returns the formats that could be written here."""
    folder.mkdir()
    checkpoint = folder / "random.pdparams"
    write(checkpoint)
    for formats in (("onnx", "paddle"), ("onnx",)):
        request = Request(formats=formats, output_stride=32, verify=False)
        try:
            export(checkpoint, folder / "artifact", request)
        except BackendMissing:
            continue
        return formats
    raise BackendMissing("no format could be written")


def resident() -> int:
    """Return the memory of this process, bytes."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(artifact: Path, backend: str, sizes: Sizes, count: int) -> dict[str, Any]:
    """Label pictures of random sizes in this process."""
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (sizes.most, sizes.most, 3), np.uint8)
    drawn = random.integers(sizes.least, sizes.most + 1, (count, 2)).tolist()
    segmenter = Segmenter.from_pretrained(
        artifact, backend=backend, device="cpu", threads=THREADS, procedure=Procedure()
    )

    def seconds(height: int, width: int) -> float:
        timings = segmenter.predict(picture[:height, :width]).timings
        return float(sum(timings.values()))

    # Memory for the largest picture is no growth; and code is loaded at the first ones.
    for side in (sizes.most, sizes.least, sizes.most):
        seconds(side, side)
    least, grown = resident(), []
    new, again, pixels = [], [], 0
    for index, (height, width) in enumerate(drawn):
        first = seconds(height, width)
        if index % sizes.twice == 0:
            new.append(first)
            again.append(seconds(height, width))
            pixels += height * width
        grown.append(resident() - least)
    return {
        "memory_before": least,
        "growth": grown[-1],
        "largest_growth": max(grown),
        "seconds_per_megapixel": {
            "new_size": sum(new) / pixels * 1e6,
            "same_size": sum(again) / pixels * 1e6,
        },
        "new_over_same": sum(new) / sum(again),
        "seconds_of_a_new_size": float(np.median(np.subtract(new, again))),
        "versions": dict(segmenter.runtime.versions),
        "provider": segmenter.runtime.provider,
    }


def in_own_process(artifact: Path, backend: str, network: str, count: int) -> dict[str, Any]:
    """Measure in a new process, whose memory is that of one runtime only."""
    command = [sys.executable, "-m", "benchmarks.shapes", "--sizes", str(count), "--child"]
    done = subprocess.run(
        [*command, str(artifact), backend, network],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    row = dict(json.loads(done.stdout.splitlines()[-1]))
    show(backend, row)
    return row


def run(count: int) -> dict[str, Any]:
    """Measure every network on every runtime that is installed, and print the results."""
    found: dict[str, Any] = {}
    for network, write in ((SMALL, write_small), (LARGE, write_large)):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "network"
            formats = exported(write, folder)
            sizes = SIZES[network]
            number = round(sizes.share * count)
            print(f"{network}: {number} sizes, sides of {sizes.least} to {sizes.most} pixels")
            found[network] = {
                name: in_own_process(folder / "artifact", name, network, number)
                for name in backend_names()
                if installed(name) and format_of(name) in formats
            }
    return found


def show(name: str, row: dict[str, Any]) -> None:
    """Print the results of a runtime."""
    rates = row["seconds_per_megapixel"]
    print(
        f"  {name:18} {row['memory_before'] / 1e6:5.0f} MB, then {row['growth'] / 1e6:+5.0f} MB   "
        f"{rates['same_size']:.2f} s per megapixel, new sizes {rates['new_size']:.2f} "
        f"(x {row['new_over_same']:.2f}, {1e3 * row['seconds_of_a_new_size']:.0f} ms a size)",
        flush=True,
    )


def main() -> int:
    """Run the benchmark; 1 if a process grows too much."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, default=1000, help="of the small network")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    parser.add_argument(
        "--child", nargs=3, metavar=("ARTIFACT", "BACKEND", "NETWORK"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    if arguments.child:
        artifact, backend, network = arguments.child
        print(json.dumps(measure(Path(artifact), backend, SIZES[network], arguments.sizes)))
        return 0

    stamp, other_load = environment(), OtherLoad()
    found = run(arguments.sizes)
    results = {
        "environment": stamp,
        "others_took": other_load.share(),
        "threads": THREADS,
        "count": arguments.sizes,
        "sizes": {network: asdict(sizes) for network, sizes in SIZES.items()},
        "limit": GROWTH,
        "networks": found,
    }
    print(f"other processes took {results['others_took']} of the processors' time")
    write_results(results, arguments.output)
    return int(any(row["growth"] >= GROWTH for row in found[SMALL].values()))


if __name__ == "__main__":
    sys.exit(main())
