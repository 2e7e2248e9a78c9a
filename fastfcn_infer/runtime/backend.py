"""The contract of a backend, and how one is chosen; `backends/` holds one file per runtime.

A file of `backends/` is a `BackendFile`: some constants and `open`. It imports its runtime inside
functions only, so that it can be imported where the runtime is not installed.
"""

import difflib
import importlib
import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, Protocol, cast

from numpy.typing import NDArray

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.errors import (
    BackendError,
    BackendMissing,
    DeviceUnavailable,
    GraphRefused,
    UnknownBackend,
    WrongLabels,
)
from fastfcn_infer.inference.cost import RuntimeProfile
from fastfcn_infer.runtime import gpu
from fastfcn_infer.runtime.device import Device, fitting, parse_device
from fastfcn_infer.runtime.loading import broken, importing
from fastfcn_infer.runtime.precision import choose_precision
from fastfcn_infer.system import registry
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.install import install
from fastfcn_infer.system.machine import MOST_THREADS
from fastfcn_infer.system.warn import warn

_PACKAGE = "fastfcn_infer.runtime.backends"


@dataclass(frozen=True)
class RuntimeFacts:
    """What runs the graph, for people and for reports."""

    backend: str  # name of the runtime, as `--backend` takes it
    provider: str  # the runtime's own name for what computes
    device: str  # never "auto"
    threads: int  # that compute
    versions: Mapping[str, str]  # package -> version
    chosen: tuple[str, ...] = ()  # what was decided for the user, and why
    precision: str = "fp32"  # of the arithmetic; a key of `precision.PRECISIONS`
    batch: int | None = None  # views in one call that were measured to be best; None: not measured

    @property
    def identity(self) -> dict[str, str]:
        """All that may change how logits are rounded: runtime, device, precision, threads, versions."""
        return {
            "backend": self.backend,
            "provider": self.provider,
            "device": self.device,
            "precision": self.precision,
            "threads": str(self.threads),
            **self.versions,
        }


@dataclass(frozen=True)
class Availability:
    """What a backend could do on this machine, for people and for reports."""

    name: str
    installed: bool
    install: str  # the command that gets it
    reads: str  # a key of `artifact.FORMATS`
    devices: tuple[str, ...]  # kinds of `Device` that it knows
    providers: tuple[str, ...]  # what the installed runtime says it can compute with
    fault: str | None  # why an installed runtime cannot be used; None if it can, or is absent
    missing: Mapping[str, str] = field(
        default_factory=dict
    )  # kind of `Device` -> what it lacks, if asked


class Backend(Protocol):
    """A graph, opened by a runtime; may be used by several threads at a time.

    It may also offer ``in_parallel(calls)``, which opens the graph again, on a processor, for so many calls at a
    time that share the threads; see `parallel_calls`.
    """

    @property
    def facts(self) -> RuntimeFacts:
        """What runs the graph."""

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Run the graph.

        Args:
            batch: float32 (N, channels, H, W) where the model's input is ``image``, uint8 (N, H, W, 3)
                where it is ``pixels``; N, H and W are free unless the model fixes them.

        Returns:
            What `manifest.Output` says; for ``logits`` float32 (N, C, ceil(H / s), ceil(W / s)).

        Raises:
            BackendError: the runtime failed, or the backend was closed.
            ArtifactError: a file that the runtime had to read again was changed meanwhile.
        """

    def close(self) -> None:
        """Release memory and threads; closing twice is harmless."""


class Noted:
    """A backend that says what was chosen for the user."""

    def __init__(self, backend: Backend, chosen: Sequence[str]) -> None:
        """Give a backend other notes of what was chosen."""
        self.facts = replace(backend.facts, chosen=tuple(chosen))
        self.run, self.close = backend.run, backend.close
        self.in_parallel = getattr(backend, "in_parallel", None)  # see `parallel_calls`


class BackendFile(Protocol):
    """What a file of `backends/` offers.

    It may also offer ``PROFILE``, a `cost.RuntimeProfile` (see `profile_of`), and four functions:
    ``load()`` imports the runtime, needed where the import has to be prepared; ``providers()`` lists what
    the installed runtime can compute with, by the runtime's own names; ``refusal(precision)`` says
    why it cannot compute in a precision on this machine's processor, None if it can; and
    ``missing_devices()`` says for kinds of `Device` that cannot be used here what they lack, if that can be
    told without a model. Any thread may call each function of the file at any time.
    """

    RANK: int  # "auto" takes the lowest that works
    FORMAT: str  # a key of `artifact.FORMATS`
    DEVICES: tuple[str, ...]  # kinds of `Device`, without "auto"
    EXTRA: str  # of this package, which installs it
    REQUIRES: tuple[str, ...]  # top-level import names

    def open(self, artifact: Artifact, *, device: Device, threads: int) -> Backend:
        """Open a graph whose bytes were checked.

        Args:
            artifact: holds the graph in `FORMAT`, its description, and often a golden picture.
            device: of a kind in `DEVICES`, or "auto".
            threads: for computing, at least 1.

        Raises:
            GraphRefused: the runtime does not take the graph.
            DeviceUnavailable: the device is not available; says what is missing.
        """


def backend_names() -> tuple[str, ...]:
    """List the runtimes this package knows, installed or not, in the order "auto" tries them."""
    return tuple(sorted(registry.names(_PACKAGE), key=lambda name: (_file(name).RANK, name)))


def installed(name: str) -> bool:
    """Tell whether the packages that a backend needs are installed, without importing them.

    Args:
        name: one of `backend_names`.
    """
    return all(map(_found, _file(name).REQUIRES))


def format_of(name: str) -> str:
    """Say which of `artifact.FORMATS` a backend reads.

    Args:
        name: one of `backend_names`.
    """
    return _file(name).FORMAT


def profile_of(facts: RuntimeFacts) -> RuntimeProfile:
    """Say what a runtime takes for a call of the network, and how many views are best in one.

    Figures are of processors; other devices, and a runtime that states none, get the largest of all.
    """
    stated = facts.device == "cpu" and facts.backend in registry.names(_PACKAGE)
    file = _file(facts.backend) if stated else None
    found: RuntimeProfile = getattr(file, "PROFILE", RuntimeProfile())
    return found if facts.batch is None else replace(found, batch=facts.batch)


def availability(name: str, *, devices: bool = False) -> Availability:
    """Find out whether a backend is installed and what its runtime says it can compute with.

    Args:
        name: one of `backend_names`.
        devices: also ask what its devices lack, which may load their libraries.
    """
    file, present, fault = _file(name), installed(name), None
    tell, lack = getattr(file, "providers", None), getattr(file, "missing_devices", None)
    providers: tuple[str, ...] = ()
    missing: Mapping[str, str] = {}
    if present:
        try:
            _load(name)
            providers = () if tell is None else tuple(tell())
            missing = lack() if devices and lack is not None else {}
        except Exception as error:  # noqa: BLE001 - a broken installation may raise anything
            cause = error.__cause__ if isinstance(error, BackendMissing) else error
            fault = f"{type(cause).__name__}: {printable(str(cause), 1000)}"
    how = _install(file)
    return Availability(name, present, how, file.FORMAT, file.DEVICES, providers, fault, missing)


def open_backend(
    name: str, artifact: Artifact, *, device: str | int, threads: int, precision: str = "auto"
) -> Backend:
    """Open an artifact's graph in a runtime.

    Args:
        name: one of `backend_names`, in any spelling (``openvino``), or "auto": the first of them that is installed, reads a
            format that the artifact holds, has the device, and takes the graph. Each one that was
            tried before it is named, with the reason, in a warning and in `RuntimeFacts.chosen`.
        artifact: from `open_artifact`, so its files are whole.
        device: see `device.parse_device`; or the name of a backend, which then chooses the device.
        threads: for computing, at least 1.
        precision: one of `precision.PRECISIONS`; of several graphs the one for it is opened.

    Raises:
        BackendMissing: the runtime is not installed, or cannot be imported; says what to install.
        DeviceUnavailable: the device is not available; `UnknownDevice` if there is no such device.
        ArtifactError: the artifact lacks the format that the runtime reads, or a file was changed meanwhile.
        GraphRefused: no runtime that was tried takes the graph; names others that may. `WrongLabels` if
            one runs it, and the labels are wrong.
        BackendError: the runtime failed; `UnknownBackend` if there is no such backend.
        ValueError: `threads` is out of range, or the artifact holds no graph for the precision.

    For "auto" the error lists every backend with the reason why it cannot be used.
    """
    if not 1 <= threads <= MOST_THREADS:
        raise ValueError(f"threads is {threads}; 1 to {MOST_THREADS} were expected")
    name, spoken = _spelled(name), _spelled(str(device))
    if spoken in backend_names() and name in ("auto", spoken):
        name, device = spoken, "auto"
    artifact, arithmetic = choose_precision(precision, artifact)
    wanted = fitting(parse_device(device), arithmetic)
    if name == "auto":
        return _open_first(artifact, wanted, threads)
    _check(name, artifact, wanted)
    try:
        return _open(name, artifact, wanted, threads)
    except GraphRefused as error:
        raise type(error)(f"{error}\n{_instead(artifact, wanted, name)}") from error


@dataclass(frozen=True)
class _Failure:
    """An attempt of "auto" that did not succeed."""

    backend: str
    attempt: str  # the backend, and the device where both were chosen
    error: BackendError


def _chosen(opened: Backend, failures: Sequence[_Failure], note: str | None) -> Backend:
    """Say how a backend was chosen, and warn about those that were skipped."""
    name = opened.facts.backend
    notes = [f"backend {name}: the first installed one that runs this artifact"]
    notes += [f"backend {each.attempt}: skipped; {each.error}" for each in failures]
    notes += [] if note is None else [note]
    if failures:
        skipped = "; ".join(f"{each.attempt} was skipped: {each.error}" for each in failures)
        warn(f"{name} runs this model on {opened.facts.device}; {skipped}")
    return Noted(opened, (*notes, *opened.facts.chosen))


def _open_first(artifact: Artifact, wanted: Device, threads: int) -> Backend:
    """Try one backend after the other; what stops one may not affect the next."""
    failures: list[_Failure] = []
    for name, device in _attempts(artifact, wanted):
        attempt, note = name, None
        if device != wanted:
            attempt, note = f"{name} on {device}", f"device {device}: a GPU was found"
        try:
            opened = _open(name, artifact, device, threads)
        except (GraphRefused, DeviceUnavailable, BackendMissing) as error:
            failures.append(_Failure(name, attempt, error))
        else:
            return _chosen(opened, failures, note)
    raise _none_works(artifact, wanted, failures)


def _attempts(artifact: Artifact, wanted: Device) -> list[tuple[str, Device]]:
    """List the installed backends to try, each with the device, the one to prefer first."""
    names = [name for name in _able(artifact, wanted) if installed(name)]
    if wanted.kind != "auto" or not isinstance(gpu.find_gpu(0), gpu.Gpu):
        return [(name, wanted) for name in names]
    # The fastest on a processor is slower than any on a GPU, so every GPU is tried before.
    able = [name for name in names if any("CUDA" in each for each in availability(name).providers)]
    on_gpu = [name for name in able if "cuda" in _file(name).DEVICES]
    names.sort(key=lambda name: name in on_gpu or name not in able)
    return [
        *((name, Device("cuda")) for name in on_gpu),
        *((name, Device("cpu") if name in on_gpu else wanted) for name in names),
    ]


def _none_works(artifact: Artifact, device: Device, failures: Sequence[_Failure]) -> BackendError:
    """List every backend with the reason why it cannot be used."""
    tried = {each.backend for each in failures}
    lines = [f"{each.attempt}: {each.error}" for each in failures]
    lines += [
        f"{name}: {_unable(name, artifact, device)}"
        for name in backend_names()
        if name not in tried
    ]
    listed = "".join(f"\n- {line}" for line in lines)
    text = f"No backend can run {artifact.model.name!r} on device {device}:{listed}"
    # The failure that came last on the way from the import over the device to the graph.
    for kind in (WrongLabels, GraphRefused, DeviceUnavailable, BackendMissing):
        if any(isinstance(each.error, kind) for each in failures):
            return kind(text)
    return BackendMissing(text) if _able(artifact, device) else BackendError(text)


def _unable(name: str, artifact: Artifact, device: Device) -> str:
    """Say why a backend was not even tried."""
    file = _file(name)
    if file.FORMAT not in artifact.formats:
        return f"the model has no {file.FORMAT} graph"
    if device.kind not in ("auto", *file.DEVICES):
        return f"runs on {', '.join(file.DEVICES)}, not on {device}"
    return f"not installed; {_install(file)}"


def refusal(name: str, precision: str) -> str | None:
    """Say why an installed runtime cannot compute in a precision on this processor; None if it can.

    Args:
        name: one of `backend_names`.
        precision: one of `precision.PRECISIONS`, except "auto".

    Raises:
        BackendMissing: the runtime cannot be imported.
    """
    why = getattr(_file(name), "refusal", None)
    return None if why is None else cast("str | None", why(precision))


def _open(name: str, artifact: Artifact, device: Device, threads: int) -> Backend:
    precision = device.precision(artifact.model.precision)
    why = None if device.kind in ("cuda", "tensorrt") else refusal(name, precision)
    if why is not None:
        raise DeviceUnavailable(f"Backend {name!r} cannot compute in {precision}: {why}.")
    _load(name)
    try:
        return _file(name).open(artifact, device=device, threads=threads)
    except ImportError as error:
        raise broken(name, _file(name).EXTRA, error) from error
    except AttributeError as error:
        if not isinstance(error.obj, ModuleType):
            raise
        # A module of the runtime lacks what every release has: part of its files is missing.
        raise broken(name, _file(name).EXTRA, error) from error
    except OSError as error:
        if error.errno is not None:  # about a file, and not a shared library that does not load
            raise
        raise broken(name, _file(name).EXTRA, error) from error


def _load(name: str) -> None:
    """Import what a backend needs; raises BackendMissing if the installation is broken."""
    file = _file(name)
    load = getattr(file, "load", None)
    if load is not None:
        load()
        return
    with importing(name, file.EXTRA):
        for module in file.REQUIRES:
            importlib.import_module(module)


def _found(module: str) -> bool:
    """Tell whether a module can be imported; a folder that an uninstallation left cannot."""
    try:
        spec = importlib.util.find_spec(module)
    except ValueError:  # imported already, in an unusual way
        return True
    return spec is not None and spec.loader is not None and spec.origin is not None


def _file(name: str) -> BackendFile:
    return cast("BackendFile", registry.load(_PACKAGE, name))


def _spelled(name: str) -> str:
    """Return the backend's name that is meant: ``OpenVINO`` is ``open_vino``; others unchanged."""

    def plain(text: str) -> str:
        return re.sub(r"[-_ ]", "", text.lower())

    return next((known for known in backend_names() if plain(known) == plain(name)), name)


def _check(name: str, artifact: Artifact, device: Device) -> None:
    """Refuse what cannot work before a runtime is loaded."""
    names = backend_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, 1, 0.5)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise UnknownBackend(
            f"Backend {name!r} is unknown; known: auto, {', '.join(names)}.{hint}"
        )
    file = _file(name)
    if not installed(name):
        raise BackendMissing(
            f"Backend {name!r} needs {' and '.join(file.REQUIRES)}, not installed here. "
            f"{_install(file)}"
        )
    if device.kind not in ("auto", *file.DEVICES):
        able = [other for other in names if device.kind in _file(other).DEVICES]
        why = ", which precision tf32 is for" if device.rounding == "tf32" else ""
        raise DeviceUnavailable(
            f"Backend {name!r} runs on {', '.join(file.DEVICES)}, not on {device}{why}. "
            f"Backends that do: {', '.join(able) or 'none'}."
        )
    if refusal(name, artifact.model.precision) is None:  # else that is what `_open` says
        artifact.path(file.FORMAT)  # raises ArtifactError if the artifact has no such graph


def _able(artifact: Artifact, device: Device) -> list[str]:
    return [
        name
        for name in backend_names()
        if _file(name).FORMAT in artifact.formats and device.kind in ("auto", *_file(name).DEVICES)
    ]


def _instead(artifact: Artifact, device: Device, tried: str) -> str:
    """Say which runtimes are left to try."""
    others = [name for name in _able(artifact, device) if name != tried]
    present = [name for name in others if installed(name)]
    if present:
        return f"Installed here as well: {', '.join(present)}. Try --backend {present[0]}."
    ways = " or ".join(_install(_file(name)) for name in others)
    if not ways:
        return "No other runtime can read this model."
    return f"Another runtime may accept it: {ways}"


def _install(file: BackendFile) -> str:
    return install(file.EXTRA)
