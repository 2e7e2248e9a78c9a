"""OpenVINO: runs the ONNX graph on CPUs of Intel, AMD and Arm."""

import importlib.metadata
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.errors import BackendError, GraphRefused
from fastfcn_infer.inference.cost import RuntimeProfile
from fastfcn_infer.runtime import canary
from fastfcn_infer.runtime.backend import RuntimeFacts
from fastfcn_infer.runtime.device import Device
from fastfcn_infer.runtime.loading import (
    ONCE,
    OPENVINO_TELEMETRY,
    blocked,
    bound_compiled_code,
    importing,
)
from fastfcn_infer.runtime.precision import no_bfloat16
from fastfcn_infer.runtime.signal_stack import kept_signal_stack
from fastfcn_infer.system.excerpt import excerpt, printable

# The fastest on processors (benchmarks/results/runtimes.json), so "auto" tries it first, except
# where another backend can use a GPU.
RANK = 5
FORMAT = "onnx"
DEVICES = ("cpu",)
EXTRA = "openvino"
REQUIRES = ("openvino",)
PROFILE = RuntimeProfile(batch=8, activations=1.45, weights=1.2)

_NAME = __name__.rpartition(".")[2]


def open(artifact: Artifact, *, device: Device, threads: int) -> "OpenVino":
    """Open an ONNX file; see `backend.BackendFile.open`."""
    chosen = ("device cpu: the only one this backend uses",) if device.kind == "auto" else ()
    precision = device.precision(artifact.model.precision)
    return canary.proven(
        f"OpenVINO {_version()}",
        artifact,
        precision,
        lambda: OpenVino(artifact, precision, threads, chosen),
    )


def load() -> Any:
    """Import OpenVINO; see `backend.BackendFile.load`."""
    with importing(_NAME, EXTRA), _no_telemetry():
        bound_compiled_code()
        import openvino
        import openvino.frontend
    return openvino


def providers() -> list[str]:
    """List OpenVINO's devices here; see `backend.BackendFile`."""
    openvino = load()
    with ONCE:
        return list(openvino.Core().available_devices)


def refusal(precision: str) -> str | None:
    """Say why OpenVINO cannot compute in a precision here; see `backend.BackendFile`."""
    if precision != "bf16":
        return None
    openvino, emulated = load(), no_bfloat16()
    if emulated is not None:
        return emulated
    try:
        with ONCE:
            able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    except RuntimeError as error:
        return f"OpenVINO {_version()} does not say what the processor can: {_reason(error)}"
    if "BF16" in able:
        return None
    return f"OpenVINO {_version()} says that this processor can {', '.join(able)}, and not BF16"


class OpenVino:
    """A compiled graph; threads that run it at the same time have a request each."""

    def __init__(
        self,
        artifact: Artifact,
        precision: str,
        threads: int,
        chosen: tuple[str, ...],
        calls: int = 1,
    ) -> None:
        path, model = artifact.path(FORMAT), artifact.model
        self._artifact, self._precision = artifact, precision
        self._threads, self._calls = threads, calls
        self._lock, self._closed, self._discarded = threading.Lock(), False, 0
        self._compiled = self._compile()
        self._check_names(path, model)
        port = self._compiled.inputs[0]
        self._type, self._shape = port.get_element_type().to_dtype(), port.get_partial_shape()
        # A request keeps its input and its output only; the layers' memory belongs to the graph.
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.facts = RuntimeFacts(
            backend=_NAME,
            provider="CPU",
            device="cpu",
            threads=threads,
            versions={"openvino": _version(), "numpy": np.__version__},
            chosen=chosen,
            precision=precision,
        )

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Run the graph; see `backend.Backend.run`."""
        compiled, idle, discarded = self._opened()
        if batch.dtype != self._type or not self._fits(batch.shape):
            # OpenVINO silently converts other types, and may run other shapes.
            raise BackendError(
                f"OpenVINO was given a batch {batch.shape} {batch.dtype}; the graph takes "
                f"{self._shape} {self._type}."
            )
        try:
            request = idle.get_nowait()
        except queue.Empty:
            request = compiled.create_infer_request()
        try:
            # Not `infer`: where memory is short it returns the output of an earlier run, without an error.
            # Shared, not copied: the batch lives until the run is over.
            request.start_async({0: batch}, share_inputs=True)
            request.wait()
            output: NDArray[Any] = np.array(request.get_output_tensor().data)
        except RuntimeError as error:
            with kept_signal_stack():
                self._discard(compiled)
                del compiled, request
            raise BackendError(
                f"OpenVINO failed on a batch {batch.shape} {batch.dtype}: {_reason(error)}"
            ) from error
        idle.put(request)
        if self._discarded != discarded:  # the graph failed in another thread meanwhile
            return self.run(batch)
        return output

    def _opened(self) -> tuple[Any, "queue.SimpleQueue[Any]", int]:
        """Return the graph, its requests that are not in use, and how many graphs were given up before."""
        with self._lock:
            if self._closed:
                raise BackendError("This OpenVINO model was closed; open the model again.")
            if self._compiled is None:
                self._compiled = self._compile()
            return self._compiled, self._idle, self._discarded

    def _compile(self) -> Any:
        with self._artifact.unchanged(self._artifact.graphs[FORMAT]):
            path, model = self._artifact.path(FORMAT), self._artifact.model
            return _compile(path, model, self._precision, self._threads, self._calls)

    def in_parallel(self, calls: int) -> "OpenVino":
        """Open the graph again for so many calls at a time; see `parallel_calls`."""
        return OpenVino(self._artifact, self._precision, self._threads, (), calls)

    def _discard(self, compiled: Any) -> None:
        """Give up a graph whose run failed: the next ones would compute wrongly, or end the process."""
        with self._lock:
            if self._compiled is compiled:
                self._compiled, self._idle = None, queue.SimpleQueue()
                self._discarded += 1

    def _fits(self, shape: tuple[int, ...]) -> bool:
        limits = [(axis.get_min_length(), axis.get_max_length()) for axis in self._shape]
        return len(shape) == len(limits) and all(
            low <= size and (high < 0 or size <= high)  # no upper limit is -1
            for size, (low, high) in zip(shape, limits, strict=True)
        )

    def close(self) -> None:
        """Release the graph; runs in progress still complete."""
        with kept_signal_stack(), self._lock:
            self._closed = True
            self._compiled = None
            self._idle = queue.SimpleQueue()

    def _check_names(self, path: Path, model: Model) -> None:
        # A port has several names where a conversion of types stood beside it and was taken in.
        inputs = [sorted(port.names) for port in self._compiled.inputs]
        outputs = [sorted(port.names) for port in self._compiled.outputs]
        if [model.input.name in names for names in inputs] != [True] or [
            model.output.name in names for names in outputs
        ] != [True]:
            raise BackendError(
                f"{path.name} has inputs {excerpt(inputs)} and outputs {excerpt(outputs)}; its description says "
                f"{model.input.name!r} and {model.output.name!r}. Export the checkpoint again."
            )


def _version() -> str:
    return importlib.metadata.version("openvino")


def _compile(path: Path, model: Model, precision: str, threads: int, calls: int) -> Any:
    openvino = load()
    frontend = openvino.frontend
    failures = (
        RuntimeError,
        frontend.GeneralFailure,
        frontend.InitializationFailure,
        frontend.NotImplementedFailure,
        frontend.OpConversionFailure,
        frontend.OpValidationFailure,
    )
    properties = {
        "INFERENCE_NUM_THREADS": threads,
        # Calls at a time, which share the threads.
        **({"PERFORMANCE_HINT": "LATENCY"} if calls == 1 else {"NUM_STREAMS": calls}),
        # By default it is bfloat16 on some processors. What a graph in int8 leaves in float32 stays that.
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        # Reading a compiled graph back and hashing it takes about as long as compiling it again.
        # Without a cache no file of somebody else's can be loaded from one.
        "CACHE_DIR": "",
        # What is compiled for a size of picture, oneDNN keeps (`bound_compiled_code`). OpenVINO would
        # keep another 5000 objects of each kind, several MB for each size, and be no faster.
        "CPU_RUNTIME_CACHE_CAPACITY": 0,
    }
    try:
        # Threads that open the first graphs of a process together wait for each other for ever.
        with ONCE, kept_signal_stack():
            # By name: otherwise OpenVINO offers the file to each of its readers until one takes it.
            reader = frontend.FrontEndManager().load_by_framework("onnx")
            graph = reader.convert(reader.load(str(path)))
            return openvino.Core().compile_model(graph, "CPU", properties)
    except failures as error:
        raise GraphRefused(
            f"OpenVINO refused {path.name} of {excerpt(model.name)}: {_reason(error)}"
        ) from error


@contextmanager
def _no_telemetry() -> Iterator[None]:
    """Import OpenVINO without telemetry, which is on by default.

    The only switch is a file in the user's home. If the package that reports cannot be imported
    OpenVINO does without it, so its import is blocked meanwhile; the caller holds `loading.ONCE`.
    """
    if "openvino" in sys.modules:
        yield  # imported by the user's own code, which decides about reporting
        return
    with blocked(OPENVINO_TELEMETRY):
        yield


def _reason(error: Exception) -> str:
    """Return the last line, which is the reason; those before it are places in OpenVINO's source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return printable(lines[-1], 1000) if lines else type(error).__name__
