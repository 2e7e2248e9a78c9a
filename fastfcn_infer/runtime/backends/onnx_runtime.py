"""ONNX Runtime: CPU, and CUDA or TensorRT through its execution providers."""

import contextlib
import importlib.metadata
import os
import platform
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.errors import BackendError, DeviceUnavailable, DownloadError, GraphRefused
from fastfcn_infer.inference.cost import RuntimeProfile
from fastfcn_infer.runtime import canary, gpu
from fastfcn_infer.runtime.backend import RuntimeFacts
from fastfcn_infer.runtime.cuda_graphs import MOST_RECORDINGS, CudaGraphs
from fastfcn_infer.runtime.device import Device
from fastfcn_infer.runtime.engine_cache import Engines, UnsafeCacheError
from fastfcn_infer.runtime.loading import forbid_onnx_runtime_telemetry, importing
from fastfcn_infer.runtime.onnx_providers import (
    PROVIDERS,
    diagnose,
    diagnose_tensorrt,
    provider_chain,
    tensorrt_note,
    unwanted_fusions,
)
from fastfcn_infer.runtime.onnx_start import FATAL_ONLY, load_libraries, quiet
from fastfcn_infer.runtime.precision import no_bfloat16, no_products_of_bytes
from fastfcn_infer.runtime.tensorrt_profile import Profile, planned_profile
from fastfcn_infer.runtime.tensorrt_rtx import Plugin, find_plugin, missing
from fastfcn_infer.system.cache import cache_folder
from fastfcn_infer.system.excerpt import excerpt, printable
from fastfcn_infer.system.warn import warn

RANK = 10
FORMAT = "onnx"
DEVICES = ("cpu", "cuda", "tensorrt")
EXTRA = "cpu"
REQUIRES = ("onnxruntime",)
PROFILE = RuntimeProfile(batch=8, activations=1.5, weights=0.0)

_NAME = __name__.rpartition(".")[2]
_ARM_BFLOAT16 = "mlas.enable_gemm_fastmath_arm64_bfloat16"
# Without VNNI products of int8 are summed up in 16 bits, which overflow, unless this is set; with VNNI it
# takes twice the time for nothing. Source: onnxruntime_session_options_config_keys.h; measured.
_NO_OVERFLOW = "session.x64quantprecision"

_CLOSED = "This ONNX Runtime session was closed; open the model again."
# What a session says that cannot be recorded as a CUDA graph: some layer is not on the GPU.
_NOT_RECORDABLE = "graph capture"


def open(artifact: Artifact, *, device: Device, threads: int) -> "OnnxRuntime":
    """Open an ONNX file; see `backend.BackendFile.open`."""
    if device.kind == "cpu":
        return canary.proven(
            f"ONNX Runtime {load().__version__}",
            artifact,
            device.precision(artifact.model.precision),
            lambda: OnnxRuntime(artifact, device, threads, ()),
        )
    if device.kind != "auto":
        return OnnxRuntime(artifact, device, threads, ())
    cpu = Device("cpu")
    if PROVIDERS["cuda"] not in providers():
        note = "device cpu: this ONNX Runtime has no CUDA provider"
        return OnnxRuntime(artifact, cpu, threads, (note,))
    try:
        note = "device cuda: this ONNX Runtime has the CUDA provider"
        return OnnxRuntime(artifact, Device("cuda"), threads, (note,))
    except DeviceUnavailable as error:
        note = f"device cpu: CUDA did not start ({error})"
        return OnnxRuntime(artifact, cpu, threads, (note,))


def load() -> Any:
    """Import ONNX Runtime; see `backend.BackendFile.load`."""
    with importing(_NAME, EXTRA):
        forbid_onnx_runtime_telemetry()
        import onnxruntime
        import onnxruntime.capi.onnxruntime_pybind11_state
    return onnxruntime


def providers() -> list[str]:
    """List the execution providers of the installed wheel; see `backend.BackendFile`."""
    return list(load().get_available_providers())


def refusal(precision: str) -> str | None:
    """Say why ONNX Runtime cannot compute in a precision here; see `backend.BackendFile`."""
    if precision != "bf16":
        return None
    if sys.platform == "linux" and platform.machine() == "aarch64":
        return no_bfloat16()
    return (
        "ONNX Runtime has bfloat16 on Arm processors under Linux only; OpenVINO and Paddle Inference have it "
        f"on {platform.machine()}, too, if the processor has"
    )


class OnnxRuntime:
    """A session; ONNX Runtime lets several threads run one at the same time."""

    def __init__(
        self,
        artifact: Artifact,
        device: Device,
        threads: int,
        chosen: tuple[str, ...],
        *,
        planned: bool = True,
    ) -> None:
        """Open the graph.

        Args:
            artifact: holds it.
            device: to compute on.
            threads: for computing.
            chosen: see `RuntimeFacts`.
            planned: let TensorRT compile for the shapes that the model's procedure feeds, and no others.
        """
        onnxruntime = load()
        provider = PROVIDERS[device.kind]
        self._plugin, note = (
            _form_of_tensorrt(device) if device.kind == "tensorrt" else (None, None)
        )
        if self._plugin is not None:
            provider = self._plugin.provider
        elif provider not in providers():
            raise DeviceUnavailable(_diagnosis(device))
        self._failures = _failures()
        self._artifact, self._device = artifact, device
        planned = planned and device.kind == "tensorrt"
        self._profile = planned_profile(artifact.model) if planned else None
        self._beyond: OnnxRuntime | None = None  # for shapes that the profile does not hold
        self._opening = threading.Lock()
        precision = device.precision(artifact.model.precision)
        self._engines: Engines | None = None
        self._warned = False
        self._one_run = threading.Lock() if device.kind == "tensorrt" else contextlib.nullcontext()
        if device.kind != "cpu":
            # Asked first: without a driver ONNX Runtime prints much that explains little.
            found = gpu.find_gpu(device.index)
            if isinstance(found, str):
                raise DeviceUnavailable(_diagnosis(device, found))
            if device.kind == "tensorrt":
                self._engines, uncached = _engines(
                    artifact,
                    found,
                    onnxruntime.__version__,
                    precision,
                    self._plugin,
                    self._profile,
                )
                rounding = tensorrt_note(precision, os.environ.get("NVIDIA_TF32_OVERRIDE"))
                chosen += tuple(each for each in (note, uncached, rounding) if each is not None)
        self._graphs: CudaGraphs | None = None
        with artifact.unchanged(artifact.graphs[FORMAT]):
            self._session, record, without = self._open_best(threads)
        chosen += without
        if provider not in self._session.get_providers():
            # ONNX Runtime silently continues without the provider that was asked for.
            raise DeviceUnavailable(_did_not_start(device, self._plugin))
        self._input, self._output = artifact.model.input.name, artifact.model.output.name
        self._check_names(artifact.path(FORMAT))
        if device.kind == "cuda":
            self._graphs = CudaGraphs(
                onnxruntime,
                self._session,
                self._output,
                device.index,
                self._failures,
                MOST_RECORDINGS if record else 0,
            )
        self.facts = RuntimeFacts(
            backend=_NAME,
            provider=provider,
            device=str(device),
            threads=threads,
            versions={"onnxruntime": onnxruntime.__version__, "numpy": np.__version__},
            chosen=chosen,
            precision=precision,
        )

    def in_parallel(self, calls: int) -> "OnnxRuntime":
        """Open the graph again for so many calls at a time; see `parallel_calls`."""
        return OnnxRuntime(self._artifact, self._device, max(1, self.facts.threads // calls), ())

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Run the graph; see `backend.Backend.run`."""
        session, graphs = self._session, self._graphs
        if session is None:
            raise BackendError(_CLOSED)
        if self._profile is not None and not self._profile.holds(batch.shape):
            return self._for_others(self._profile, batch.shape).run(batch)
        output: NDArray[Any]
        try:
            if graphs is not None:
                return graphs.run(batch)
            with self._one_run:
                output = session.run([self._output], {self._input: batch})[0]
                self._keep()
        except self._failures as error:
            raise BackendError(
                f"ONNX Runtime failed on a batch {batch.shape} {batch.dtype}: {_first_line(error)}"
            ) from error
        return output

    def close(self) -> None:
        """Release the session; runs in progress still complete."""
        self._session = None
        if self._graphs is not None:
            self._graphs.close()
        with self._opening:
            if self._beyond is not None:
                self._beyond.close()
        with self._one_run:  # TensorRT may be compiling
            if self._plugin is not None:
                self._keep()  # it writes what it compiled when a session ends
            if self._engines is not None:
                self._engines.close()
                self._engines = None

    def _for_others(self, profile: Profile, shape: tuple[int, ...]) -> "OnnxRuntime":
        """Open the graph once more, for shapes that the profile does not hold."""
        with self._opening:
            if self._session is None:  # `close` would not close what is opened now
                raise BackendError(_CLOSED)
            if self._beyond is None:
                warn(
                    f"TensorRT compiled this network for {profile}, which its procedure feeds; it compiles it again for "
                    f"{'x'.join(map(str, shape))} and for others outside, which may take minutes each."
                )
                threads = self.facts.threads
                self._beyond = OnnxRuntime(
                    self._artifact, self._device, threads, (), planned=False
                )
            return self._beyond

    def _keep(self) -> None:
        # TensorRT compiles when it meets a shape, so there may be more after any run.
        if self._engines is None:
            return
        try:
            self._engines.keep()
        except OSError as error:  # a full disk costs the cache, not the result
            if not self._warned:
                self._warned = True
                warn(f"The engines that TensorRT compiled are not cached: {error}")

    def _open_best(self, threads: int) -> tuple[Any, bool, tuple[str, ...]]:
        """Open a session with CUDA graphs, or with a profile, if the runtime takes them.

        Returns:
            The session, whether it records CUDA graphs, and notes of what it did not take.
        """
        record = self._device.kind == "cuda"
        said = () if self._profile is None else (f"TensorRT: one engine for {self._profile}",)
        try:
            return self._open(threads, record=record), record, said
        except (GraphRefused, DeviceUnavailable) as error:
            if record and _NOT_RECORDABLE in str(error):
                note = "without CUDA graphs: a layer of this network runs on the processor"
            elif self._profile is not None:
                self._profile = None
                note = f"TensorRT compiles for each new shape, and not for all planned at once: {error}"
            else:
                raise
        return self._open(threads, record=False), False, (note,)

    def _open(self, threads: int, *, record: bool) -> Any:
        onnxruntime, artifact, device = load(), self._artifact, self._device
        path = artifact.path(FORMAT)
        precision = device.precision(artifact.model.precision)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = FATAL_ONLY
        if precision == "bf16":
            options.add_session_config_entry(_ARM_BFLOAT16, "1")
        elif precision == "int8" and no_products_of_bytes():
            options.add_session_config_entry(_NO_OVERFLOW, "1")
        engines = None if self._engines is None else self._engines.folder
        if device.kind != "cpu":
            load_libraries(onnxruntime)
        chain: list[Any] | None = provider_chain(
            device.kind, device.index, engines, precision, record=record, profile=self._profile
        )
        if self._plugin is not None:
            self._plugin.add_to(options, engines, self._profile)
            chain = None  # the session's options name the devices
        try:
            with contextlib.nullcontext() if device.kind == "cpu" else quiet(onnxruntime):
                return onnxruntime.InferenceSession(
                    str(path),
                    options,
                    providers=chain,
                    enable_fallback=0,
                    disabled_optimizers=unwanted_fusions(device.kind),
                )
        except self._failures as error:
            about_device = any(word in str(error) for word in ("CUDA", "TensorRT"))
            if device.kind != "cpu" and about_device and _NOT_RECORDABLE not in str(error):
                said = _did_not_start(device, self._plugin)
                raise DeviceUnavailable(f"{said} {_first_line(error)}") from error
            # While a graph is verified its folder has a temporary name, gone when people read this.
            why = _first_line(error).replace(str(path), path.name)
            raise GraphRefused(
                f"ONNX Runtime refused {path.name} of {excerpt(artifact.model.name)}: {why}"
            ) from error

    def _check_names(self, path: Path) -> None:
        inputs = [value.name for value in self._session.get_inputs()]
        outputs = [value.name for value in self._session.get_outputs()]
        if inputs != [self._input] or self._output not in outputs:
            raise BackendError(
                f"{path.name} has inputs {excerpt(inputs)} and outputs {excerpt(outputs)}; its description says "
                f"{self._input!r} and {self._output!r}. Export the checkpoint again."
            )


def _failures() -> tuple[type[Exception], ...]:
    """Exceptions of ONNX Runtime; they have no common ancestor of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [kind for kind in vars(state).values() if isinstance(kind, type)]
    return (RuntimeError, ValueError, *(kind for kind in own if issubclass(kind, Exception)))


def missing_devices() -> dict[str, str]:
    """Say why TensorRT cannot be used; see `backend.BackendFile`."""
    try:
        _form_of_tensorrt(Device("tensorrt"))
    except DeviceUnavailable as error:
        return {"tensorrt": str(error)}
    return {}


def _form_of_tensorrt(device: Device) -> tuple[Plugin | None, str | None]:
    """Choose between ONNX Runtime's own provider and the plugin.

    Returns:
        The plugin, and why it was chosen; twice None for the provider, which is preferred.

    Raises:
        DeviceUnavailable: neither can be used; says what each lacks.
    """
    onnxruntime, found = load(), gpu.find_gpu(device.index)
    there, driver = (found, None) if isinstance(found, gpu.Gpu) else (None, found)
    built_in = PROVIDERS["tensorrt"] in providers()
    if built_in:
        load_libraries(onnxruntime)
    library = _missing_library(device.kind) if built_in else None
    if there is not None and built_in and library is None:
        return None, None
    lacks = missing(onnxruntime, there)
    if there is not None and lacks is None:
        plugin = find_plugin(onnxruntime)
        if isinstance(plugin, Plugin):
            why = library or "this ONNX Runtime has no TensorRT provider of its own"
            return plugin, f"device {device}: TensorRT for RTX {plugin.version}; {why}"
        lacks = plugin
    raise DeviceUnavailable(
        diagnose_tensorrt(_diagnosis(device, library or driver), driver, lacks)
    )


def _did_not_start(device: Device, plugin: Plugin | None) -> str:
    """Say that a session was opened without its device, which ONNX Runtime does silently."""
    if plugin is None:
        return _diagnosis(device)
    return (
        f"Device {device} is not available: TensorRT for RTX {plugin.version} is installed, and did not "
        'start. It may need a newer driver (see nvidia-smi). Or use device="cpu".'
    )


def _diagnosis(device: Device, reason: str | None = None) -> str:
    """Say why a device is unavailable and what to do about it."""
    owners = set(importlib.metadata.packages_distributions().get("onnxruntime", ()))
    wheels = sorted(f"{name} {importlib.metadata.version(name)}" for name in owners)
    if reason is None and device.kind != "cpu":
        reason = _missing_library(device.kind)
    return diagnose(device.kind, str(device), wheels, providers(), reason)


def _missing_library(kind: str) -> str | None:
    """Say which library a provider needs and does not find; None if it finds all."""
    folder = Path(load().__file__).parent / "capi"
    faults = map(gpu.missing_library, folder.glob(f"*onnxruntime_providers_{kind}.*"))
    return next((fault for fault in faults if fault is not None), None)


def _engines(
    artifact: Artifact,
    found: gpu.Gpu,
    version: str,
    precision: str,
    plugin: Plugin | None = None,
    profile: Profile | None = None,
) -> tuple[Engines | None, str | None]:
    """Open the engines that TensorRT compiled for this graph on this GPU, or say why not."""
    identity = {
        "graph": artifact.sha256(artifact.graphs[FORMAT]),
        "onnxruntime": version,
        "tensorrt": gpu.library_version("nvinfer", "getInferLibVersion")
        if plugin is None
        else f"{plugin.provider} {plugin.version}",
        "gpu": found.name,
        "device": found.uuid,
        "driver": str(found.driver),
        "options": str(provider_chain("tensorrt", 0, None, precision, profile=profile)),
        "tf32": os.environ.get("NVIDIA_TF32_OVERRIDE", ""),
    }
    try:
        return Engines(cache_folder() / "engines", identity), None
    except (UnsafeCacheError, DownloadError, OSError) as error:
        return None, f"engines are compiled again each time: {error}"


def _first_line(error: Exception) -> str:
    return printable((str(error).strip() or type(error).__name__).splitlines()[0], 1000)
