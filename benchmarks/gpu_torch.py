"""What `gpu.py` measures with PyTorch: the card's matrix products, and the same network."""

import json
from collections.abc import Callable
from typing import Any

from benchmarks.gpu_settings import Found, Settings, median_of, seconds_of

NOT_RUN = "not run: PyTorch is not installed"


def machine(settings: Settings) -> Found:
    """Name the card, and measure its matrix products with PyTorch."""
    torch = _torch()
    if torch is None:
        return {"card": settings.device, "note": NOT_RUN}
    on_gpu = settings.device != "cpu"
    side, found = (8192 if on_gpu else 512), {}
    for name, dtype in (("float16", torch.float16), ("float32", torch.float32)):
        matrix = torch.randn(side, side, dtype=dtype, device=settings.device)

        def product(matrix: Any = matrix) -> None:
            matrix @ matrix
            _wait(torch, settings)

        found[name] = 2e-12 * side**3 / median_of(product, settings.seconds)
    card = torch.cuda.get_device_name(settings.index) if on_gpu else "cpu"
    return {"card": card, "teraflops": found, "torch": torch.__version__}


def eager(settings: Settings) -> Found:
    """Time the network in eager PyTorch, as its authors wrote it."""
    torch = _torch()
    if torch is None:
        return {"rows": [], "note": NOT_RUN}
    rows = []
    for name, half, tf32 in (
        ("eager PyTorch, float32", False, False),
        ("eager PyTorch, TF32", False, True),
        ("eager PyTorch, float16, channels last", True, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        rows += _torch_rows(torch, settings, name, half, lambda function: function)
    return {"rows": rows, "torch": torch.__version__}


def compiled(settings: Settings) -> Found:
    """Time it with ``torch.compile``, in float16 and channels last."""
    torch = _torch()
    if torch is None:
        return {"rows": [], "note": NOT_RUN}
    name = "torch.compile, float16, channels last"
    rows = _torch_rows(
        torch, settings, name, True, lambda function: torch.compile(function, dynamic=False)
    )
    return {"rows": rows, "torch": torch.__version__}


def _torch_rows(
    torch: Any,
    settings: Settings,
    name: str,
    half: bool,
    prepared: Callable[[Callable[[Any], Any]], Callable[[Any], Any]],
) -> list[Found]:
    from benchmarks.random_checkpoint import NETWORKS
    from benchmarks.torch_target import TorchNetwork
    from fastfcn_export.target.random_weights import random_weights

    dtype = torch.float16 if half else torch.float32
    architecture = NETWORKS[settings.network].architecture
    made = TorchNetwork(
        architecture,
        random_weights(architecture),
        align_corners=False,
        channels_last=half,
    )
    made.to(settings.device, dtype)
    function, rows = prepared(made.forward), []
    batches = sorted(settings.batches, key=lambda batch: (batch > 8, -batch))
    for batch in batches if half else [each for each in batches if each <= 8]:
        shape = (batch, 3, settings.size, settings.size)
        layout = torch.channels_last if half else torch.contiguous_format
        image = (
            torch.randn(shape, device=settings.device).to(dtype).contiguous(memory_format=layout)
        )

        def run(image: Any = image) -> None:
            with torch.no_grad():
                function(image)
            _wait(torch, settings)

        first = seconds_of(run)
        seconds = median_of(run, settings.seconds)
        rows.append(
            {"form": name, "batch": batch, "per_second": batch / seconds, "first_seconds": first}
        )
        print(json.dumps({"rows": rows}), flush=True)  # in case that the next takes too long
    return rows


def _torch() -> Any:
    """Import PyTorch; None if it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    return torch


def _wait(torch: Any, settings: Settings) -> None:
    if settings.device != "cpu":
        torch.cuda.synchronize()
