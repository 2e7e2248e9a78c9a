"""How Paddle Inference is configured on each device, and what is missing where one is not there.

Nothing of Paddle is imported here: `backends/paddle_inference.py` brings its objects.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_INSTALL = "https://www.paddlepaddle.org.cn/install/quick"
_POOL = 256  # MiB of GPU memory to begin with; it grows
_WORKSPACE = 1 << 30  # bytes that TensorRT may use while it tries layers
_SMALLEST = 3  # layers; shorter runs of them are not worth leaving Paddle for


def _onednn(config: Any, index: int) -> Any:
    config.enable_mkldnn()
    # With this pass Paddle 3.3.0 and 3.3.1 stop at the first run, and 3.2.2 computes networks that
    # resize maps 6 % to 150 % wrong.
    config.delete_pass("onednn_placement_pass")
    return config


def _plain(config: Any, index: int) -> Any:
    config.disable_mkldnn()  # Paddle turns it on unasked
    return config


def _cuda(config: Any, index: int) -> Any:
    config.enable_use_gpu(_POOL, index)
    return config


def _cuda_plain(config: Any, index: int) -> Any:
    _cuda(config, index).switch_ir_optim(False)
    return config


def _tensorrt(config: Any, index: int) -> Any:
    _cuda(config, index).enable_tensorrt_engine(
        workspace_size=_WORKSPACE,
        min_subgraph_size=_SMALLEST,
        use_static=False,  # nothing on the disk, so nothing foreign is ever loaded
        use_calib_mode=False,
    )
    return config


# Fast ones first; the last is what the canary believes where there is no golden picture.
SETTINGS: Mapping[str, Mapping[str, Callable[[Any, int], Any]]] = {
    "cpu": {"CPU, oneDNN": _onednn, "CPU": _plain},
    "cuda": {"CUDA": _cuda, "CUDA, as written": _cuda_plain},
    "tensorrt": {"TensorRT": _tensorrt},
}


def diagnose(wheels: Sequence[str], libraries: str | None, count: int, index: int) -> str | None:
    """Say why a GPU is not there and how to get it; None where it is.

    Args:
        wheels: installed distributions that bring Paddle, with their versions.
        libraries: what Paddle was built with; None: not for GPUs.
        count: devices that Paddle sees.
        index: the device that is wanted, from 0.
    """
    text = f"installed: {', '.join(wheels)}"
    get = (
        f"{_INSTALL} gives the line for your CUDA version; pip's own index has no "
        'paddlepaddle-gpu after 2.6.2. Or take device="cpu".'
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
