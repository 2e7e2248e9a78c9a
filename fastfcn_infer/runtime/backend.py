"""What a runtime must offer: one file in `backends/` per runtime, and nothing else names it.

A file of `backends/` is a `BackendFile`: some constants and `open`. It imports its runtime inside
`open` only, so that it can be read where the runtime is not installed.
"""

import difflib
import importlib.util
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, cast

from numpy.typing import NDArray

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.errors import BackendError, BackendMissing, DeviceUnavailable, GraphRefused
from fastfcn_infer.runtime import gpu
from fastfcn_infer.system import registry

DEVICES = ("auto", "cpu", "cuda", "cuda:1", "tensorrt")  # as users type them

_PACKAGE = "fastfcn_infer.runtime.backends"
_LEVEL = 4  # of the caller of `Segmenter.from_pretrained`, seen from `_Chosen`


@dataclass(frozen=True)
class Device:
    """A device that was asked for; `index` counts the devices of a kind from 0."""

    kind: Literal["auto", "cpu", "cuda", "tensorrt"]
    index: int = 0

    def __str__(self) -> str:
        """Write it as users type it."""
        return f"{self.kind}:{self.index}" if self.index else self.kind


@dataclass(frozen=True)
class RuntimeFacts:
    """What runs the graph, for people and for reports."""

    backend: str
    provider: str  # the runtime's own name for what computes
    device: str  # never "auto"
    threads: int
    versions: Mapping[str, str]  # package -> version
    chosen: tuple[str, ...] = ()  # what "auto" decided, and why


@dataclass(frozen=True)
class Availability:
    """What a backend could do here, for people and for reports."""

    name: str
    installed: bool
    install: str  # the command that gets it
    reads: str  # a key of `artifact.FORMATS`
    devices: tuple[str, ...]  # kinds of `Device` that it knows
    providers: tuple[str, ...]  # what the installed runtime says it can compute with
    fault: str | None  # why an installed runtime cannot be imported


class Backend(Protocol):
    """A graph, opened by a runtime; may be used by several threads at a time."""

    @property
    def facts(self) -> RuntimeFacts:
        """What runs the graph."""

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Run the graph.

        Args:
            batch: float32 (N, 3, H, W) where the model's input is ``image``, uint8 (N, H, W, 3)
                where it is ``pixels``; N, H and W are free unless the model fixes them.

        Returns:
            What `manifest.Output` says; for ``logits`` float32 (N, C, ceil(H / s), ceil(W / s)).

        Raises:
            BackendError: the runtime failed, or the backend was closed.
        """

    def close(self) -> None:
        """Give back memory and threads; twice is harmless."""


class BackendFile(Protocol):
    """What a file of `backends/` offers.

    It may also offer ``providers()``: what the installed runtime can compute with, in its words.
    """

    RANK: int  # "auto" takes the lowest that can serve
    FORMAT: str  # a key of `artifact.FORMATS`
    DEVICES: tuple[str, ...]  # kinds of `Device`, without "auto"
    EXTRA: str  # pip install "fastfcn-infer[EXTRA]"
    REQUIRES: tuple[str, ...]  # top-level import names

    def open(self, artifact: Artifact, *, device: Device, threads: int) -> Backend:
        """Open a graph whose bytes were checked.

        Args:
            artifact: holds the graph in `FORMAT`, its description, and often a golden picture.
            device: of a kind in `DEVICES`, or "auto".
            threads: for computing, at least 1.

        Raises:
            GraphRefused: the runtime does not take the graph.
            DeviceUnavailable: the device cannot be had; says what is missing.
        """


def backend_names() -> tuple[str, ...]:
    """List the runtimes this package knows, installed or not, in the order "auto" tries them."""
    return tuple(sorted(registry.names(_PACKAGE), key=lambda name: (_file(name).RANK, name)))


def installed(name: str) -> bool:
    """Tell whether what a backend needs can be imported; nothing is imported.

    Args:
        name: one of `backend_names`.
    """
    return all(importlib.util.find_spec(module) for module in _file(name).REQUIRES)


def format_of(name: str) -> str:
    """Say which of `artifact.FORMATS` a backend reads.

    Args:
        name: one of `backend_names`.
    """
    return _file(name).FORMAT


def availability(name: str) -> Availability:
    """Find out whether a backend is there and what it can compute with, in its runtime's words.

    Args:
        name: one of `backend_names`.
    """
    file, there, fault = _file(name), installed(name), None
    tell = getattr(file, "providers", None)
    providers: tuple[str, ...] = ()
    if there and tell is not None:
        try:
            providers = tuple(tell())
        except (ImportError, OSError, RuntimeError) as error:  # as of missing system libraries
            fault = f"{type(error).__name__}: {error}"
    return Availability(name, there, _install(file), file.FORMAT, file.DEVICES, providers, fault)


def parse_device(text: str) -> Device:
    """Read a device as users type it.

    Args:
        text: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``tensorrt``.

    Raises:
        DeviceUnavailable: anything else.
    """
    match = re.fullmatch(r"(auto|cpu|cuda|tensorrt)|cuda:(\d{1,3})", text)
    if match is None:
        raise DeviceUnavailable(f"Device {text!r} is unknown; one of {', '.join(DEVICES)} is.")
    kind = cast("Literal['auto', 'cpu', 'cuda', 'tensorrt']", match[1] or "cuda")
    return Device(kind, int(match[2] or 0))


def open_backend(name: str, artifact: Artifact, *, device: str, threads: int) -> Backend:
    """Open an artifact's graph in a runtime.

    Args:
        name: one of `backend_names`, or "auto": the first of them that is installed, reads a
            format that the artifact holds, can serve the device, and takes the graph. One that
            refuses it is named in a warning and in `RuntimeFacts.chosen`.
        artifact: from `open_artifact`, so its files are whole.
        device: see `parse_device`.
        threads: for computing, at least 1.

    Raises:
        BackendMissing: the runtime is not installed; says what to install.
        DeviceUnavailable: the device is unknown or cannot be had.
        ArtifactError: the artifact does not hold the format that the runtime reads.
        GraphRefused: no runtime that was asked takes the graph; names others that may.
        BackendError: no such backend.
        ValueError: `threads` is less than 1.
    """
    if threads < 1:
        raise ValueError(f"threads is {threads}; at least 1 was expected")
    wanted = parse_device(device)
    names = _candidates(artifact, wanted) if name == "auto" else [_checked(name, artifact, wanted)]
    refusals: dict[str, GraphRefused] = {}
    for each in names:
        try:
            opened = _file(each).open(artifact, device=wanted, threads=threads)
        except GraphRefused as error:
            refusals[each] = error
        else:
            return _Chosen(opened, refusals) if name == "auto" else opened
    lines = (*map(str, refusals.values()), _instead(artifact, wanted, names))
    raise GraphRefused("\n".join(lines)) from refusals[names[0]]


class _Chosen:
    """A backend that also says how it was chosen."""

    def __init__(self, backend: Backend, refusals: Mapping[str, GraphRefused]) -> None:
        name = backend.facts.backend
        notes = [f"backend {name}: the first installed one that can serve this artifact"]
        notes += [f"backend {other}: not taken; {why}" for other, why in refusals.items()]
        if refusals:
            warnings.warn(
                f"{name} runs this model, because {'; '.join(map(str, refusals.values()))}.",
                RuntimeWarning,
                stacklevel=_LEVEL,
            )
        self.facts = replace(backend.facts, chosen=(*notes, *backend.facts.chosen))
        self.run = backend.run
        self.close = backend.close


def _file(name: str) -> BackendFile:
    return cast("BackendFile", registry.load(_PACKAGE, name))


def _checked(name: str, artifact: Artifact, device: Device) -> str:
    names = backend_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, 1, 0.5)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise BackendError(f"Backend {name!r} is unknown; known: auto, {', '.join(names)}.{hint}")
    file = _file(name)
    if not installed(name):
        raise BackendMissing(
            f"Backend {name!r} needs {' and '.join(file.REQUIRES)}, not installed here. "
            f"{_install(file)}"
        )
    if device.kind not in ("auto", *file.DEVICES):
        able = [other for other in names if device.kind in _file(other).DEVICES]
        raise DeviceUnavailable(
            f"Backend {name!r} runs on {', '.join(file.DEVICES)}, not on {device}. "
            f"Backends that do: {', '.join(able) or 'none'}."
        )
    artifact.path(file.FORMAT)  # an artifact without it says so before a runtime is loaded
    return name


def _able(artifact: Artifact, device: Device) -> list[str]:
    return [
        name
        for name in backend_names()
        if _file(name).FORMAT in artifact.formats and device.kind in ("auto", *_file(name).DEVICES)
    ]


def _candidates(artifact: Artifact, device: Device) -> list[str]:
    """List the installed runtimes that can serve, the one to prefer first; at least one."""
    able = _able(artifact, device)
    there = [name for name in able if installed(name)]
    if device.kind == "auto" and there and isinstance(gpu.find_gpu(0), gpu.Gpu):
        # The fastest on a processor is slower than any on a GPU.
        there.sort(
            key=lambda name: not any("CUDA" in each for each in availability(name).providers)
        )
    if there:
        return there
    if not able:
        raise BackendError(
            f"No backend reads {', '.join(artifact.formats)} on device {device}; "
            f"known: {', '.join(backend_names())}."
        )
    ways = " or ".join(_install(_file(name)) for name in able)
    raise BackendMissing(f"None of the runtimes {', '.join(able)} is installed. {ways}")


def _instead(artifact: Artifact, device: Device, tried: list[str]) -> str:
    """Say which runtimes are left to try."""
    others = [name for name in _able(artifact, device) if name not in tried]
    there = [name for name in others if installed(name)]
    if there:
        return f"Installed here as well: {', '.join(there)}. Try --backend {there[0]}."
    ways = " or ".join(_install(_file(name)) for name in others)
    return f"Another runtime may take it: {ways}" if ways else "No other runtime reads this model."


def _install(file: BackendFile) -> str:
    return f'pip install "fastfcn-infer[{file.EXTRA}]"'
