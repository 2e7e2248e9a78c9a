"""How fast is each runtime, at which sizes and batches, against the machine's matrix product?

    python -m benchmarks.runtimes [--seconds S] [--rounds N] [--output benchmarks/results/runtimes.json]

ResNet-50-vd, JPU, EncNet, 150 classes, random weights, two threads: one artifact with all formats,
opened in every backend of this package that is installed. First their labels are compared, and the
script fails if they differ; then all networks take turns with the matrix products of `network.py`
at 480 x 480; then comes what ``fastfcn benchmark`` measures at two sizes and two batches.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from benchmarks import random_checkpoint
from benchmarks.machine_facts import environment, laps, ratio, timing, write_results
from benchmarks.network import (
    IN_A_ROW,
    PAUSE,
    PRODUCT,
    PRODUCTS,
    SIZE,
    THREADS,
    Call,
    Subject,
    floor,
    matrix_products,
)
from fastfcn_export.target.targets import cost
from fastfcn_infer.artifact.artifact import FORMATS
from fastfcn_infer.benchmark.measure import Candidate, measure
from fastfcn_infer.benchmark.report import Report, write_report
from fastfcn_infer.benchmark.timing import OtherLoad
from fastfcn_infer.benchmark.workload import Case
from fastfcn_infer.errors import BackendError, BackendMissing
from fastfcn_infer.runtime.backend import Backend, backend_names, format_of, installed
from fastfcn_infer.segmenter import Segmenter
from fastfcn_infer.system import record

CASES = tuple(Case(size, batch) for size in (SIZE, (512, 1024)) for batch in (1, 4))
TARGETS = {"open_vino_over_floor": 1.12}
AGREEMENT = 0.999  # share of equal labels
AGAINST = "onnx_runtime"

Opened = Mapping[str, tuple[Backend, Segmenter]]


def subject_in(folder: Path) -> tuple[Subject, dict[str, str]]:
    """Export the network in every format that can be written here.

    Returns:
        The network; the formats that are left out, and why.
    """
    try:
        return Subject(folder, tuple(FORMATS)), {}
    except BackendMissing as error:
        return Subject(folder), {"paddle": str(error)}


def open_all(subject: Subject) -> tuple[Opened, dict[str, str]]:
    """Open the network in every backend.

    Returns:
        The available ones; the others, and why not.
    """
    opened, missing = {}, {}
    for name in backend_names():
        if not installed(name):
            missing[name] = "not installed"
        elif format_of(name) not in subject.artifact.formats:
            missing[name] = f"no {format_of(name)} graph could be written"
        else:
            try:
                opened[name] = subject.opened(name)
            except BackendError as error:
                missing[name] = str(error)
    return opened, missing


def agreements(subject: Subject, opened: Opened) -> dict[str, float]:
    """Return the share of each runtime's labels that are those of ONNX Runtime."""
    expected = subject.labels()
    return {
        name: float((segmenter.predict(subject.picture).labels == expected).mean())
        for name, (_, segmenter) in opened.items()
    }


def against_floor(subject: Subject, opened: Opened, rounds: int) -> dict[str, Any]:
    """Time the networks and the matrix products in turn."""
    networks: dict[str, Call] = {
        name: partial(backend.run, subject.batch) for name, (backend, _) in opened.items()
    }
    taken = laps({**matrix_products(), **networks}, repeats=rounds, pause=PAUSE)
    multiply_adds = sum(layer.multiply_adds for layer in cost.layers(subject.architecture, SIZE))
    least = floor(taken, multiply_adds)
    return {
        "multiply_adds": multiply_adds,
        "matrix_product_gflops": {
            name: 2e-9 * IN_A_ROW * PRODUCT**3 / timing(taken[name]).median for name in PRODUCTS
        },
        "seconds": {name: timing(times)._asdict() for name, times in taken.items()},
        "ratios": {f"{name}_over_floor": ratio(taken[name], least)._asdict() for name in networks},
    }


def table(opened: Opened, seconds: float) -> Report:
    """Measure what ``fastfcn benchmark`` measures."""
    candidates = [
        Candidate(random_checkpoint.MAIN, segmenter, backend)
        for backend, segmenter in opened.values()
    ]
    return measure(candidates, CASES, seconds=seconds)


def show(results: dict[str, Any], report: Report) -> None:
    """Print the results."""
    print(write_report(report, "table"), end="\n\n")
    for name, row in results["floor"]["ratios"].items():
        target = f"   target {TARGETS[name]}" if name in TARGETS else ""
        quartiles = f"[{row['lower_quartile']:.3f} .. {row['upper_quartile']:.3f}]"
        print(f"{name:36}{row['median']:8.3f} x {quartiles}{target}")
    for name, share in results["label_agreement"].items():
        print(f"{name}: {share:.3%} of the labels are those of {AGAINST}")
    for name, reason in results["not_run"].items():
        print(f"not run: {name}: {reason}")
    print(f"other processes took {results['others_took']} of the processors' time")


def main() -> int:
    """Run the benchmark; 1 if the labels differ."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="of runs for each row")
    parser.add_argument("--rounds", type=int, default=12, help="turns against matrix products")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    arguments = parser.parse_args()
    cv2.setNumThreads(THREADS)

    stamp = environment()
    with tempfile.TemporaryDirectory() as folder:
        subject, unwritten = subject_in(Path(folder))
        opened, missing = open_all(subject)
        agreement = agreements(subject, opened)
        other_load = OtherLoad()
        bound = against_floor(subject, opened, arguments.rounds)
        report = table(opened, arguments.seconds)
    results = {
        "environment": stamp,
        "others_took": other_load.share(),
        "threads": THREADS,
        "network": random_checkpoint.MAIN,
        "size": SIZE,
        "label_agreement": agreement,
        "not_run": {**unwritten, **missing},
        "floor": bound,
        "targets": TARGETS,
        "rows": record.to_data(report.rows),
    }
    show(results, report)
    write_results(results, arguments.output)
    return int(min(agreement.values()) < AGREEMENT)


if __name__ == "__main__":
    sys.exit(main())
