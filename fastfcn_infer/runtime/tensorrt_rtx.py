"""TensorRT for RTX, NVIDIA's plugin for ONNX Runtime: whether it can be used, and how a session gets it.

It comes with all its libraries in one package and needs neither onnxruntime-gpu nor TensorRT. This was written
after its documentation and its authors' tests; version 0.5.0 was loaded by ONNX Runtime 1.32 on a machine without a
GPU, and no network was run: no GPU that it serves was at hand.

Source: nvidia.github.io/TensorRT-RTX-EP-ABI, the installation and integration guides and the provider options;
NVIDIA's support matrix of TensorRT for RTX.
"""

import importlib
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastfcn_infer.runtime.gpu import Gpu, compute_capability
from fastfcn_infer.runtime.loading import ONCE
from fastfcn_infer.runtime.tensorrt_profile import Profile
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.install import install

MODULE = "onnxruntime_ep_nv_tensorrt_rtx"
EXTRA = "tensorrt-rtx"
# Of GPUs: these, and those after the last. NVIDIA's matrix has 7.5; plugin 0.5.0 says that it begins with 8.6.
CAPABILITIES = ((7, 5), (8, 6), (8, 9), (12, 0))
OLDEST = (1, 24)  # of ONNX Runtime


@dataclass(frozen=True)
class Plugin:
    """The plugin, known to ONNX Runtime, and the GPU to use."""

    provider: str
    version: str
    device: Any  # onnxruntime.OrtEpDevice

    def add_to(self, options: Any, engines: Path | None, profile: Profile | None = None) -> None:
        """Let a session use it, and no other device but the processor.

        Args:
            options: of the session.
            engines: folder for the engines that it compiles; None: they are not cached.
            profile: the shapes that it compiles for when it opens the graph; None: each when it is met.
        """
        given = {} if engines is None else {"nv_runtime_cache_path": str(engines)}
        given |= {} if profile is None else profile.options("nv")
        options.add_provider_for_devices([self.device], given)


def find_plugin(onnxruntime: Any) -> Plugin | str:
    """Register the plugin with ONNX Runtime and find a GPU with it; `missing` said that nothing is missing.

    Args:
        onnxruntime: the module.

    Returns:
        The plugin; or why it cannot be used, with what to do about it.
    """
    try:
        with ONCE:
            package = importlib.import_module(MODULE)
            provider, version = str(package.get_ep_name()), str(package.__version__)
            if not _devices(onnxruntime, provider):
                library = package.get_library_path()
                onnxruntime.register_execution_provider_library(provider, library)
            devices = _devices(onnxruntime, provider)
    except Exception as error:  # noqa: BLE001 - the package and its library may raise anything
        return (
            f"its package is installed, but cannot be used ({type(error).__name__}: "
            f"{printable(str(error), 1000)}). Reinstall it: {install(EXTRA, '--force-reinstall')}"
        )
    if not devices:
        return (
            f"version {version} is installed and finds no GPU that it can use; a newer driver or version may be "
            f"needed: {install(EXTRA, '--upgrade')}"
        )
    return Plugin(provider, version, devices[0])


def missing(onnxruntime: Any, found: Gpu | None) -> str | None:
    """Say what the plugin lacks, without loading it, and what to do about it; None if nothing.

    Args:
        onnxruntime: the module.
        found: the first GPU; None if there is none, which is not said again.
    """
    faults = []
    if importlib.util.find_spec(MODULE) is None:
        faults.append(f"its package is not installed: {install(EXTRA)}")
    version = str(onnxruntime.__version__)
    parts = re.match(r"(\d+)\.(\d+)", version)
    old = parts is not None and (int(parts[1]), int(parts[2])) < OLDEST
    if old or not hasattr(onnxruntime, "register_execution_provider_library"):
        oldest = ".".join(map(str, OLDEST))
        faults.append(
            f'ONNX Runtime {version} is too old for it: pip install "onnxruntime>={oldest}", or '
            f'"onnxruntime-gpu>={oldest}", whichever is installed'
        )
    capability = None if found is None else compute_capability(0)
    if found is not None and capability is not None and not _served(capability):
        served = ", ".join(map(_written, CAPABILITIES))
        faults.append(
            f"{found.name} has compute capability {_written(capability)}, and it serves {served} and newer"
        )
    return "; ".join(faults) or None


def _served(capability: tuple[int, int]) -> bool:
    return capability in CAPABILITIES or capability > CAPABILITIES[-1]


def _written(capability: tuple[int, int]) -> str:
    return ".".join(map(str, capability))


def _devices(onnxruntime: Any, provider: str) -> list[Any]:
    return [each for each in onnxruntime.get_ep_devices() if each.ep_name == provider]
