"""What `fastfcn doctor` reports: the machine, what is installed, and its known problems.

Nothing is downloaded and nothing is changed.
"""

import contextlib
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.cli.known_problems import known_problems
from fastfcn_infer.errors import BackendError, DownloadError, WriteError, WrongLabels
from fastfcn_infer.hub.client import offline
from fastfcn_infer.runtime.gpu import Gpu, find_gpu
from fastfcn_infer.runtime.tuned_profile import tuned_here
from fastfcn_infer.system import opencv
from fastfcn_infer.system.cache import VARIABLE, cache_folder
from fastfcn_infer.system.machine import (
    MemoryBudget,
    cpu_budget,
    cpu_features,
    cpu_model,
    memory_budget,
    versions,
)
from fastfcn_infer.system.version import __version__
from fastfcn_infer.system.writing import check_folder

if opencv.fault() is None:  # all of these need it; what is wrong with it is a finding, too
    from fastfcn_infer.cli.abilities import Ability, abilities
    from fastfcn_infer.inference.replay import replay
    from fastfcn_infer.runtime import backend
    from fastfcn_infer.runtime.precision import choose_precision
    from fastfcn_infer.segmenter import Segmenter


@dataclass(frozen=True)
class Trouble:
    """A known problem of something that is installed."""

    packages: tuple[str, ...]
    symptom: str
    response: str


@dataclass(frozen=True)
class Replayed:
    """The result of a model's golden picture in one backend."""

    backend: str
    provider: str | None
    agreement: float | None  # share of the labels
    required: float | None
    passed: bool | None  # None if not tried; False if labels are wrong, or the runtime failed
    reason: str | None  # why there is no agreement
    wrong_labels: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """Everything that `fastfcn doctor` reports."""

    version: str
    python: str
    system: str
    cpu: str
    cpu_features: tuple[str, ...] | None  # None: the system does not say
    threads: int
    threads_reason: str
    memory: MemoryBudget | None
    gpus: tuple[str, ...]  # NVIDIA's, as the driver names them
    no_gpu: str | None  # why no GPU can be used
    packages: Mapping[str, str]  # of those that matter here
    opencv: str | None  # why OpenCV cannot be used, and what to do; None if it can
    backends: tuple["backend.Availability", ...]  # none are examined without OpenCV
    precisions: tuple["Ability", ...]  # likewise
    problems: tuple[Trouble, ...]
    cache: str | None  # folder of downloads and conversions
    no_cache: str | None  # why there is none, or it cannot be used
    cache_bytes: int
    cache_variable: str | None  # the value of FASTFCN_CACHE
    offline: bool  # whether FASTFCN_OFFLINE forbids downloads
    tuned: tuple[str, ...] = ()  # what `fastfcn tune` lets auto choose, model by model
    replayed: tuple[Replayed, ...] = ()


def diagnose() -> Diagnosis:
    """Examine the machine and what is installed; every installed runtime is imported."""
    without = opencv.fault()
    budget, memory = cpu_budget(), memory_budget()
    found = versions()
    cache, why_no_cache = _cache()
    gpus, why = _gpus()
    features, no_gpu = cpu_features(), None if gpus else why
    backends = () if without is not None else _backends()
    return Diagnosis(
        version=__version__,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        system=platform.platform(),
        cpu=cpu_model(),
        cpu_features=features,
        threads=budget.threads,
        threads_reason=budget.reason,
        memory=memory,
        gpus=gpus,
        no_gpu=no_gpu,
        packages=found,
        opencv=without,
        backends=backends,
        precisions=abilities(backends, features, no_gpu) if backends else (),
        problems=tuple(
            Trouble(who, problem.symptom, problem.response)
            for problem, who in known_problems(found)
        ),
        cache=None if cache is None else str(cache),
        no_cache=why_no_cache,
        cache_bytes=0 if cache is None else _size(cache),
        cache_variable=os.environ.get(VARIABLE),
        offline=offline(),
        tuned=() if cache is None else tuned_here(cache),
    )


def _backends() -> tuple["backend.Availability", ...]:
    return tuple(backend.availability(name, devices=True) for name in backend.backend_names())


def replay_everywhere(
    artifact: Artifact, threads: int, precision: str = "auto"
) -> tuple[Replayed, ...]:
    """Replay the golden picture in every backend that is installed and reads the artifact.

    A backend that fails is reported and does not keep the others from running.

    Args:
        artifact: with a golden picture.
        threads: for computing.
        precision: of the arithmetic; "auto" is the model's own.

    Raises:
        ArtifactError: it carries no golden picture.
        ValueError: it holds no graph for the precision.
    """
    choose_precision(precision, artifact)
    return tuple(_replay(name, artifact, threads, precision) for name in backend.backend_names())


def _replay(name: str, artifact: Artifact, threads: int, precision: str) -> Replayed:
    reason, reads = None, backend.format_of(name)
    if not backend.installed(name):
        reason = "not installed"
    elif precision != "auto" and (refused := backend.refusal(name, precision)) is not None:
        reason = refused
    elif reads not in artifact.formats:
        reason = f"the model has no {reads} graph"
    if reason is not None:
        return Replayed(name, None, None, None, None, reason)
    try:
        opened = backend.open_backend(
            name, artifact, device="auto", threads=threads, precision=precision
        )
        with Segmenter(artifact, opened) as segmenter:
            found = replay(segmenter)
    except BackendError as error:
        reason, wrong = f"{type(error).__name__}: {error}", isinstance(error, WrongLabels)
        return Replayed(name, None, None, None, False, reason, wrong)
    provider = f"{opened.facts.provider} on {opened.facts.device}"
    passed = found.passed
    return Replayed(name, provider, found.agreement, found.required, passed, None, not passed)


def _gpus() -> tuple[tuple[str, ...], str]:
    """Ask the driver for one device after the other, until it says why there are no more."""
    names: list[str] = []
    while isinstance(device := find_gpu(len(names)), Gpu):
        major, minor = divmod(device.driver // 10, 100)
        names.append(f"{device.name}, driver for CUDA {major}.{minor}")
    return tuple(names), device


def _cache() -> tuple[Path | None, str | None]:
    """Find the cache folder, and say why it cannot be used."""
    try:
        cache = cache_folder()
    except DownloadError as error:
        return None, str(error)
    if cache.exists() and not cache.is_dir():
        return cache, "not a folder"
    try:
        check_folder(cache)
    except WriteError as error:
        return (
            cache,
            f"cannot be written to: {error.strerror}; choose another: --cache-dir or {VARIABLE}",
        )
    return cache, None


def _size(folder: Path) -> int:
    """Add up the sizes of the files below a folder, links not followed; 0 if it is absent."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # another process may be deleting files
                total += Path(place, name).lstat().st_size
    return total
