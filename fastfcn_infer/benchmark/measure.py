"""Measure how fast a model is on this machine: end to end, the network alone, and each stage.

Several models, or one model in several runtimes, are timed in turn in one process; the cold start
and the peak memory of each row are measured in a process of their own.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.artifact import FORMATS, Artifact
from fastfcn_infer.artifact.manifest import Input
from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.benchmark.environment import environment
from fastfcn_infer.benchmark.report import Report, Row
from fastfcn_infer.benchmark.timing import OtherLoad, take_turns, timing
from fastfcn_infer.errors import BackendError
from fastfcn_infer.inference.multiband import read_pixels, with_channels_of
from fastfcn_infer.inference.pipeline import STAGES, segment
from fastfcn_infer.inference.predictor import Predictor
from fastfcn_infer.inference.views import Size, plan
from fastfcn_infer.picture.read import read_picture
from fastfcn_infer.runtime.backend import Backend
from fastfcn_infer.system import record
from fastfcn_infer.system.opencv import cv2

SIZES: tuple[Size, ...] = ((480, 480),)
BATCHES = (1,)
SECONDS = 5.0
WARM_UP = 2  # runs; the first allocates, and some runtimes compile for a new shape
STARTING_LIMIT = 600  # seconds for the process of a cold start

_MEASURED_AT = 480 * 480  # pixels; the size that a manifest states its multiply-adds for

Picture = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """What the candidates are fed: `batch` pictures at a time, each of `size` (height, width)."""

    size: Size
    batch: int


@dataclass(frozen=True)
class Request:
    """What the process of a cold start is to do; `began` is its start, in seconds of `time.time`."""

    path: str
    backend: str
    device: str
    threads: int
    size: Size
    batch: int
    began: float
    procedure: Procedure | None = None
    precision: str = "auto"


@dataclass(frozen=True)
class ColdStart:
    """Seconds from the start of Python to the first labels, and the peak memory of the process."""

    seconds: float
    peak_memory_bytes: int | None


class Candidate:
    """A model opened in a runtime, to be timed."""

    def __init__(self, name: str, predictor: Predictor, backend: Backend) -> None:
        """Name a model; `backend` is the one that `predictor` runs."""
        self.name, self.predictor, self.facts = name, predictor, backend.facts
        self._backend = backend

    def check(self, case: Case) -> None:
        """Refuse a batch that a graph of a fixed shape does not take.

        Raises:
            ValueError: the graph takes another number of pictures.
        """
        count = self.predictor.model.input.shape[0]
        if case.batch > 1 and count not in (None, case.batch):
            raise ValueError(
                f"{self.name} was exported for batches of {count} pictures and cannot run a batch "
                f"of {case.batch}. Use --batch 1 or --batch {count}, or export it again without "
                "--shape."
            )

    def run(self, pictures: Sequence[Picture]) -> dict[str, float]:
        """Label pictures of one size, as `photograph` gives them.

        Returns:
            Seconds of each of `STAGES`, and of all of them as ``total``.
        """
        began = time.perf_counter()
        taken: dict[str, float] = {}
        if len(pictures) == 1:
            taken |= self.predictor.predict(pictures[0]).timings
        else:
            given = self.predictor.model.input
            segment(
                [read_pixels(picture, given) for picture in pictures],
                self.predictor.model,
                self._backend,
                procedure=self.predictor.procedure,
                batch=len(pictures),
                timings=taken,
            )
        taken["total"] = time.perf_counter() - began
        return taken

    def multiply_adds(self, size: Size) -> int | None:
        """Scale the multiply-adds of the manifest to a picture of `size`, by area.

        Returns:
            Multiply-adds of one picture; None if the manifest does not state them.
        """
        model = self.predictor.model
        if not model.network.multiply_adds:
            return None
        views = plan(self.predictor.procedure, model.input.shape[1:], size)
        pixels = sum(view.canvas[0] * view.canvas[1] for view in views)
        return round(model.network.multiply_adds * pixels / _MEASURED_AT)

    def cold_start(self, case: Case) -> ColdStart:
        """Open and run the model in a process of its own; see `cold_start`."""
        facts = self.facts
        path = _path(self.predictor.artifact)
        asked = Request(
            path,
            facts.backend,
            facts.device,
            facts.threads,
            case.size,
            case.batch,
            time.time(),
            self.predictor.procedure,
            facts.precision,
        )
        return cold_start(asked)


def photograph(size: Size, given: Input | None = None) -> Picture:
    """Return the bundled photograph, (H, W, 3) RGB or with as many channels as a model takes.

    Args:
        size: height and width that it is resized to.
        given: the input of the model; None: of three channels.
    """
    file = resources.files("fastfcn_infer") / "assets" / "demo" / "china.jpg"
    resized = np.asarray(cv2.resize(read_picture(file.read_bytes()), size[::-1]), np.uint8)
    return resized if given is None else with_channels_of(resized, given)


def check_seconds(seconds: float) -> None:
    """Refuse a duration that cannot be measured for.

    Raises:
        ValueError: it is not positive, not a number, or more than a day.
    """
    if not 0 < seconds <= 86400:
        raise ValueError(
            f"cannot measure for {seconds} seconds; expected more than 0 and at most a day (86400)"
        )


def measure(
    candidates: Sequence[Candidate],
    cases: Sequence[Case],
    *,
    seconds: float = SECONDS,
    advance: Callable[[float], None] | None = None,
) -> Report:
    """Time the candidates in turn, case after case.

    Args:
        candidates: opened models; their names and backends must differ.
        cases: what they are fed.
        seconds: of timed runs for each candidate in each case.
        advance: called with the seconds just measured; they add up to ``seconds`` for each
            candidate and case.

    Raises:
        ValueError: a graph of a fixed shape does not take a case, or `seconds` is out of range.
        BackendError: a runtime failed.
    """
    check_seconds(seconds)
    for case in cases:
        for candidate in candidates:
            candidate.check(case)
    stamp = environment(max(candidate.facts.threads for candidate in candidates))
    rows: list[Row] = []
    for case in cases:
        rows += _measure_case(candidates, case, seconds, advance, stamp.matrix_product_gflops)
    return Report(1, stamp, seconds, tuple(rows))


def cold_start(request: Request) -> ColdStart:
    """Run `fastfcn_infer.cli.cold_start` in a process of its own.

    Raises:
        BackendError: it failed, took too long, or did not report.
    """
    path = os.pathsep.join(entry or os.curdir for entry in sys.path)
    command = [
        sys.executable,
        "-m",
        "fastfcn_infer.cli.cold_start",
        record.to_json(request, indent=None),
    ]
    try:
        ended = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=STARTING_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(
            request, f"gave no result within {STARTING_LIMIT} s", error.stderr
        ) from error
    if ended.returncode:
        raise _failed(request, f"ended with exit code {ended.returncode}", ended.stderr)
    # Runtimes may write to standard output, too: the report is the last line.
    last = ended.stdout.rstrip().rpartition("\n")[2]
    try:
        return record.from_json(ColdStart, last)
    except ValueError as error:
        wrote = f"its output ended with {last[:200]!r}" if last else "it wrote nothing"
        raise _failed(request, f"ended without a report: {wrote}", ended.stderr) from error


def _failed(request: Request, what: str, stderr: str | bytes | None) -> BackendError:
    said = stderr.decode(errors="replace") if isinstance(stderr, bytes) else stderr or ""
    return BackendError(
        f"cannot measure the cold start of {request.path}: the process that runs it in "
        f"{request.backend} on {request.device} {what}. {said.strip()[-1000:]}".strip()
    )


def _measure_case(
    candidates: Sequence[Candidate],
    case: Case,
    seconds: float,
    advance: Callable[[float], None] | None,
    gflops: float,
) -> Iterator[Row]:
    pictures = [
        [photograph(case.size, candidate.predictor.model.input)] * case.batch
        for candidate in candidates
    ]
    other_load = OtherLoad()
    starts = [candidate.cold_start(case) for candidate in candidates]
    for candidate, seen in zip(candidates, pictures, strict=True):
        for _ in range(WARM_UP):
            candidate.run(seen)
    calls = [_call(*pair) for pair in zip(candidates, pictures, strict=True)]
    results = take_turns(calls, seconds=seconds, advance=advance)
    others = other_load.share()
    for candidate, start, taken in zip(candidates, starts, results, strict=True):
        yield _row(candidate, case, start, taken, gflops, others)


def _call(candidate: Candidate, pictures: Sequence[Picture]) -> Callable[[], dict[str, float]]:
    return lambda: candidate.run(pictures)


def _row(
    candidate: Candidate,
    case: Case,
    start: ColdStart,
    taken: Sequence[Mapping[str, float]],
    gflops: float,
    others: float | None,
) -> Row:
    facts = candidate.facts
    whole = timing([run["total"] for run in taken])
    network = timing([run["network"] for run in taken])
    multiply_adds = candidate.multiply_adds(case.size)
    share = None
    if multiply_adds is not None:
        share = 2e-9 * multiply_adds * case.batch / network.median / gflops
    return Row(
        model=candidate.name,
        backend=facts.backend,
        provider=facts.provider,
        device=facts.device,
        precision=facts.precision,
        threads=facts.threads,
        size=case.size,
        batch=case.batch,
        ips=case.batch / whole.median,
        network_ips=case.batch / network.median,
        end_to_end=whole,
        network=network,
        stages={stage: timing([run[stage] for run in taken]).median for stage in STAGES},
        multiply_adds=multiply_adds,
        share_of_matrix_product=share,
        cold_start_seconds=start.seconds,
        peak_memory_bytes=start.peak_memory_bytes,
        others_took=others,
        procedure=candidate.predictor.procedure.kind,
    )


def _path(artifact: Artifact) -> str:
    return str(artifact.folder or artifact.files[FORMATS["onnx"]])
