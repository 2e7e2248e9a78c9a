"""Starting Paddle: environment first, then the import, then the device."""

import importlib
import re
import warnings
from typing import Any

from fastfcn_infer.errors import BackendMissing, DeviceUnavailable
from fastfcn_infer.runtime.paddle_settings import without_thread_notice
from fastfcn_infer.system.install import install
from fastfcn_infer.system.machine import cpu_budget
from fastfcn_infer.system.missing_package import missing_package
from fastfcn_training.paddle_setup import launch, processors

_DEVICE = re.compile(r"(?:cuda|gpu)(?::(\d+))?|(\d+)")
# Warnings that Paddle always gives and users can do nothing about.
_IGNORED_WARNINGS = (
    "No ccache found",
    "When training, we now always track global mean and variance",
)
_MOST_WORKERS = 16


def start(device: str) -> tuple[str, ...]:
    """Import Paddle and choose the device.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; ``gpu`` means ``cuda``, and N ``cuda:N``.

    Returns:
        Lines for the user that say what was chosen.

    Raises:
        ValueError: there is no such device.
        BackendMissing: Paddle or safetensors is not installed.
        DeviceUnavailable: the device does not exist.
    """
    match = _DEVICE.fullmatch(device)
    if match is None and device not in ("auto", "cpu"):
        raise ValueError(f"unknown device {device!r}; expected auto, cpu, cuda or cuda:N")
    chosen = processors.prepare(processes=launch.local_processes())
    for message in _IGNORED_WARNINGS:
        warnings.filterwarnings("ignore", message=message, category=UserWarning)
    with without_thread_notice():
        paddle = need("paddle")
    need("safetensors")
    count = paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0
    if match is None and (device == "cpu" or not count):
        paddle.set_device("cpu")
        return chosen, f"device: cpu, Paddle {paddle.__version__}"
    number = None if match is None else match[1] or match[2]
    if int(number or 0) >= count:
        raise DeviceUnavailable(
            f"device {device} is not available: this Paddle ({paddle.__version__}) "
            + (f"sees {count} GPUs" if count else "sees no GPU, or was built without CUDA")
            + ". Use --device cpu, or install paddlepaddle-gpu from Paddle's own index"
        )
    # Without a number Paddle uses the GPU that its launcher assigned to this process.
    paddle.set_device("gpu" if number is None else f"gpu:{number}")
    return chosen, f"device: {paddle.device.get_device()}, Paddle {paddle.__version__}"


def reading_workers(*, gpu: bool) -> int:
    """Choose how many processes read pictures for each training process.

    Training on a CPU needs the cores itself, and is so slow that one reader keeps up with eight
    of them.
    """
    threads = max(1, cpu_budget().threads // launch.local_processes())
    return min(_MOST_WORKERS, max(1, threads - 1 if gpu else threads // 8))


def need(name: str) -> Any:
    """Import a package that training needs.

    Raises:
        BackendMissing: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BackendMissing(
            f"training needs {missing_package(error)}. Run: {install('training')}"
        ) from error
