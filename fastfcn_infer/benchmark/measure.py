"""Measure how fast a model is on this machine: end to end, the network alone, and each stage.

Several models, or one model in several runtimes and precisions, are timed in turn in one process; the cold
start and the peak memory of each row are measured in a process of their own. What is timed is a `Workload`.
"""

import itertools
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastfcn_infer.artifact.artifact import FORMATS, Artifact
from fastfcn_infer.artifact.manifest import RGB
from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.benchmark.environment import Environment, environment
from fastfcn_infer.benchmark.label_maps import Reference
from fastfcn_infer.benchmark.low_precision_product import Product, product
from fastfcn_infer.benchmark.own_process import last_line, run_module
from fastfcn_infer.benchmark.report import Report, Row
from fastfcn_infer.benchmark.timing import FEWEST_RUNS, OtherLoad, distribution, take_turns, timing
from fastfcn_infer.benchmark.workload import (
    Case,
    Opened,
    Picture,
    Taken,
    Workload,
    faster,
    files_of,
    hash_images,
    label_batch,
    label_files,
    label_stream,
    network_alone,
    pictures_of,
    sizes_of,
)
from fastfcn_infer.errors import BackendError
from fastfcn_infer.inference.multiband import read_pixels
from fastfcn_infer.inference.pipeline import STAGES, segment
from fastfcn_infer.inference.views import Size, plan
from fastfcn_infer.runtime.backend import Backend, profile_of
from fastfcn_infer.runtime.device import parse_device
from fastfcn_infer.runtime.gpu import Gpu, find_gpu
from fastfcn_infer.system import record

SIZES: tuple[Size, ...] = ((480, 480),)
BATCHES = (1,)
SECONDS = 5.0
WARM_UP = 2  # runs; the first allocates, and some runtimes compile for a new shape
STARTING_LIMIT = 600  # seconds for the process of a cold start

_FEWEST_PASSES = 3  # of a stream or a folder, each of which is many pictures
_MEASURED_AT = 480 * 480  # pixels; the size that a manifest states its multiply-adds for


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

    def __init__(self, name: str, predictor: Opened, backend: Backend) -> None:
        """Name a model; `backend` is the one that `predictor` runs."""
        self.name, self.predictor, self.facts = name, predictor, backend.facts
        self._backend = backend
        self._starts: dict[tuple[Size, int], ColdStart] = {}  # by size and batch

    def check(self, case: Case, images: Sequence[Path] = ()) -> None:
        """Refuse a batch that a graph of a fixed shape does not take, and files that the model does not.

        Raises:
            ValueError: the graph takes another number of pictures, or other channels than JPEG files have.
        """
        given = self.predictor.model.input
        if case.scenario == "folder" and not images and given.channels != RGB:
            raise ValueError(
                f"{self.name} takes pictures of {given.channels} channels, and the demo picture has {RGB}: name a "
                "folder of yours with --images for the scenario folder."
            )
        count = self.predictor.model.input.shape[0]
        if case.batch > 1 and not case.overlaps and count not in (None, case.batch):
            raise ValueError(
                f"{self.name} was exported for batches of {count} pictures and cannot run a batch "
                f"of {case.batch}. Use --batch 1 or --batch {count}, or export it again without "
                "--shape."
            )

    def run(self, pictures: Sequence[Picture]) -> Taken:
        """Label pictures of one size, as `photograph` gives them, with one call of the pipeline.

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

    def workload(
        self, case: Case, pictures: Sequence[Picture], files: Sequence[Path], folder: Path
    ) -> Workload:
        """Return what is timed.

        Args:
            case: says how pictures are labelled.
            pictures: decoded: as many as a run takes; for a folder some of them; for single runs all that
                take turns.
            files: the same, for a folder.
            folder: for results.
        """
        predictor = self.predictor
        if not case.overlaps:
            groups = [
                pictures[first : first + case.batch]
                for first in range(0, len(pictures), case.batch)
            ]
            turn = itertools.cycle(groups)
            return Workload(lambda: self.run(next(turn)), warm_up=max(WARM_UP, len(groups)))
        batches = dict.fromkeys((1, profile_of(self.facts).batch))
        alone = [
            network_alone(predictor, self._backend, pictures, batch, case.batch)
            for batch in batches
        ]
        runs: Mapping[str, Callable[[], Taken]] = {
            "batch": lambda: label_batch(predictor, pictures),
            "stream": lambda: label_stream(predictor, pictures),
            "folder": lambda: label_files(predictor, files, folder),
        }
        return Workload(runs[case.scenario], faster(alone))

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
        """Open and run the model in a process of its own; see `cold_start`.

        Where stages overlap, the segmenter chooses how many pictures it labels at a time: here as many as are
        best for the runtime.
        """
        facts = self.facts
        batch = min(case.batch, profile_of(facts).batch) if case.overlaps else case.batch
        if (case.size, batch) in self._starts:
            return self._starts[case.size, batch]
        path = _path(self.predictor.artifact)
        asked = Request(
            path,
            facts.backend,
            facts.device,
            facts.threads,
            case.size,
            batch,
            time.time(),
            self.predictor.procedure,
            facts.precision,
        )
        found = self._starts[case.size, batch] = cold_start(asked)
        return found


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
    images: Sequence[Path] = (),
    advance: Callable[[float], None] | None = None,
) -> Report:
    """Time the candidates in turn, case after case.

    Args:
        candidates: opened models; their names, backends and precisions must differ.
        cases: what they are fed.
        seconds: of timed runs for each candidate in each case.
        images: files of the pictures; none: the bundled photograph.
        advance: called with the seconds just measured; they add up to ``seconds`` for each
            candidate and case.

    Raises:
        ValueError: a graph of a fixed shape does not take a case, or `seconds` is out of range.
        ImageError: a picture cannot be read.
        BackendError: a runtime failed.
    """
    check_seconds(seconds)
    for case in cases:
        for candidate in candidates:
            candidate.check(case, images)
    of_images: dict[str, Any] = {"images": hash_images(images)}
    if len(sizes_of(images)) > 1:  # what is counted is of one size
        of_images |= {"multiply_adds": None, "share_of_matrix_product": None}
    threads = max(candidate.facts.threads for candidate in candidates)
    used = {each.facts.precision for each in candidates if each.facts.device == "cpu"}
    products = tuple(product(precision, threads) for precision in sorted(used - {"fp32"}))
    stamp = environment(threads)
    rates = _rates(stamp, products)
    rows: list[Row] = []
    references: dict[Size, Reference] = {}
    for case in cases:
        reference = references.setdefault(case.size, Reference(case.size, images))
        found = _measure_case(candidates, case, seconds, advance, rates, reference, images)
        rows += [replace(row, **of_images) for row in found]
    return Report(1, stamp, seconds, tuple(rows), products=products)


def _rates(stamp: Environment, products: Sequence[Product]) -> dict[str, float]:
    """Return the rate of the machine's matrix product in each precision that was measured."""
    found = {each.precision: each.gflops for each in products if each.gflops is not None}
    return {"fp32": stamp.matrix_product_gflops, **found}


def cold_start(request: Request) -> ColdStart:
    """Run `fastfcn_infer.cli.cold_start` in a process of its own.

    Raises:
        BackendError: it failed, took too long, or did not report.
    """
    words = record.to_json(request, indent=None)
    try:
        ended = run_module("fastfcn_infer.cli.cold_start", words, seconds=STARTING_LIMIT)
    except subprocess.TimeoutExpired as error:
        raise _failed(
            request, f"gave no result within {STARTING_LIMIT} s", error.stderr
        ) from error
    if ended.returncode:
        raise _failed(request, f"ended with exit code {ended.returncode}", ended.stderr)
    last = last_line(ended.stdout)
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
    rates: Mapping[str, float],
    reference: Reference,
    images: Sequence[Path],
) -> Iterator[Row]:
    other_load = OtherLoad()
    starts = [candidate.cold_start(case) for candidate in candidates]
    with ExitStack() as opened:
        folder = Path(opened.enter_context(TemporaryDirectory(prefix="fastfcn-benchmark-")))
        files = opened.enter_context(files_of(case, images)) if case.scenario == "folder" else ()
        works = []
        for candidate in candidates:
            pictures = pictures_of(case, images, candidate.predictor.model.input)
            work = candidate.workload(case, pictures, files, folder)
            for _ in range(work.warm_up):
                work.run()
            works.append(work)
        taken = _take_turns(works, case, seconds, advance)
    others = other_load.share()
    for candidate, start, (runs, alone) in zip(candidates, starts, taken, strict=True):
        row = _row(candidate, case, start, runs, alone, rates, others)
        yield reference.complete(row, candidate.predictor)


def _take_turns(
    works: Sequence[Workload],
    case: Case,
    seconds: float,
    advance: Callable[[float], None] | None,
) -> list[tuple[list[Taken], list[Taken]]]:
    """Time the workloads; returns for each one its runs, and those of the network alone."""
    calls = [call for work in works for call in (work.run, work.alone) if call is not None]
    share = len(works) / len(calls)
    found = iter(
        take_turns(
            calls,
            seconds=seconds,
            fewest=_FEWEST_PASSES if case.overlaps else FEWEST_RUNS,
            advance=None if advance is None else lambda done: advance(done * share),
        )
    )
    pairs = []
    for work in works:
        runs = next(found)
        pairs.append((runs, runs if work.alone is None else next(found)))
    return pairs


def _row(
    candidate: Candidate,
    case: Case,
    start: ColdStart,
    taken: Sequence[Taken],
    alone: Sequence[Taken],
    rates: Mapping[str, float],
    others: float | None,
) -> Row:
    facts = candidate.facts
    whole = timing([run["total"] for run in taken])
    network = timing([run["network"] for run in alone])
    multiply_adds = candidate.multiply_adds(case.size)
    rate = rates.get(facts.precision) if facts.device == "cpu" else None
    share = None
    if multiply_adds is not None and rate is not None:
        share = 2e-9 * multiply_adds * case.batch / network.median / rate
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
        model_sha256=candidate.predictor.artifact.fingerprint,
        gpu=_gpu_name(facts.device),
        scenario=case.scenario,
        share_of_network=network.median / whole.median,
        distribution=distribution([run["total"] for run in taken]),
    )


def _gpu_name(device: str) -> str:
    found = "" if device == "cpu" else find_gpu(parse_device(device).index)
    return found.name if isinstance(found, Gpu) else ""


def _path(artifact: Artifact) -> str:
    return str(artifact.folder or artifact.files[FORMATS["onnx"]])
