"""Open a model as users ask for it: what is left to choose is what `fastfcn tune` measured, or the first that works."""

from dataclasses import replace
from pathlib import Path

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.errors import BackendError
from fastfcn_infer.runtime import gpu
from fastfcn_infer.runtime.backend import Backend, Noted, open_backend
from fastfcn_infer.runtime.tuned_profile import (
    Choice,
    TunedProfile,
    UnusableProfileError,
    find_profile,
)
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.machine import cpu_budget
from fastfcn_infer.system.warn import warn


def open_as_asked(
    backend: str,
    artifact: Artifact,
    *,
    device: str | int,
    threads: int | None,
    precision: str,
    cache: Path | None,
) -> Backend:
    """Open a graph, and say in `RuntimeFacts.chosen` what was chosen and why.

    Where the backend is "auto" and the processor computes, a profile of the model on this machine chooses
    backend, threads and batch, and, of the precisions that its user allowed, the one for "auto".

    Args:
        backend: as of `open_backend`.
        artifact: as of `open_backend`.
        device: as of `open_backend`.
        threads: to compute with; None: the profile's, or one for each processor that this process may use.
        precision: as of `open_backend`.
        cache: folder of profiles; None: the user's.

    Raises:
        BackendError, ArtifactError, ValueError: as `open_backend`; never because of a profile.
    """
    profile = None
    if backend == "auto" and _on_processor(device) and (threads is None or threads > 0):
        profile = _profile(artifact, cache)
    if profile is not None:
        wanted = profile.precision if precision == "auto" else precision
        choice = profile.choices.get(wanted)
        if choice is not None:
            try:
                return _open_chosen(profile, choice, artifact, device, threads, wanted, precision)
            except (BackendError, ValueError, OSError) as error:
                _ignore(f"it chose {choice.backend}, which failed: {printable(str(error), 500)}")
    budget = cpu_budget()
    opened = open_backend(
        backend,
        artifact,
        device=device,
        threads=budget.threads if threads is None else threads,
        precision=precision,
    )
    if threads is not None:
        return opened
    return Noted(opened, (*opened.facts.chosen, f"threads {budget.threads}: {budget.reason}"))


def _profile(artifact: Artifact, cache: Path | None) -> TunedProfile | None:
    try:
        return find_profile(artifact, cache)
    except (UnusableProfileError, OSError) as error:
        _ignore(str(error))
    return None


def _ignore(why: str) -> None:
    warn(
        f"what fastfcn tune measured is not used: {why.rstrip('.')}. Run fastfcn tune again, or with --forget."
    )


def _on_processor(device: str | int) -> bool:
    """Tell whether the processor will compute; with a GPU "auto" takes that."""
    word = str(device).strip().lower()
    return word == "cpu" or (word == "auto" and not isinstance(gpu.find_gpu(0), gpu.Gpu))


def _open_chosen(
    profile: TunedProfile,
    choice: Choice,
    artifact: Artifact,
    device: str | int,
    threads: int | None,
    precision: str,
    asked: str,
) -> Backend:
    opened = open_backend(
        choice.backend,
        artifact,
        device=device,
        threads=choice.threads if threads is None else threads,
        precision=precision,
    )
    measured = f"fastfcn tune measured it fastest here on {profile.day}"
    notes = [f"backend {choice.backend}: {measured}"]
    if asked == "auto" and precision != artifact.model.precision:
        notes.append(f"precision {precision}: {measured}, and its user allowed it")
    if threads is None:
        notes.append(f"threads {choice.threads}: {measured}")
    notes.append(f"batch {choice.batch}: {measured}")
    found = Noted(opened, (*notes, *opened.facts.chosen))
    found.facts = replace(found.facts, batch=choice.batch)
    return found
