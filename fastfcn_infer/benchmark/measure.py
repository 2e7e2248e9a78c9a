"""How fast a model is here: from the decoded picture to labels, the network, the stages.

Several models, or one in several runtimes, are timed in turn in one process, each row's cold start
and peak memory in a fresh one.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.artifact import FORMATS, Artifact
from fastfcn_infer.benchmark.environment import environment
from fastfcn_infer.benchmark.report import Report, Row
from fastfcn_infer.benchmark.timing import Neighbours, take_turns, timing
from fastfcn_infer.errors import BackendError
from fastfcn_infer.inference.merge import labels, merge
from fastfcn_infer.inference.preprocess import prepare
from fastfcn_infer.inference.views import Size, plan
from fastfcn_infer.picture.read import read_picture
from fastfcn_infer.runtime.backend import Backend
from fastfcn_infer.system import record
from fastfcn_infer.system.stopwatch import timed

if TYPE_CHECKING:
    from fastfcn_infer.segmenter import Segmenter

SIZES: tuple[Size, ...] = ((480, 480),)
BATCHES = (1,)
SECONDS = 5.0
STAGES = ("preprocess", "network", "labels")
WARM_UP = 2  # runs; the first allocates, and some runtimes compile for a new shape
STARTING_LIMIT = 600  # seconds for a fresh process

_MEASURED_AT = 480 * 480  # pixels that the manifest's multiply-adds are for

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Case:
    """What is shown to the contestants: pictures of a size (height, width), so many at a time."""

    size: Size
    batch: int


@dataclass(frozen=True)
class Request:
    """What a fresh process is asked for; `began` is when it was started, seconds of `time`."""

    path: str
    backend: str
    device: str
    threads: int
    size: Size
    batch: int
    began: float


@dataclass(frozen=True)
class ColdStart:
    """Seconds from starting Python to the labels of a first picture; the process's peak memory."""

    seconds: float
    peak_memory_bytes: int | None


class Contestant:
    """A model in a runtime."""

    def __init__(self, name: str, segmenter: "Segmenter", backend: Backend) -> None:
        """Take part; `backend` is the one that `segmenter` runs."""
        self.name, self.segmenter, self.facts = name, segmenter, backend.facts
        self._backend = backend

    def check(self, case: Case) -> None:
        """Refuse what a graph of a fixed shape cannot be shown.

        Raises:
            ValueError: the graph takes another number of pictures.
        """
        count = self.segmenter.model.input.shape[0]
        if case.batch > 1 and count not in (None, case.batch):
            raise ValueError(
                f"{self.name} was exported for batches of {count}; a batch of {case.batch} was "
                f"asked for. Take --batch 1 or {count}, or export without --shape."
            )

    def run(self, pictures: Sequence[Picture]) -> dict[str, float]:
        """Go from decoded pictures of one size to labels.

        Returns:
            Seconds of each of `STAGES`, and ``total`` of the whole.
        """
        began = time.perf_counter()
        if len(pictures) == 1:
            taken = dict(self.segmenter.predict(pictures[0]).timings)
        else:
            taken = self._run_batch(pictures)
        taken["total"] = time.perf_counter() - began
        return taken

    def _run_batch(self, pictures: Sequence[Picture]) -> dict[str, float]:
        """Do what `Segmenter.predict` does, the network seeing all pictures at once."""
        model = self.segmenter.model
        size = (pictures[0].shape[0], pictures[0].shape[1])
        one = replace(model.input, shape=(None, *model.input.shape[1:]))
        taken: dict[str, float] = {}
        with timed(taken, "preprocess"):
            views = plan(model.procedure, model.input.shape[1:], size)
            resize = model.procedure.resize
            batch = np.concatenate([prepare(p, views, one, resize) for p in pictures])
        with timed(taken, "network"):
            answers = self._backend.run(batch)
        with timed(taken, "labels"):
            for index in range(len(pictures)):
                labels(merge(views, answers[index : index + 1], size), model)
        return taken

    def multiply_adds(self, size: Size) -> int | None:
        """Count the multiply-adds for a picture of `size`, from the manifest's, by area.

        None where the manifest does not know them.
        """
        model = self.segmenter.model
        if not model.network.multiply_adds:
            return None
        (view,) = plan(model.procedure, model.input.shape[1:], size)
        pixels = view.canvas[0] * view.canvas[1]
        return round(model.network.multiply_adds * pixels / _MEASURED_AT)

    def cold_start(self, case: Case) -> ColdStart:
        """Open and run the model in a fresh process; see `cold_start`."""
        facts = self.facts
        path = _path(self.segmenter.artifact)
        asked = Request(
            path, facts.backend, facts.device, facts.threads, case.size, case.batch, time.time()
        )
        return cold_start(asked)


def photograph(size: Size) -> Picture:
    """Return the bundled photograph (H, W, 3), RGB, resized to a size (height, width)."""
    file = resources.files("fastfcn_infer") / "assets" / "demo" / "china.jpg"
    return np.asarray(cv2.resize(read_picture(file.read_bytes()), size[::-1]), np.uint8)


def check_seconds(seconds: float) -> None:
    """Refuse a time that one cannot measure for.

    Raises:
        ValueError: it is not positive, or no number, or more than a day.
    """
    if not 0 < seconds <= 86400:
        raise ValueError(f"{seconds} seconds of measuring; more than 0 and a day at most expected")


def measure(
    contestants: Sequence[Contestant],
    cases: Sequence[Case],
    *,
    seconds: float = SECONDS,
    advance: Callable[[float], None] | None = None,
) -> Report:
    """Time the contestants in turn, case after case.

    Args:
        contestants: opened models; their names and backends must differ.
        cases: what they are shown.
        seconds: of timed runs for each contestant in each case.
        advance: told of the seconds that are done, ``seconds`` for each contestant and case.

    Raises:
        ValueError: a graph of a fixed shape cannot be shown a case, or `seconds` is not positive.
        BackendError: a runtime failed.
    """
    check_seconds(seconds)
    for case in cases:
        for contestant in contestants:
            contestant.check(case)
    stamp = environment(max(contestant.facts.threads for contestant in contestants))
    rows: list[Row] = []
    for case in cases:
        rows += _measure_case(contestants, case, seconds, advance, stamp.matrix_product_gflops)
    return Report(1, stamp, seconds, tuple(rows))


def cold_start(request: Request) -> ColdStart:
    """Run `fresh_start` in a process of its own.

    Raises:
        BackendError: it failed.
    """
    path = os.pathsep.join(entry or os.curdir for entry in sys.path)
    try:
        ended = subprocess.run(
            [
                sys.executable,
                "-m",
                "fastfcn_infer.cli.cold_start",
                record.to_json(request, indent=None),
            ],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=STARTING_LIMIT,
            check=True,
        )
        # Runtimes may write to standard output, too.
        return record.from_json(ColdStart, ended.stdout.splitlines()[-1])
    except subprocess.SubprocessError as error:
        said = str(getattr(error, "stderr", None) or "").strip()
        raise BackendError(
            f"{request.path} failed in a fresh process, in {request.backend} on "
            f"{request.device}: {error}. {said[-1000:]}"
        ) from error


def _measure_case(
    contestants: Sequence[Contestant],
    case: Case,
    seconds: float,
    advance: Callable[[float], None] | None,
    gflops: float,
) -> Iterator[Row]:
    pictures = [photograph(case.size)] * case.batch
    neighbours = Neighbours()
    starts = [contestant.cold_start(case) for contestant in contestants]
    for contestant in contestants:
        for _ in range(WARM_UP):
            contestant.run(pictures)
    calls = [_call(contestant, pictures) for contestant in contestants]
    results = take_turns(calls, seconds=seconds, advance=advance)
    others = neighbours.share()
    for contestant, start, taken in zip(contestants, starts, results, strict=True):
        yield _row(contestant, case, start, taken, gflops, others)


def _call(contestant: Contestant, pictures: Sequence[Picture]) -> Callable[[], dict[str, float]]:
    return lambda: contestant.run(pictures)


def _row(
    contestant: Contestant,
    case: Case,
    start: ColdStart,
    taken: Sequence[Mapping[str, float]],
    gflops: float,
    others: float | None,
) -> Row:
    facts = contestant.facts
    whole = timing([run["total"] for run in taken])
    network = timing([run["network"] for run in taken])
    multiply_adds = contestant.multiply_adds(case.size)
    share = None
    if multiply_adds is not None:
        share = 2e-9 * multiply_adds * case.batch / network.median / gflops
    return Row(
        model=contestant.name,
        backend=facts.backend,
        provider=facts.provider,
        device=facts.device,
        precision=contestant.segmenter.model.precision,
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
    )


def _path(artifact: Artifact) -> str:
    return str(artifact.folder or artifact.files[FORMATS["onnx"]])
