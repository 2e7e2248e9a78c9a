"""On which machine and with which versions something was measured or went wrong."""

import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "fastfcn-infer",
    "numpy",
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "paddlepaddle",
    "paddlepaddle-gpu",
    "onnx",
    "safetensors",
    "pillow",
    "torch",
)


@dataclass(frozen=True)
class Environment:
    """The stamp of a measurement."""

    date: str  # UTC, ISO 8601
    cpu: str
    cores: int | None
    load_average_1_min: float | None
    matrix_product_gflops: float  # NumPy's, single precision, all its threads
    system: str
    python: str
    versions: Mapping[str, str]  # package -> version


def environment() -> Environment:
    """Describe machine and software; measures the matrix product, which takes about a second."""
    return Environment(
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        cpu=cpu_model(),
        cores=os.cpu_count(),
        load_average_1_min=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        matrix_product_gflops=round(matrix_product_gflops(), 1),
        system=platform.platform(),
        python=platform.python_version(),
        versions=versions(),
    )


def cpu_model() -> str:
    """Name the processor, as far as the system tells."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """List the versions of those packages that are installed and matter to us."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def matrix_product_gflops(sizes: tuple[int, ...] = (1536, 1792, 2048), repeats: int = 4) -> float:
    """Measure the machine's single-precision matrix product, NumPy's BLAS, all its threads.

    The best of several sizes and repeats, in 10^9 floating-point operations per second: a measure
    for what a network of convolutions can reach here, and a check that two runs of a benchmark
    were made on equally fast machines. A runtime's own product may be faster than NumPy's.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    best = 0.0
    for size in sizes:
        left, right = rng.random((2, size, size), dtype=np.float32)
        out = np.empty_like(left)
        for _ in range(repeats):
            start = time.perf_counter()
            np.matmul(left, right, out=out)
            best = max(best, 2e-9 * size**3 / (time.perf_counter() - start))
    return best
