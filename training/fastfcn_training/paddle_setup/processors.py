"""CPU settings for Paddle, made before Paddle is imported.

`benchmarks/training_step.py` compares these settings with Paddle's defaults and with other settings
(`benchmarks/results/training_step.json`). The fastest on a CPU is one process for each core,
``python -m paddle.distributed.launch --nproc_per_node N``; but then the batch norms of each process
see only its own pictures, so that is left to the user.

On a GPU Paddle chooses algorithms by speed, and some of them add in no fixed order: two runs of a
recipe then differ in the last digits. ``FLAGS_cudnn_deterministic=1`` in the environment makes
cuDNN's algorithms deterministic, at some cost of time.
"""

import os
import sys
from collections.abc import MutableMapping

from fastfcn_infer.system.machine import cpu_budget, cpu_fact


def settings(processor: str, cores: int) -> dict[str, str]:
    """Choose environment variables.

    Args:
        processor: the vendor, as the operating system writes it (``AuthenticAMD``).
        cores: number that this process may use.
    """
    chosen = {"OMP_NUM_THREADS": str(cores)}  # of Paddle's matrix library; the default is 1
    if processor == "AuthenticAMD":
        # Paddle's matrix library takes a slow path on processors of other vendors than Intel.
        chosen["MKL_DEBUG_CPU_TYPE"] = "5"
    return chosen


def prepare(environment: MutableMapping[str, str] = os.environ, *, processes: int = 1) -> str:
    """Set the variables that the user has not set; returns a line that says so.

    Args:
        environment: to write to.
        processes: number on this machine, which share its cores.

    Raises:
        RuntimeError: Paddle has already been imported, so the settings would have no effect.
    """
    if "paddle" in sys.modules and environment is os.environ:
        raise RuntimeError("prepare() was called too late: Paddle has already been imported")
    chosen = settings(cpu_fact("vendor_id"), max(1, cpu_budget().threads // processes))
    new = {name: value for name, value in chosen.items() if name not in environment}
    environment.update(new)
    kept = sorted(chosen.keys() - new.keys())
    text = ", ".join(f"{name}={value}" for name, value in sorted(new.items())) or "nothing"
    return f"processors: set {text}" + (f"; left as you set it: {', '.join(kept)}" if kept else "")
