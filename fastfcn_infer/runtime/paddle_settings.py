"""How Paddle Inference is configured on each device, and what is missing if one is unavailable.

Paddle is not imported here: `backends/paddle_inference.py` passes its objects in.
"""

import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.artifact import FORMATS, Artifact
from fastfcn_infer.artifact.manifest import Input
from fastfcn_infer.errors import ArtifactError, BackendError, GraphRefused
from fastfcn_infer.runtime.loading import ONCE, bound_compiled_code
from fastfcn_infer.system.excerpt import excerpt, printable

_INSTALL = "https://www.paddlepaddle.org.cn/install/quick"
_POOL = 256  # MiB of GPU memory to begin with; it grows
_BATCHES = (1, 1, 8)  # smallest, usual, largest
_SIDES = (33, 512, 2048)  # likewise, pixels; no smaller canvas is ever given to a network


def _onednn(config: Any, index: int) -> Any:
    config.enable_mkldnn()
    # What was prepared for the last size of picture is kept, and not for the last ten: 30 MB each.
    # Compiled code is kept apart from that (`loading.bound_compiled_code`).
    config.set_mkldnn_cache_capacity(1)
    # With this pass Paddle 3.3.0 and 3.3.1 stop at the first run, and 3.2.2 computes networks that
    # resize maps wrongly.
    config.delete_pass("onednn_placement_pass")
    return config


def _plain(config: Any, index: int) -> Any:
    config.disable_mkldnn()  # on by default
    return config


def _cuda(config: Any, index: int) -> Any:
    config.enable_use_gpu(_POOL, index)
    return config


def _cuda_plain(config: Any, index: int) -> Any:
    _cuda(config, index).switch_ir_optim(False)
    return config


def _onednn_bfloat16(config: Any, index: int) -> Any:
    _onednn(config, index).enable_mkldnn_bfloat16()
    return config


Setting = Callable[[Any, int], Any]

# Fast ones first; the last is the canary's reference for models without a golden picture.
SETTINGS: Mapping[str, Mapping[str, Setting]] = {
    "cpu": {"CPU, oneDNN": _onednn, "CPU": _plain},
    "cuda": {"CUDA": _cuda, "CUDA, as written": _cuda_plain},
    "tensorrt": {"TensorRT": _cuda},  # the program was compiled before, see `tensorrt_shapes`
}

# On processors in bfloat16, and what its output is compared with.
BFLOAT16: tuple[str, Setting] = ("CPU, oneDNN, bfloat16", _onednn_bfloat16)
SAFEST: tuple[str, Setting] = ("CPU", _plain)

_THREAD_NOTICE = ("WARNING: OMP_NUM_THREADS set to ", "PLEASE USE OMP_NUM_THREADS WISELY")


@contextmanager
def quiet_import() -> Iterator[None]:
    """Keep Paddle quiet while it is imported inside the ``with``, by one thread at a time.

    Its log lines below errors are turned off for the process by GLOG_minloglevel, which Paddle
    reads once, unless the user set that variable. The filter of its warning that it cannot compile
    extensions quickly stays: `warnings.catch_warnings` would undo what other threads do meanwhile.
    """
    with ONCE, without_thread_notice():
        os.environ.setdefault("GLOG_minloglevel", "2")
        warnings.filterwarnings("ignore", "No ccache found", UserWarning)
        bound_compiled_code()
        yield


@contextmanager
def without_thread_notice() -> Iterator[None]:
    """Drop what Paddle prints on standard error, when it is imported, if OMP_NUM_THREADS is over 1.

    It means data parallel training with a build on OpenBLAS. All else that is written inside is
    passed on in the end.
    """
    caught = io.StringIO()
    try:
        with redirect_stderr(caught):
            yield
    finally:
        lines = caught.getvalue().splitlines(keepends=True)
        others = "".join(line for line in lines if not line.startswith(_THREAD_NOTICE))
        if others and sys.stderr is not None:
            sys.stderr.write(others)


def process_flags(kind: str, precision: str) -> Mapping[str, bool]:
    """Return the flags of the process that a graph needs on a device; some builds lack them.

    Paddle rounds the convolutions of float32 networks to TensorFloat-32 (10 bits of mantissa)
    unless told otherwise; a float32 network is to be computed in float32. Half precision is
    computed by other kernels, which these flags do not concern.

    Args:
        kind: of `device.Device`.
        precision: of the arithmetic, see `precision.PRECISIONS`.

    Source: Paddle pull request 77781.
    """
    if kind == "cpu" or precision not in ("fp32", "tf32"):
        return {}
    rounds = precision == "tf32"
    return {"FLAGS_cudnn_allow_tf32": rounds, "FLAGS_cublas_allow_tf32": rounds}


def tensorrt_shapes(given: Input) -> tuple[list[int], list[int], list[int]]:
    """Return the smallest, the usual and the largest batch that TensorRT compiles a program for.

    Paddle 3 compiles a program ahead; ``enable_tensorrt_engine`` is for the programs of version 2,
    and would be ignored.
    """
    count, height, width = given.shape
    found = []
    for batch, side in zip(_BATCHES, _SIDES, strict=True):
        sides = [height or side, width or side]
        shape = [given.channels, *sides] if given.name == "image" else [*sides, 3]
        found.append([count or batch, *shape])
    return found[0], found[1], found[2]


def diagnose(wheels: Sequence[str], libraries: str | None, count: int, index: int) -> str | None:
    """Say why a GPU is unavailable and what to do about it; None if it is available.

    Args:
        wheels: installed distributions that contain Paddle, with their versions.
        libraries: what Paddle was built with; None if not for GPUs.
        count: devices that Paddle sees.
        index: the device that was asked for, from 0.
    """
    text = f"installed: {', '.join(wheels)}"
    get = (
        f"{_INSTALL} gives the line for your CUDA version; pip's own index has no "
        'paddlepaddle-gpu after 2.6.2. Or use device="cpu".'
    )
    if len(wheels) > 1:
        return (
            f"{text}. These overwrite each other's files, and the one without a GPU may win. "
            f"Remove all of them, then install paddlepaddle-gpu alone: {get}"
        )
    if libraries is None:
        return (
            f"{text}, built without CUDA. pip uninstall paddlepaddle, then install "
            f"paddlepaddle-gpu: {get}"
        )
    if count <= index:
        return (
            f"{text}, built for {libraries}, sees {count} devices and needs number {index}. "
            f"See nvidia-smi for the driver and the devices. {get}"
        )
    return None


def misfit(batch: NDArray[Any], given: Input) -> str | None:
    """Say what a graph takes if a batch does not fit; None if it does."""
    kind, axis = (np.float32, 1) if given.name == "image" else (np.uint8, 3)
    count, height, width = given.shape
    shape = (count, given.channels, height, width) if axis == 1 else (count, height, width, 3)
    # Paddle would read the bytes of another type as those of the one that it expects.
    fits = batch.dtype == kind and batch.ndim == len(shape)
    if fits and all(size in (None, got) for size, got in zip(shape, batch.shape, strict=True)):
        return None
    text = ", ".join("any" if size is None else str(size) for size in shape)
    return f"the graph takes ({text}) {np.dtype(kind)}."


def reason(error: BaseException) -> str:
    """Return what went wrong, in one line; Paddle surrounds it with stack traces and hints."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if "Error:" in line or line.startswith("(")] or lines
    found = next((line for line in told if line), type(error).__name__)
    return printable(found.partition("  (at ")[0].partition(" (at /")[0], 1000)


FORMAT = "paddle"

WEIGHTS = FORMATS[FORMAT].removesuffix(".json") + ".pdiparams"  # beside the graph


def program_files(artifact: Artifact) -> tuple[Path, Path]:
    """Return the graph and its weights.

    Args:
        artifact: holds a Paddle program; without a manifest, which lists hashes, only names can be
            checked.

    Raises:
        ArtifactError: the manifest does not list the weights.
        GraphRefused: the program is of another version than Paddle 3's.
        BackendError: there are no weights.
    """
    graph = artifact.path(FORMAT)
    if graph.suffix != ".json":
        raise GraphRefused(
            f"{graph.name} of {excerpt(artifact.model.name)} is no .json; Paddle may crash on the programs "
            "of version 2."
        )
    if artifact.manifest is None:
        weights = graph.with_suffix(Path(WEIGHTS).suffix)
        if not weights.is_file():
            raise BackendError(f"{graph} has no {weights.name} beside it, its weights.")
        return graph, weights
    if WEIGHTS not in artifact.files:
        raise ArtifactError(
            f"{artifact.folder} lists no {WEIGHTS}, the weights of {FORMATS[FORMAT]}."
        )
    return graph, artifact.files[WEIGHTS]
