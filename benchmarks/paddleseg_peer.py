"""How fast are we against PaddleSeg's own FastFCN, exported by PaddleSeg, in Paddle Inference?

    python -m benchmarks.paddleseg_peer --paddle-python PYTHON [--output FILE]

Both sides read the same random checkpoint (ResNet-50-vd, JPU, EncNet, 150 classes, stride 32) and
get the same picture of 480 x 480. Theirs runs in a process of its own (`paddleseg_worker.py`), with
the interpreter PYTHON, whose environment is made with

    pip install paddlepaddle==3.3.1 opencv-python-headless scipy pyyaml six pillow
    pip install --no-deps paddleseg==2.8.0

The two take turns; ours goes from the decoded picture to labels, theirs from the normalised picture
to labels. Ours is also run in Paddle Inference, from our own Paddle export, where this interpreter
has Paddle: the same runtime on both sides. The script fails if the labels differ.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import random_checkpoint
from benchmarks.machine_facts import Ratio, environment, laps, ratio, timing, write_results
from benchmarks.network import PAUSE, PREDICT, SIZE, THREADS, Call, Subject
from fastfcn_export.target.targets import reference
from fastfcn_infer import Segmenter
from fastfcn_infer.benchmark.timing import OtherLoad
from fastfcn_infer.runtime.backend import backend_names, format_of, installed

WORKER = Path(__file__).with_name("paddleseg_worker.py")
LOGITS = "none, 2 threads"
LABELS = ("argmax, 10 threads", "argmax, 2 threads", "argmax, 2 threads, oneDNN")
AS_IT_COMES = LABELS[:2]
TARGETS = {"paddleseg_over_predict": 9.0, "paddleseg_over_our_paddle": 6.0}
PADDLE = "paddle_inference"  # the backend
OURS = "predict, our Paddle export"


class Peer:
    """PaddleSeg's side: a process that runs a variant for each command."""

    def __init__(self, python: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [python, str(WORKER), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "log").open("wb"),
            text=True,
        )
        self._log = folder / "log"
        self.facts: dict[str, Any] = json.loads(self._reply())

    def run(self, variant: str) -> None:
        """Run a variant once."""
        self._ask(variant)

    def output(self, variant: str, file: Path) -> NDArray[Any]:
        """Run a variant once and return its output."""
        self._ask(f"{variant} -> {file}")
        return np.asarray(np.load(file))

    def close(self) -> None:
        """End the process and wait for it, so that its processor time counts as ours."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def _ask(self, command: str) -> None:
        if self._process.stdin is not None:
            print(command, file=self._process.stdin, flush=True)
        self._reply()

    def _reply(self) -> str:
        line = "" if self._process.stdout is None else self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"PaddleSeg's process ended:\n{self._log.read_text()[-2000:]}")
        return line


@contextmanager
def opened(python: str, folder: Path) -> Iterator[Peer]:
    """Start PaddleSeg's side, and end it afterwards."""
    peer = Peer(python, folder)
    try:
        yield peer
    finally:
        peer.close()


def subject_in(folder: Path) -> tuple[Subject, Segmenter | None, str | None]:
    """Export the network, for Paddle, too, where it is installed.

    Returns:
        The network; the same opened in Paddle Inference, or None and the reason.
    """
    if PADDLE not in backend_names() or not installed(PADDLE):
        return Subject(folder), None, f"{PADDLE} is not installed"
    subject = Subject(folder, ("onnx", format_of(PADDLE)))
    return subject, subject.opened(PADDLE)[1], None


def compare(
    subject: Subject, ours: Segmenter | None, peer: Peer, folder: Path
) -> dict[str, float]:
    """Compare logits at full size, and the labels of every variant."""
    align_corners = subject.segmenter.model.align_corners
    logits = reference.resize(subject.logits(), SIZE, align_corners=align_corners)
    theirs = peer.output(LOGITS, folder / "logits.npy")
    found = {"worst_difference": float(np.abs(logits - theirs).max() / np.abs(theirs).max())}
    labels = subject.labels()
    if ours is not None:
        output = ours.predict(subject.picture).labels
        found[f"label_agreement, {OURS}"] = float((output == labels).mean())
    for name in LABELS:
        output = peer.output(name, folder / "labels.npy")
        found[f"label_agreement, {name}"] = float((output[0] == labels).mean())
    return found


def ratios(taken: Mapping[str, list[float]]) -> dict[str, Ratio]:
    """Divide their seconds by ours, turn by turn; the first line is about their faster default."""
    best = min(AS_IT_COMES, key=lambda name: timing(taken[name]).median)
    found = {"paddleseg_over_predict": ratio(taken[best], taken[PREDICT])}
    if OURS in taken:
        found["paddleseg_over_our_paddle"] = ratio(taken[best], taken[OURS])
    return found | {f"{name} / {PREDICT}": ratio(taken[name], taken[PREDICT]) for name in LABELS}


def show(results: dict[str, Any]) -> None:
    """Print the results as tables."""
    for part, unit in (("seconds", "s"), ("ratios", "x")):
        for name, row in results[part].items():
            quartiles = f"[{row['lower_quartile']:.3f} .. {row['upper_quartile']:.3f}]"
            target = f"   target {TARGETS[name]}" if name in TARGETS else ""
            print(f"{name:40}{row['median']:9.3f} {unit} {quartiles}{target}")
        print()
    for name, value in results["compared"].items():
        print(f"{name:44}{value:.6g}")
    print(f"other processes took {results['others_took']} of the processors' time")


def measure(python: str, rounds: int) -> dict[str, Any]:
    """Run both sides in turn."""
    stamp = environment()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subject, ours, missing = subject_in(folder)
        np.save(folder / "batch.npy", subject.batch)
        other_load = OtherLoad()
        with opened(python, folder) as peer:
            compared = compare(subject, ours, peer, folder)
            calls: dict[str, Call] = {PREDICT: subject.labels}
            if ours is not None:
                calls[OURS] = partial(ours.predict, subject.picture)
            calls |= {variant: partial(peer.run, variant) for variant in LABELS}
            taken = laps(calls, repeats=rounds, pause=PAUSE)
    return {
        "environment": stamp,
        "their_environment": peer.facts,
        "others_took": other_load.share(),
        "threads": THREADS,
        "network": random_checkpoint.MAIN,
        "size": SIZE,
        "seconds": {name: timing(times)._asdict() for name, times in taken.items()},
        "ratios": {name: row._asdict() for name, row in ratios(taken).items()},
        "targets": TARGETS,
        "not_run": {} if missing is None else {OURS: missing},
        "compared": compared,
    }


def main() -> int:
    """Run the benchmark; 1 if the outputs differ."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--paddle-python", default=sys.executable, help="interpreter with paddleseg"
    )
    parser.add_argument("--rounds", type=int, default=5, help="timed calls of each candidate")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    arguments = parser.parse_args()
    cv2.setNumThreads(THREADS)

    results = measure(arguments.paddle_python, arguments.rounds)
    show(results)
    write_results(results, arguments.output)
    compared = results["compared"]
    names = [name for name in (*AS_IT_COMES, OURS) if f"label_agreement, {name}" in compared]
    agreement = min(compared[f"label_agreement, {name}"] for name in names)
    return int(compared["worst_difference"] > 1e-4 or agreement < 0.999)


if __name__ == "__main__":
    sys.exit(main())
