"""NVIDIA GPUs as the driver reports them, without any runtime."""

import ctypes
import ctypes.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"

_MAJOR, _MINOR = 75, 76  # the driver's numbers of the two parts of the compute capability


@dataclass(frozen=True)
class Gpu:
    """A device; engines compiled for one are not used on another."""

    name: str
    uuid: str  # hexadecimal
    driver: int  # the newest CUDA that the driver knows, 1000 * major + 10 * minor


def find_gpu(index: int) -> Gpu | str:
    """Find a GPU.

    Args:
        index: from 0, in the driver's order.

    Returns:
        The device, or why it is not available, as the end of a sentence.

    Source: the CUDA driver API; every function returns 0 or an error's number.
    """
    try:
        cuda = ctypes.CDLL(_DRIVER)
    except OSError:
        return f"there is no NVIDIA driver here ({_DRIVER})"
    code = cuda.cuInit(0)
    if code:
        return f"the NVIDIA driver does not start (cuInit: error {code}; see nvidia-smi)"
    count, driver, device = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name, uuid = ctypes.create_string_buffer(256), (ctypes.c_ubyte * 16)()
    cuda.cuDeviceGetCount(ctypes.byref(count))
    if index >= count.value:
        return f"the NVIDIA driver sees {count.value} devices, and number {index} was asked for"
    codes = (
        cuda.cuDriverGetVersion(ctypes.byref(driver)),
        cuda.cuDeviceGet(ctypes.byref(device), index),
        cuda.cuDeviceGetName(name, len(name), device),
        cuda.cuDeviceGetUuid(ctypes.byref(uuid), device),
    )
    if any(codes):
        return f"the NVIDIA driver does not describe its device {index} (errors {codes})"
    return Gpu(name.value.decode(errors="replace"), bytes(uuid).hex(), driver.value)


def compute_capability(index: int) -> tuple[int, int] | None:
    """Return a GPU's compute capability, such as (8, 9); None if the driver does not tell.

    Args:
        index: from 0, in the driver's order.
    """
    try:
        cuda = ctypes.CDLL(_DRIVER)
        device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        codes = (
            cuda.cuInit(0),
            cuda.cuDeviceGet(ctypes.byref(device), index),
            cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device),
            cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device),
        )
    except (OSError, AttributeError):
        return None
    return None if any(codes) else (major.value, minor.value)


def missing_library(path: Path) -> str | None:
    """Say which library a shared library needs and does not find; None if that is not its fault.

    Args:
        path: of the library that does not load.
    """
    try:
        _load(path)
    except OSError as error:
        # Other faults, such as symbols that its own loader provides, say nothing about the machine.
        text = str(error)
        return text if "cannot open shared object" in text or "Could not find" in text else None
    return None


def library_version(name: str, function: str) -> str:
    """Ask a library for its version; empty if it is absent.

    Args:
        name: without the system's prefix and suffix.
        function: takes nothing, returns an int.
    """
    file = ctypes.util.find_library(name)
    for candidate in [file] if file else [f"lib{name}.so.{major}" for major in range(8, 16)]:
        try:
            return str(getattr(ctypes.CDLL(candidate), function)())
        except (OSError, AttributeError):
            continue
    return ""


def _load(path: Path) -> Any:
    return ctypes.CDLL(str(path))
