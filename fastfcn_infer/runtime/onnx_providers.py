"""The execution providers to request from ONNX Runtime, and what is missing if one does not start.

ONNX Runtime is not imported here: `backends/onnx_runtime.py` passes on what it reports.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastfcn_infer.runtime.tensorrt_profile import Profile
from fastfcn_infer.system.install import install

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_MORE = '"onnxruntime-gpu[cuda,cudnn]"'  # what the extra alone leaves to the machine


def provider_chain(
    kind: str,
    index: int,
    engines: Path | None,
    precision: str = "fp32",
    *,
    record: bool = False,
    profile: Profile | None = None,
) -> list[Any]:
    """List providers with options; each later one takes the layers that those before it cannot.

    Args:
        kind: of `device.Device`.
        index: of the GPU.
        engines: folder for the engines that TensorRT compiles; None: they are not cached.
        precision: of the arithmetic, see `precision.PRECISIONS`.
        record: runs are to be recorded as CUDA graphs.
        profile: the shapes that TensorRT compiles for when it opens the graph; None: each when it is met.
    """
    chain: list[Any] = [PROVIDERS["cpu"]]
    if kind in ("cuda", "tensorrt"):
        cuda: dict[str, Any] = {"device_id": index}
        if record:
            cuda["enable_cuda_graph"] = 1
        if precision == "fp32":
            # TensorFloat-32 has 10 bits of mantissa; a float32 network is to be computed in
            # float32. In other precisions the option would turn off the matrix units as such.
            cuda["use_tf32"] = 0
        else:
            # Without matrix units a search over all algorithms finds some that are a tenth faster; with
            # them it finds none, and takes a second or two for each shape.
            cuda["cudnn_conv_algo_search"] = "HEURISTIC"
        chain.insert(0, (PROVIDERS["cuda"], cuda))
    if kind == "tensorrt":
        # Without its option TensorRT computes half precision in float32. There is none for
        # TensorFloat-32, see `tensorrt_note`.
        options: dict[str, Any] = {"device_id": index, "trt_fp16_enable": int(precision == "fp16")}
        if precision == "int8":
            options["trt_int8_enable"] = 1
        if profile is not None:
            options |= profile.options("trt")
        if engines is not None:
            options |= {
                "trt_engine_cache_enable": 1,
                "trt_engine_cache_path": str(engines),
                "trt_timing_cache_enable": 1,
                "trt_timing_cache_path": str(engines),
            }
        chain.insert(0, (PROVIDERS["tensorrt"], options))
    return chain


def unwanted_fusions(kind: str) -> list[str] | None:
    """List the rewritings of a graph by ONNX Runtime that make it slower on a device; None if none does.

    A bias that is part of a convolution is added by cuDNN, which takes three times as long as ONNX
    Runtime's own addition. Graphs of half precision are written with additions for that reason.
    """
    return ["ConvAddFusion"] if kind == "cuda" else None


def tensorrt_note(precision: str, override: str | None) -> str | None:
    """Say how TensorRT computes a float32 graph on recent GPUs; None if in float32.

    Args:
        precision: of the graph, see `manifest.Model`.
        override: the environment's NVIDIA_TF32_OVERRIDE, which NVIDIA's libraries read once.
    """
    if precision != "fp32" or override == "0":
        return None
    return (
        "device tensorrt: TensorRT may round float32 to TensorFloat-32 (10 bits of mantissa); set "
        "NVIDIA_TF32_OVERRIDE=0 before the process starts to forbid it"
    )


def diagnose(
    kind: str, device: str, wheels: Sequence[str], available: Sequence[str], reason: str | None
) -> str:
    """Say why a device is unavailable and what to do about it.

    Args:
        kind: of the device.
        device: as it was asked for.
        wheels: installed distributions that contain ONNX Runtime, with their versions.
        available: providers of the one that is imported.
        reason: what the driver or the loader of libraries reports; None if nothing.
    """
    provider, gpu = PROVIDERS[kind], install("gpu", _MORE)
    text = f"Device {device} is not available; installed: {', '.join(wheels) or 'no onnxruntime wheel'}."
    if len(wheels) > 1:
        return (
            f"{text} These overwrite each other's files, and the one without a GPU may win. Remove "
            "all of them (pip uninstall -y onnxruntime onnxruntime-gpu), then: pip install "
            '--force-reinstall "onnxruntime-gpu[cuda,cudnn]"'
        )
    if provider not in available:
        names = ", ".join(name.removesuffix("ExecutionProvider") for name in available)
        return (
            f"{text} It has {names} and no {provider}. "
            f'pip uninstall -y onnxruntime, then {gpu}, or use device="cpu".'
        )
    text = f"{text} It has {provider}, but that did not start: "
    if reason is not None:
        text += f"{reason}. "
    else:
        text += "the driver (see nvidia-smi), the libraries, or that device is missing. "
    if kind == "tensorrt":
        return (
            f"{text}CUDA and cuDNN: {gpu}. TensorRT: NVIDIA's pip install tensorrt, of the "
            'version that ONNX Runtime names for this release. Or use device="cuda" or "cpu".'
        )
    return f'{text}CUDA and cuDNN: {gpu}; the driver comes from NVIDIA. Or use device="cpu".'


def diagnose_tensorrt(own: str, driver: str | None, plugin: str | None) -> str:
    """Say what each form of TensorRT lacks.

    Args:
        own: from `diagnose`: what ONNX Runtime's own provider lacks.
        driver: why there is no GPU; None if there is one.
        plugin: what TensorRT for RTX lacks; None: nothing but the GPU.
    """
    lines = [own]
    if driver is not None and driver not in own:
        lines.append(f"Whichever form of TensorRT is installed, it needs a GPU, and {driver}.")
    lacks = "nothing is missing but the GPU" if plugin is None else plugin
    lines.append(
        "TensorRT for RTX, a plugin for ONNX Runtime that needs neither onnxruntime-gpu nor TensorRT: "
        f"{lacks}."
    )
    return "\n".join(lines)
