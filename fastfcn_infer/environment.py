"""On which machine and with which versions something was measured or went wrong."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from fastfcn_infer.matrix_product import matrix_product_gflops

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
    matrix_product_gflops: float  # single precision; see `matrix_product`
    system: str
    python: str
    versions: Mapping[str, str]  # package -> version


def environment(threads: int | None = None) -> Environment:
    """Describe machine and software.

    Args:
        threads: of the matrix products, which take a second or two; None: as many as NumPy starts.
    """
    return Environment(
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        cpu=cpu_model(),
        cores=os.cpu_count(),
        load_average_1_min=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        matrix_product_gflops=round(matrix_product_gflops(threads), 1),
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
