"""Measure this machine's matrix product in bfloat16 and in 8-bit integers, with OpenVINO.

    python -m fastfcn_infer.benchmark.low_precision_product bf16 2

prints the rate with two threads as JSON; NumPy has neither precision. A chain of products is one graph, so
that the conversion of its input and output is a small part; it counts only if the runtime says that every
product was computed in the precision asked for.
"""

import importlib
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastfcn_infer.benchmark.own_process import last_line, run_module
from fastfcn_infer.errors import BackendMissing
from fastfcn_infer.system import record, registry
from fastfcn_infer.system.excerpt import printable

SIZE = 2048  # rows and columns
PRODUCTS = 4  # in the chain
REPEATS = 8

_BACKENDS, _NAME = "fastfcn_infer.runtime.backends", "open_vino"
_COMPUTED_IN = {"bf16": ("bf16",), "int8": ("i8", "u8")}  # as OpenVINO names them
_TIME_LIMIT = 120  # seconds


@dataclass(frozen=True)
class Product:
    """The rate of matrix products in a precision.

    Args:
        precision: of the arithmetic, as `RuntimeFacts.precision` names it.
        gflops: 10^9 operations a second, a multiplication and an addition being two; None: not measured.
        note: what computed it, or why it was not measured.
    """

    precision: str
    gflops: float | None
    note: str


def product(precision: str, threads: int) -> Product:
    """Measure the rate in a process of its own, as runtimes keep threads that would slow others.

    Args:
        precision: other than fp32, which `matrix_product` measures.
        threads: to compute with.
    """
    if precision not in _COMPUTED_IN:
        return Product(precision, None, "no library here multiplies matrices in it on a processor")
    try:
        ended = run_module(__name__, precision, str(threads), seconds=_TIME_LIMIT)
    except subprocess.TimeoutExpired:
        return Product(precision, None, f"no result within {_TIME_LIMIT} s")
    try:
        return record.from_json(Product, last_line(ended.stdout))
    except ValueError:
        said = ended.stderr.strip()[-300:]
        return Product(precision, None, f"exit code {ended.returncode}: {printable(said, 300)}")


def measure_product(
    precision: str,
    threads: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Product:
    """Measure the rate in this process: the best of several repeats.

    Raises:
        RuntimeError: OpenVINO failed.
    """
    try:
        openvino = registry.load(_BACKENDS, _NAME).load()
    except (BackendMissing, ImportError):
        return Product(precision, None, "needs OpenVINO, which is not installed")
    hint = "bf16" if precision == "bf16" else "f32"
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": hint}
    compiled = openvino.Core().compile_model(_chain(openvino, precision), "CPU", settings)
    used = _precisions(compiled)
    if not used or not used <= set(_COMPUTED_IN[precision]):
        computed = ", ".join(sorted(used)) or "something else"
        return Product(precision, None, f"OpenVINO computes in {computed} on this processor")
    request = compiled.create_infer_request()
    fed = np.random.default_rng(0).random((SIZE, SIZE), dtype=np.float32)
    operations, best = 2e-9 * PRODUCTS * SIZE**3, 0.0
    for _ in range(REPEATS):
        began = clock()
        request.infer({0: fed})
        best = max(best, operations / (clock() - began))
    return Product(precision, round(best, 1), f"OpenVINO, {PRODUCTS} products of {SIZE} x {SIZE}")


def _chain(openvino: Any, precision: str) -> Any:
    """Build the graph: matrix after matrix, for int8 each input quantised to 8 bits."""
    ops = importlib.import_module("openvino.opset13")
    rng = np.random.default_rng(1)
    given = ops.parameter([SIZE, SIZE], np.float32)
    found = given
    for _ in range(PRODUCTS):
        weights = rng.integers(-127, 128, (SIZE, SIZE), dtype=np.int8)
        if precision == "int8":
            low, high = (ops.constant(np.float32(limit)) for limit in (0, 255))
            found = ops.fake_quantize(found, low, high, low, high, 256)
            scales = ops.constant(np.full((1, SIZE), 0.01, np.float32))
            wide = ops.multiply(ops.convert(ops.constant(weights), "f32"), scales)
            found = ops.relu(ops.matmul(found, wide, False, False))
        else:
            small = weights.astype(np.float32) / np.float32(SIZE)
            found = ops.matmul(found, ops.constant(small), False, False)
    return openvino.Model([found], [given], "matrix_product")


def _precisions(compiled: Any) -> set[str]:
    """Return the precisions that a compiled graph multiplies matrices in."""
    facts = [operation.get_rt_info() for operation in compiled.get_runtime_model().get_ops()]
    return {
        str(fact["runtimePrecision"].astype(str))
        for fact in facts
        if "runtimePrecision" in fact
        and "layerType" in fact
        and fact["layerType"].astype(str) in ("FullyConnected", "MatMul")
    }


if __name__ == "__main__":
    measured = measure_product(sys.argv[1], int(sys.argv[2]))
    sys.stdout.write(record.to_json(measured, indent=None) + "\n")
