"""ONNX Runtime: CPU, and CUDA or TensorRT through its execution providers."""

import contextlib
import importlib.metadata
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact import Artifact
from fastfcn_infer.backend import Device, RuntimeFacts
from fastfcn_infer.errors import BackendError, DeviceUnavailable
from fastfcn_infer.manifest import Model

RANK = 10
FORMAT = "onnx"
DEVICES = ("cpu", "cuda", "tensorrt")
EXTRA = "cpu"
REQUIRES = ("onnxruntime",)

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_NAME = __name__.rpartition(".")[2]
_ERRORS_ONLY = 3  # log severity; what we need to know arrives as exceptions


def open(artifact: Artifact, *, device: Device, threads: int) -> "OnnxRuntime":
    """Open an ONNX file; see `backend.BackendFile.open`."""
    model_path, model = artifact.path(FORMAT), artifact.model
    if device.kind != "auto":
        return OnnxRuntime(model_path, model, device, threads, ())
    cpu = Device("cpu")
    if _PROVIDERS["cuda"] not in providers():
        note = "device cpu: this ONNX Runtime has no CUDA provider"
        return OnnxRuntime(model_path, model, cpu, threads, (note,))
    try:
        note = "device cuda: the CUDA provider is there"
        return OnnxRuntime(model_path, model, Device("cuda"), threads, (note,))
    except DeviceUnavailable as error:
        note = f"device cpu: CUDA did not start ({error})"
        return OnnxRuntime(model_path, model, cpu, threads, (note,))


def providers() -> list[str]:
    """List the execution providers of the installed wheel; see `backend.BackendFile`."""
    import onnxruntime

    return list(onnxruntime.get_available_providers())


class OnnxRuntime:
    """A session; ONNX Runtime lets several threads run one at a time."""

    def __init__(
        self, path: Path, model: Model, device: Device, threads: int, chosen: tuple[str, ...]
    ) -> None:
        import onnxruntime

        provider = _PROVIDERS[device.kind]
        if provider not in providers():
            raise DeviceUnavailable(_diagnosis(device))
        self._failures = _failures()
        self._session = self._open(path, device, threads)
        if provider not in self._session.get_providers():
            # ONNX Runtime goes on without the provider that was asked for, and says nothing.
            raise DeviceUnavailable(_diagnosis(device))
        self._input, self._output = model.input.name, model.output.name
        self._check_names(path)
        self.facts = RuntimeFacts(
            backend=_NAME,
            provider=provider,
            device=str(device),
            threads=threads,
            versions={"onnxruntime": onnxruntime.__version__, "numpy": np.__version__},
            chosen=chosen,
        )

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Run the graph; see `backend.Backend.run`."""
        session = self._session
        if session is None:
            raise BackendError("This ONNX Runtime session was closed; open the model again.")
        try:
            answer: NDArray[Any] = session.run([self._output], {self._input: batch})[0]
        except self._failures as error:
            raise BackendError(
                f"ONNX Runtime failed on a batch {batch.shape} {batch.dtype}: {_first_line(error)}"
            ) from error
        return answer

    def close(self) -> None:
        """Let go of the session; runs that have begun still end well."""
        self._session = None

    def _open(self, path: Path, device: Device, threads: int) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = _ERRORS_ONLY
        if device.kind != "cpu":
            _load_libraries(onnxruntime)
        try:
            return onnxruntime.InferenceSession(
                str(path), options, providers=_providers(device), enable_fallback=0
            )
        except self._failures as error:
            if device.kind != "cpu" and any(word in str(error) for word in ("CUDA", "TensorRT")):
                raise DeviceUnavailable(f"{_diagnosis(device)} {_first_line(error)}") from error
            raise BackendError(f"ONNX Runtime refused {path}: {_first_line(error)}") from error

    def _check_names(self, path: Path) -> None:
        inputs = [value.name for value in self._session.get_inputs()]
        outputs = [value.name for value in self._session.get_outputs()]
        if inputs != [self._input] or self._output not in outputs:
            raise BackendError(
                f"{path} takes {inputs} and gives {outputs}; its description says "
                f"{self._input!r} and {self._output!r}. Export the checkpoint again."
            )


def _failures() -> tuple[type[Exception], ...]:
    """Exceptions of ONNX Runtime; they have no common ancestor of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [kind for kind in vars(state).values() if isinstance(kind, type)]
    return (RuntimeError, ValueError, *(kind for kind in own if issubclass(kind, Exception)))


def _providers(device: Device) -> list[Any]:
    """Providers in order; each later one takes the layers that those before it cannot."""
    options = {"device_id": device.index}
    chain: list[Any] = [_PROVIDERS["cpu"]]
    if device.kind in ("cuda", "tensorrt"):
        chain.insert(0, (_PROVIDERS["cuda"], options))
    if device.kind == "tensorrt":
        chain.insert(0, (_PROVIDERS["tensorrt"], options))
    return chain


def _load_libraries(onnxruntime: Any) -> None:
    """Find CUDA and cuDNN where pip put them; since ONNX Runtime 1.21."""
    if hasattr(onnxruntime, "preload_dlls"):
        # It prints what it does not find; whether the provider starts is checked afterwards.
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()


def _diagnosis(device: Device) -> str:
    """Say why a device is not there and how to get it."""
    owners = set(importlib.metadata.packages_distributions().get("onnxruntime", ()))
    wheels = sorted(f"{name} {importlib.metadata.version(name)}" for name in owners)
    provider = _PROVIDERS[device.kind]
    text = (
        f"Device {device} was asked for; installed: {', '.join(wheels) or 'no onnxruntime wheel'}."
    )
    if len(wheels) > 1:
        return (
            f"{text} These overwrite each other's files, and the one without a GPU may win. Remove "
            "all of them, then: pip install --force-reinstall onnxruntime-gpu"
        )
    if provider not in providers():
        names = ", ".join(name.removesuffix("ExecutionProvider") for name in providers())
        return (
            f"{text} It brings {names} and no {provider}. "
            'pip uninstall onnxruntime, then pip install "fastfcn-infer[gpu]", or take device="cpu".'
        )
    return (
        f"{text} It brings {provider}, but it did not start: the driver (see nvidia-smi), the CUDA "
        'and cuDNN libraries, or that device is missing. Install them, or take device="cpu".'
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
