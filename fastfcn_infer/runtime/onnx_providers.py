"""Which execution providers ONNX Runtime is asked for, and what is missing where one is not there.

Nothing of ONNX Runtime is imported here: `backends/onnx_runtime.py` brings what it says.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_GPU = 'pip install "fastfcn-infer[gpu]" "onnxruntime-gpu[cuda,cudnn]"'


def provider_chain(kind: str, index: int, engines: Path | None) -> list[Any]:
    """List providers with options; each later one takes the layers that those before it cannot.

    Args:
        kind: of `backend.Device`.
        index: of the GPU.
        engines: where TensorRT may keep what it compiles; None: nowhere.
    """
    chain: list[Any] = [PROVIDERS["cpu"]]
    if kind in ("cuda", "tensorrt"):
        # TensorFloat-32 has 10 bits of mantissa; a float32 network is to be computed in float32.
        chain.insert(0, (PROVIDERS["cuda"], {"device_id": index, "use_tf32": 0}))
    if kind == "tensorrt":
        options: dict[str, Any] = {"device_id": index}
        if engines is not None:
            options |= {
                "trt_engine_cache_enable": 1,
                "trt_engine_cache_path": str(engines),
                "trt_timing_cache_enable": 1,
                "trt_timing_cache_path": str(engines),
            }
        chain.insert(0, (PROVIDERS["tensorrt"], options))
    return chain


def diagnose(
    kind: str, device: str, wheels: Sequence[str], available: Sequence[str], reason: str | None
) -> str:
    """Say why a device is not there and how to get it.

    Args:
        kind: of the device.
        device: as it was asked for.
        wheels: installed distributions that bring ONNX Runtime, with their versions.
        available: providers of the one that is imported.
        reason: what the driver or the loader of libraries says; None: nothing.
    """
    provider = PROVIDERS[kind]
    text = (
        f"Device {device} was asked for; installed: {', '.join(wheels) or 'no onnxruntime wheel'}."
    )
    if len(wheels) > 1:
        return (
            f"{text} These overwrite each other's files, and the one without a GPU may win. Remove "
            "all of them (pip uninstall -y onnxruntime onnxruntime-gpu), then: pip install "
            '--force-reinstall "onnxruntime-gpu[cuda,cudnn]"'
        )
    if provider not in available:
        names = ", ".join(name.removesuffix("ExecutionProvider") for name in available)
        return (
            f"{text} It brings {names} and no {provider}. "
            f'pip uninstall -y onnxruntime, then {_GPU}, or take device="cpu".'
        )
    text = f"{text} It brings {provider}, but it did not start: "
    if reason is not None:
        text += f"{reason}. "
    else:
        text += "the driver (see nvidia-smi), the libraries, or that device is missing. "
    if kind == "tensorrt":
        return (
            f"{text}CUDA and cuDNN: {_GPU}. TensorRT: NVIDIA's pip install tensorrt, of the "
            'version that ONNX Runtime names for this release. Or take device="cuda" or "cpu".'
        )
    return f'{text}CUDA and cuDNN: {_GPU}; the driver comes from NVIDIA. Or take device="cpu".'
