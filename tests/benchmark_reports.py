"""Made-up reports of benchmarks, whose figures are known without measuring anything."""

from dataclasses import replace

from fastfcn_infer.benchmark.environment import Environment
from fastfcn_infer.benchmark.report import Report, Row
from fastfcn_infer.benchmark.timing import timing

STAMP = Environment(
    date="2026-01-01T00:00:00+00:00",
    cpu="a processor",
    cores=2,
    load_average_1_min=0.5,
    matrix_product_gflops=200.0,
    system="a system",
    python="3.11.0",
    versions={"numpy": "2.0.0", "onnxruntime": "1.20.0"},
)


def row(model: str = "tiny", *, seconds: float = 0.1, runs: int = 5, batch: int = 1) -> Row:
    """A row of equal runs, the network taking nine tenths of each."""
    return Row(
        model=model,
        backend="onnx_runtime",
        provider="CPUExecutionProvider",
        device="cpu",
        precision="fp32",
        threads=2,
        size=(480, 640),
        batch=batch,
        ips=batch / seconds,
        network_ips=batch / (0.9 * seconds),
        end_to_end=timing([seconds] * runs),
        network=timing([0.9 * seconds] * runs),
        stages={"preprocess": 0.04 * seconds, "network": 0.9 * seconds, "labels": 0.06 * seconds},
        multiply_adds=9_000_000_000,
        share_of_matrix_product=0.5,
        cold_start_seconds=1.25,
        peak_memory_bytes=123_000_000,
        others_took=0.01,
    )


def report(*rows: Row) -> Report:
    """A report of some rows."""
    return Report(1, STAMP, 5.0, rows)


def slower(found: Report, factor: float) -> Report:
    """The same report from a machine that takes `factor` times as long."""
    return replace(
        found,
        rows=tuple(
            replace(
                each,
                end_to_end=timing([factor * each.end_to_end.median] * 5),
                network=timing([factor * each.network.median] * 5),
            )
            for each in found.rows
        ),
    )
