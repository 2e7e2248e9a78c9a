"""Describe the machine and the software versions that a measurement was made with."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

from fastfcn_infer.benchmark.matrix_product import matrix_product_gflops
from fastfcn_infer.system import record
from fastfcn_infer.system.machine import cpu_features, cpu_model, versions


@dataclass(frozen=True)
class Environment:
    """Date, machine and versions of a measurement."""

    date: str  # UTC, ISO 8601
    cpu: str
    cores: int | None
    load_average_1_min: float | None
    matrix_product_gflops: float  # single precision; see `matrix_product`
    system: str
    python: str
    versions: Mapping[str, str]  # package -> version
    # Of the processor's instructions, those that matter here, see `machine.cpu_features`.
    features: tuple[str, ...] = field(default=(), metadata=record.OMITTED)


def environment(threads: int | None = None) -> Environment:
    """Describe machine and software.

    Args:
        threads: for the matrix products, which take a second or two; None: as many as NumPy starts.
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
        features=cpu_features() or (),
    )
