"""Find out which backend, precision, number of threads and batch are the fastest for a model on this machine.

Candidates take turns, so that a slow spell of the machine slows them all. First every backend computes one view
in each allowed precision; then the fastest of each precision is tried with half of the threads, and with larger
batches. What `auto` would choose anyway stays chosen unless something else is clearly faster.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.benchmark.timing import FEWEST_RUNS, OtherLoad, take_turns, timing
from fastfcn_infer.benchmark.workload import photograph
from fastfcn_infer.errors import ArtifactError, BackendError
from fastfcn_infer.evaluation.agreement import agreement
from fastfcn_infer.inference.pipeline import Job, segment
from fastfcn_infer.inference.views import Size
from fastfcn_infer.runtime.backend import (
    Backend,
    backend_names,
    format_of,
    installed,
    open_backend,
)
from fastfcn_infer.runtime.tuned_profile import (
    Choice,
    Measured,
    TunedProfile,
    installed_versions,
    this_machine,
)
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.machine import cpu_budget

PRECISIONS = ("fp32", "bf16", "int8")  # that processors compute in
BATCHES = (1, 2, 4, 8)

_CLEARLY = 1.02  # times as fast, to be chosen in place of what `auto` takes anyway
_WARM_UP = 2
_LONGEST = 2.0  # seconds of a view; of one that takes longer, batches are not tried
_FEWEST_BATCHES = 3
_LONGEST_NOTE = 300


@dataclass(frozen=True)
class Setting:
    """What a graph is opened with."""

    backend: str
    precision: str
    threads: int


@dataclass(frozen=True)
class Trial:
    """An opened graph, and what it is fed."""

    setting: Setting
    backend: Backend
    batch: int = 1


Open = Callable[[Setting], Backend]


class Tuner:
    """Tries the settings of a model.

    Args:
        artifact: the model.
        size: height and width of the picture.
        seconds: of timed runs for each setting.
        advance: called with the seconds just measured.
        open_graph: opens the model with a setting; None: `open_backend`.
        clock: returns seconds; tests pass their own.
        sleep: called when the turn changes.
    """

    def __init__(
        self,
        artifact: Artifact,
        size: Size,
        seconds: float,
        *,
        advance: Callable[[float], None] | None = None,
        open_graph: Open | None = None,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._artifact, self._size, self._seconds = artifact, size, seconds
        self._advance, self._clock, self._sleep = advance, clock, sleep
        self._open_graph = self._open_here if open_graph is None else open_graph
        self._picture = photograph(size, artifact.model.input)
        job = Job([self._picture], artifact.model)
        self._view = job.batch(job.calls[0][:1])
        self._measured: list[Measured] = []

    def tune(self, allowed: Sequence[str], backends: Sequence[str], threads: int) -> TunedProfile:
        """Try everything.

        Args:
            allowed: precisions; the model's own is tried in any case.
            backends: to try, what `auto` prefers first.
            threads: that this process may use.

        Raises:
            BackendError: nothing could be measured in the model's own precision; says why.
        """
        own = self._artifact.model.precision
        precisions = tuple(dict.fromkeys((own, *allowed)))
        settings = [
            Setting(backend, precision, threads)
            for precision in precisions
            for backend in backends
        ]
        with ExitStack() as opened:
            trials = self._open_all(settings, opened)
            if not any(trial.setting.precision == own for trial in trials):
                notes = "; ".join(f"{each.backend}: {each.note}" for each in self._measured)
                raise BackendError(f"No backend can be measured in {own}. {notes}")
            taken = self._time(trials)
            best = {
                precision: _first_of_the_fastest(trials, taken, precision)
                for precision in precisions
                if any(trial.setting.precision == precision for trial in trials)
            }
            agreed = self._agreements({name: found.backend for name, found in best.items()}, own)
        self._note(trials, taken, agreed)
        choices = {
            precision: self._refine(found.setting, taken[found.setting, 1])
            for precision, found in best.items()
        }
        fastest = min(choice.seconds for choice in choices.values())
        chosen = next(
            precision
            for precision in precisions
            if precision in choices and choices[precision].seconds <= _CLEARLY * fastest
        )
        return TunedProfile(
            format_version=1,
            model=self._artifact.model.name,
            fingerprint=self._artifact.fingerprint,
            machine=this_machine(),
            versions=installed_versions(),
            date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            size=self._size,
            allowed=precisions,
            precision=chosen,
            choices=choices,
            measured=tuple(self._measured),
        )

    def _open_here(self, setting: Setting) -> Backend:
        return open_backend(
            setting.backend,
            self._artifact,
            device="cpu",
            threads=setting.threads,
            precision=setting.precision,
        )

    def _open_all(self, settings: Sequence[Setting], opened: ExitStack) -> list[Trial]:
        """Open and warm up what can be; what cannot is noted with the reason."""
        trials = []
        for setting in settings:
            try:
                backend = opened.enter_context(closing(self._open_graph(setting)))
                for _ in range(_WARM_UP):
                    backend.run(self._view)
            except (BackendError, ArtifactError, ValueError) as error:
                note = printable(str(error).partition("\n")[0], _LONGEST_NOTE)
                self._measured.append(
                    Measured(
                        setting.backend, setting.precision, setting.threads, 1, None, note=note
                    )
                )
            else:
                trials.append(Trial(setting, backend))
        return trials

    def _time(
        self, trials: Sequence[Trial], fewest: int = FEWEST_RUNS
    ) -> dict[tuple[Setting, int], float]:
        """Return the median seconds of a view of each trial."""
        calls = [self._call(trial) for trial in trials]
        results = take_turns(
            calls,
            seconds=self._seconds,
            fewest=fewest,
            advance=self._advance,
            clock=self._clock,
            sleep=self._sleep,
        )
        return {
            (trial.setting, trial.batch): timing(found).median
            for trial, found in zip(trials, results, strict=True)
        }

    def _call(self, trial: Trial) -> Callable[[], float]:
        fed = np.repeat(self._view, trial.batch, axis=0) if trial.batch > 1 else self._view

        def run() -> float:
            began = self._clock()
            trial.backend.run(fed)
            return (self._clock() - began) / len(fed)

        return run

    def _refine(self, setting: Setting, seconds: float) -> Choice:
        """Find threads and batch for the backend that is the fastest in a precision."""
        with ExitStack() as opened:
            half = replace(setting, threads=-(-setting.threads // 2))
            trials = self._open_all(list(dict.fromkeys((setting, half))), opened)
            if len(trials) > 1:
                taken = self._time(trials)
                self._note(trials[1:], taken)
                fastest = min(taken.values())
                trials = [each for each in trials if taken[each.setting, 1] <= _CLEARLY * fastest]
                seconds = taken[trials[0].setting, 1]
            elif not trials:  # it ran a moment ago
                return Choice(setting.backend, setting.threads, 1, seconds)
            used = trials[0]
            batch = 1 if seconds > _LONGEST else self._batch(used)
        return Choice(setting.backend, used.setting.threads, batch, seconds)

    def _batch(self, used: Trial) -> int:
        """Return the smallest batch that gives about the most views a second."""
        if self._artifact.model.input.shape[0] is not None:
            return 1
        trials = [replace(used, batch=batch) for batch in BATCHES]
        for trial in trials[1:]:
            self._call(trial)()
        taken = self._time(trials, _FEWEST_BATCHES)
        self._note(trials[1:], taken)
        fastest = min(taken.values())
        return next(
            each.batch for each in trials if taken[each.setting, each.batch] <= _CLEARLY * fastest
        )

    def _note(
        self,
        trials: Sequence[Trial],
        taken: Mapping[tuple[Setting, int], float],
        agreed: Mapping[str, float] | None = None,
    ) -> None:
        for trial in trials:
            found = trial.setting
            self._measured.append(
                Measured(
                    found.backend,
                    found.precision,
                    found.threads,
                    trial.batch,
                    taken[found, trial.batch],
                    (agreed or {}).get(found.precision),
                )
            )

    def _agreements(self, backends: Mapping[str, Backend], own: str) -> dict[str, float]:
        """Return the share of the photograph's labels that are those of the model's own precision."""
        labels = {name: self._label(backend) for name, backend in backends.items()}
        return {
            name: agreement(found, labels[own]).overall
            for name, found in labels.items()
            if name != own
        }

    def _label(self, backend: Backend) -> NDArray[Any]:
        model: Model = self._artifact.model
        return segment([self._picture], model, backend, batch=1)[0]


def backends_to_try(artifact: Artifact) -> tuple[str, ...]:
    """List the installed backends that read a format of the model, what `auto` prefers first."""
    return tuple(
        name for name in backend_names() if installed(name) and format_of(name) in artifact.formats
    )


def most_settings(artifact: Artifact, allowed: Sequence[str]) -> int:
    """Return how many settings are timed at most."""
    precisions = len({artifact.model.precision, *allowed})
    return precisions * (len(backends_to_try(artifact)) + 2 + len(BATCHES))


def tune(
    artifact: Artifact,
    *,
    allowed: Sequence[str],
    size: Size,
    seconds: float,
    advance: Callable[[float], None] | None = None,
) -> TunedProfile:
    """Find the fastest settings of a model on this machine's processor; see `Tuner`.

    Raises:
        BackendError: nothing could be measured in the model's own precision.
        ImageError: the picture does not fit the model.
    """
    tuner, others = Tuner(artifact, size, seconds, advance=advance), OtherLoad()
    found = tuner.tune(allowed, backends_to_try(artifact), cpu_budget().threads)
    return replace(found, others_took=others.share())


def _first_of_the_fastest(
    trials: Sequence[Trial], taken: Mapping[tuple[Setting, int], float], precision: str
) -> Trial:
    """Return the first trial in a precision that nothing is clearly faster than."""
    found = [trial for trial in trials if trial.setting.precision == precision]
    fastest = min(taken[trial.setting, 1] for trial in found)
    return next(trial for trial in found if taken[trial.setting, 1] <= _CLEARLY * fastest)
