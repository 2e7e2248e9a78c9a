"""Paddle Inference: CPUs with oneDNN, and CUDA or TensorRT if Paddle was built with them."""

import functools
import importlib.metadata
import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.artifact import FORMATS, Artifact
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.errors import ArtifactError, BackendError, DeviceUnavailable, GraphRefused
from fastfcn_infer.inference.cost import RuntimeProfile
from fastfcn_infer.runtime import canary, paddle_settings
from fastfcn_infer.runtime.backend import RuntimeFacts
from fastfcn_infer.runtime.device import Device
from fastfcn_infer.runtime.loading import ONCE, importing
from fastfcn_infer.runtime.paddle_settings import (
    SETTINGS,
    Setting,
    misfit,
    reason,
    tensorrt_shapes,
)
from fastfcn_infer.runtime.precision import no_bfloat16
from fastfcn_infer.system import heap
from fastfcn_infer.system.excerpt import excerpt
from fastfcn_infer.system.machine import cpu_budget, cpu_features
from fastfcn_infer.system.scratch import Scratch

RANK = 30
FORMAT = paddle_settings.FORMAT
DEVICES = ("cpu", "cuda", "tensorrt")
EXTRA = "paddle"
REQUIRES = ("paddle",)
PROFILE = RuntimeProfile(batch=8, activations=2.2, weights=2.0)

_NAME = __name__.rpartition(".")[2]

_CONVERTING = threading.Lock()  # the conversion for TensorRT changes modes of the whole process

# What Paddle raises; these have no common ancestor of their own.
_FAILURES = (RuntimeError, ValueError, IndexError, NotImplementedError, OSError, MemoryError)


def open(artifact: Artifact, *, device: Device, threads: int) -> "PaddleInference":
    """Open a Paddle program; see `backend.BackendFile.open`."""
    load()
    files = paddle_settings.program_files(artifact)
    if device.kind == "tensorrt":
        return _open_compiled(artifact, files, device, threads)
    opening = functools.partial(_open, artifact, files, _guard(artifact), threads=threads)
    if device.kind != "auto":
        return opening(device)
    fault = _missing(Device("cuda"))
    if fault is None:
        note = "device cuda: this Paddle has CUDA and sees a device"
        return _noted(opening(Device("cuda")), note)
    note = "device cpu: this Paddle has no CUDA, or sees no device"
    return _noted(opening(Device("cpu")), note)


def load() -> Any:
    """Import Paddle; see `backend.BackendFile.load`."""
    with importing(_NAME, EXTRA), paddle_settings.quiet_import():
        import paddle
        import paddle.inference
    return paddle


def providers() -> list[str]:
    """List what the installed Paddle can compute with; see `backend.BackendFile`."""
    paddle = load()
    return ["CPU", "CUDA"] if paddle.is_compiled_with_cuda() else ["CPU"]


def refusal(precision: str) -> str | None:
    """Say why Paddle cannot compute in a precision here; see `backend.BackendFile`."""
    if precision == "int8":
        return (
            "a graph in int8 is an ONNX file, and Paddle Inference reads Paddle's own format; OpenVINO and "
            "ONNX Runtime run it"
        )
    if precision != "bf16":
        return None
    if cpu_features() is None:
        return "this system does not say whether the processor has bfloat16; OpenVINO finds out"
    return no_bfloat16()


class PaddleInference:
    """Predictors, each in a thread of its own, which alone creates, runs and frees it.

    A predictor that several threads use mixes up their outputs, and one that moves between threads
    keeps what oneDNN prepared for each of them. Predictors share no weights either (Paddle 3.3), so there
    are as many as can compute at a time, made when they are needed, and not one for every caller.
    """

    def __init__(
        self,
        config: Callable[[], Any],
        model: Model,
        facts: RuntimeFacts,
        unchanged: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Open the first predictor.

        Args:
            config: makes Paddle's configuration.
            model: the description of the graph.
            facts: of the runtime.
            unchanged: makes the guard of a block that reads the program's files. Paddle reads them
                again for every predictor, also for the copy of one.

        Raises:
            BackendError: Paddle refuses the graph or the setting.
            ArtifactError: a file of the program was changed since it was checked.
        """
        self.facts = facts
        self._unchanged = unchanged
        self._model = model
        self._process = os.getpid()
        self._first_runs = threading.Lock()
        self._own = threading.local()
        workers = 1 if facts.device != "cpu" else max(cpu_budget().threads // facts.threads, 1)
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix=_NAME)
        try:
            self._first: Any = self._workers.submit(self._create, config).result()
        except BaseException:
            self._workers.shutdown()
            raise

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Run the graph; see `backend.Backend.run`."""
        if os.getpid() != self._process:
            raise BackendError("This Paddle model was opened before a fork; open it in the child.")
        fault = misfit(batch, self._model.input)
        if fault is not None:
            raise BackendError(f"Paddle was given a batch {batch.shape} {batch.dtype}; {fault}")
        try:
            pending = self._workers.submit(self._run, np.ascontiguousarray(batch))
        except RuntimeError as error:
            raise BackendError("This Paddle model was closed; open the model again.") from error
        # Paddle has no uint16, so a program of more than 256 classes outputs labels as int32.
        labels, found = self._model.output.name == "labels", pending.result()
        return found.astype(np.uint16) if labels and found.dtype == np.int32 else found

    def close(self) -> None:
        """Free the predictors, after the runs that have begun."""
        self._workers.shutdown()
        self._first = None

    def _create(self, config: Callable[[], Any]) -> Any:
        from paddle import inference

        try:
            # The first one sets up devices and kernels.
            with ONCE, self._unchanged():
                predictor = inference.create_predictor(config())
        except ArtifactError:  # a ValueError as well, but not Paddle's
            raise
        except _FAILURES as error:
            raise BackendError(
                f"Paddle refused {self._model.name}/{FORMATS[FORMAT]}: {reason(error)}"
            ) from error
        names = predictor.get_input_names(), predictor.get_output_names()
        if any(len(each) != 1 for each in names):
            raise BackendError(
                f"The program has inputs {excerpt(names[0])} and outputs {excerpt(names[1])}; one of each was expected. "
                "Export the checkpoint again."
            )
        self._own.predictor = predictor
        return predictor

    def _run(self, batch: NDArray[Any]) -> NDArray[Any]:
        try:
            if not hasattr(self._own, "predictor"):
                # A predictor must not run while it is copied.
                with self._first_runs:
                    with self._unchanged():
                        copy = self._first.clone()
                    self._own.predictor = copy
            predictor = self._own.predictor
            with self._first_runs if predictor is self._first else nullcontext():
                output = _output(predictor, batch)
        except ArtifactError:
            raise
        except _FAILURES as error:
            raise BackendError(
                f"Paddle failed on a batch {batch.shape} {batch.dtype}: {reason(error)}"
            ) from error
        if getattr(self._own, "shape", batch.shape) != batch.shape:
            # Paddle allocates every map anew. Batches of one shape fit where those before lay.
            heap.give_back()
        self._own.shape = batch.shape
        return output


def _output(predictor: Any, batch: NDArray[Any]) -> NDArray[Any]:
    predictor.get_input_handle(predictor.get_input_names()[0]).copy_from_cpu(batch)
    predictor.run()
    handle = predictor.get_output_handle(predictor.get_output_names()[0])
    output: NDArray[Any] = handle.copy_to_cpu()
    return output


def _guard(artifact: Artifact) -> Callable[[], AbstractContextManager[None]]:
    return lambda: artifact.unchanged(FORMATS[FORMAT], paddle_settings.WEIGHTS)


def _open(
    artifact: Artifact,
    files: tuple[Path, Path],
    unchanged: Callable[[], AbstractContextManager[None]],
    device: Device,
    threads: int,
) -> PaddleInference:
    fault = _missing(device)
    if fault is not None:
        raise DeviceUnavailable(f"Device {device} is not available: {fault}")
    precision = device.precision(artifact.model.precision)
    _set_flags(paddle_settings.process_flags(device.kind, precision))
    version = importlib.metadata.version(_wheels()[0])
    facts = RuntimeFacts(
        backend=_NAME,
        provider="",
        device=str(device),
        threads=threads,
        versions={_wheels()[0]: version, "numpy": np.__version__},
        precision=precision,
    )

    def start(setting: str, configure: Setting) -> Callable[[], PaddleInference]:
        own = replace(facts, provider=setting)
        return lambda: PaddleInference(
            lambda: configure(_config(files, threads), device.index),
            artifact.model,
            own,
            unchanged,
        )

    runtime = f"Paddle Inference {version} on {device}"
    known, safest = SETTINGS[device.kind], None
    if precision == "bf16":
        known, safest = dict([paddle_settings.BFLOAT16]), start(*paddle_settings.SAFEST)
    settings = {setting: start(setting, configure) for setting, configure in known.items()}
    _, opened, notes = canary.first_right(
        runtime, artifact, settings, precision=precision, safest=safest
    )
    opened.facts = replace(opened.facts, chosen=notes)
    return opened


def _open_compiled(
    artifact: Artifact, files: tuple[Path, Path], device: Device, threads: int
) -> PaddleInference:
    # Not cached: the compiled program names its engines by their paths.
    # This user's alone, and locked, which keeps the system's cleaning of temporary folders away.
    scratch = Scratch(Path(tempfile.mkdtemp(prefix="fastfcn-tensorrt-")))
    try:
        fault = _missing(device)
        if fault is not None:
            raise DeviceUnavailable(f"Device {device} is not available: {fault}")
        with _guard(artifact)():
            compiled = _compiled(files, artifact.model, scratch.folder)
        opened = _open(artifact, compiled, nullcontext, device, threads)
    except BaseException:
        scratch.remove()
        raise
    weakref.finalize(opened, scratch.remove)
    return opened


def _noted(opened: PaddleInference, note: str) -> PaddleInference:
    opened.facts = replace(opened.facts, chosen=(note, *opened.facts.chosen))
    return opened


def _set_flags(flags: Mapping[str, bool]) -> None:
    paddle = load()
    for name, value in flags.items():
        with suppress(ValueError):  # this build has no such flag
            paddle.set_flags({name: value})


def _config(files: tuple[Path, Path], threads: int) -> Any:
    from paddle import inference

    config = inference.Config(*map(os.fspath, files))
    config.disable_glog_info()
    config.disable_gpu()
    config.set_cpu_math_library_num_threads(threads)
    # Not enable_memory_optim: Paddle 3.3.1 fails on it.
    return config


def _compiled(files: tuple[Path, Path], model: Model, folder: Path) -> tuple[Path, Path]:
    """Compile a program for TensorRT; this takes minutes."""
    load()
    try:
        from paddle import tensorrt
    except ImportError as error:
        raise DeviceUnavailable(
            f"Device tensorrt is not available: Paddle does not find TensorRT ({error}). Install the "
            'version that Paddle was built with, pip install tensorrt, or use device="cuda".'
        ) from error
    smallest, usual, largest = tensorrt_shapes(model.input)
    shown = tensorrt.Input(
        min_input_shape=smallest,
        optim_input_shape=usual,
        max_input_shape=largest,
        input_data_type="float32" if model.input.name == "image" else "uint8",
    )
    config = tensorrt.TensorRTConfig(inputs=[shown])
    config.save_model_dir = os.fspath(folder / files[0].stem)
    if model.precision == "fp16":
        config.precision_mode = tensorrt.PrecisionMode.FP16  # otherwise computed in float32
    try:
        with _CONVERTING:
            tensorrt.convert(os.fspath(files[0].with_suffix("")), config)
    except _FAILURES as error:
        raise GraphRefused(f"TensorRT refused {files[0]}: {reason(error)}") from error
    return folder / files[0].name, folder / files[1].name


def _missing(device: Device) -> str | None:
    if device.kind == "cpu":
        return None
    paddle = load()
    wheels = [f"{wheel} {importlib.metadata.version(wheel)}" for wheel in _wheels()]
    if not paddle.is_compiled_with_cuda():
        return paddle_settings.diagnose(wheels, None, 0, device.index)
    libraries = f"CUDA {paddle.version.cuda()} and cuDNN {paddle.version.cudnn()}"
    count = paddle.device.cuda.device_count()
    return paddle_settings.diagnose(wheels, libraries, count, device.index)


def _wheels() -> list[str]:
    return sorted(set(importlib.metadata.packages_distributions().get("paddle", ("paddle",))))
