"""Measure this machine's matrix product, an upper bound for the speed of convolutions.

    python -m fastfcn_infer.benchmark.matrix_product

prints the rate of NumPy in this process; `matrix_product_gflops` tries it with several settings.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping

from fastfcn_infer.benchmark.own_process import last_line, run_module
from fastfcn_infer.errors import BackendError
from fastfcn_infer.system.machine import cpu_fact

SIZES = (1536, 1792, 2048)  # rows and columns
REPEATS = 4  # of each size

_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_KERNEL = "OPENBLAS_CORETYPE"
_TIME_LIMIT = 120  # seconds
_NEEDED_FOR_SKYLAKE = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}


def matrix_product_gflops(threads: int | None = None) -> float:
    """Measure the machine's single-precision matrix product, in 10^9 operations per second.

    NumPy computes it, in a process of its own for each setting: with the kernels that its OpenBLAS
    chooses, and with those for AVX-512 if the processor has it. OpenBLAS recognises processors by
    name, and on one newer than itself its choice may reach only half of the machine's rate.

    Args:
        threads: to compute with; None: as many as NumPy starts.

    Raises:
        BackendError: NumPy failed in a process of its own, or gave no result in time.
    """
    set_threads = {} if threads is None else dict.fromkeys(_THREADS, str(threads))
    best = _in_a_process(set_threads)
    if _KERNEL not in os.environ and set(cpu_fact("flags").split()) >= _NEEDED_FOR_SKYLAKE:
        best = max(best, _in_a_process({**set_threads, _KERNEL: "SkylakeX"}))
    return best


def numpy_gflops() -> float:
    """Measure NumPy's matrix product in this process: the best of several sizes and repeats."""
    import numpy as np

    rng = np.random.default_rng(0)
    best = 0.0
    for size in SIZES:
        left, right = rng.random((2, size, size), dtype=np.float32)
        out = np.empty_like(left)
        for _ in range(REPEATS):
            start = time.perf_counter()
            np.matmul(left, right, out=out)
            best = max(best, 2e-9 * size**3 / (time.perf_counter() - start))
    return best


def _in_a_process(variables: Mapping[str, str]) -> float:
    failed = "cannot measure the machine's matrix product: the process that runs NumPy"
    try:
        ended = run_module(__name__, seconds=_TIME_LIMIT, variables=variables)
    except subprocess.TimeoutExpired as error:
        raise BackendError(f"{failed} gave no result within {_TIME_LIMIT} s") from error
    try:
        return float(last_line(ended.stdout))
    except ValueError as error:
        raise BackendError(
            f"{failed} ended with exit code {ended.returncode}. {ended.stderr.strip()[-1000:]}".strip()
        ) from error


if __name__ == "__main__":
    sys.stdout.write(f"{numpy_gflops()}\n")
