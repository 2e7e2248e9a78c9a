"""How Paddle should use this machine's processors; decided before Paddle is imported.

`benchmarks/training_step.py` measures what is chosen here against Paddle as it comes and against
other ways (`benchmarks/results/training_step.json`). Fastest on a CPU is a process for each core,
``python -m paddle.distributed.launch --nproc_per_node N``; but then each process's batch norms see
its own pictures only, so that is the user's to choose.

On a GPU Paddle chooses algorithms by their speed, and some of them add up in any order: two runs of
a recipe then differ in the last digits. With ``FLAGS_cudnn_deterministic=1`` in the environment
cuDNN's do not, at some cost of time.
"""

import os
import sys
from collections.abc import MutableMapping

from fastfcn_infer.system.machine import cpu_budget, cpu_fact


def settings(processor: str, cores: int) -> dict[str, str]:
    """Choose environment variables.

    Args:
        processor: the maker, as the operating system writes it (``AuthenticAMD``).
        cores: that this process may use.
    """
    chosen = {"OMP_NUM_THREADS": str(cores)}  # of Paddle's matrix library; its default is 1
    if processor == "AuthenticAMD":
        # Paddle's matrix library takes its slow path on processors that are not Intel's.
        chosen["MKL_DEBUG_CPU_TYPE"] = "5"
    return chosen


def prepare(environment: MutableMapping[str, str] = os.environ, *, processes: int = 1) -> str:
    """Set what the user has not set; says in one line what was chosen.

    Args:
        environment: to write into.
        processes: of the training on this machine, which share the cores.

    Raises:
        RuntimeError: Paddle was imported already, so nothing would change any more.
    """
    if "paddle" in sys.modules and environment is os.environ:
        raise RuntimeError("prepare() comes too late: Paddle has been imported already")
    chosen = settings(cpu_fact("vendor_id"), max(1, cpu_budget().threads // processes))
    new = {name: value for name, value in chosen.items() if name not in environment}
    environment.update(new)
    kept = sorted(chosen.keys() - new.keys())
    text = ", ".join(f"{name}={value}" for name, value in sorted(new.items())) or "nothing"
    return f"processors: set {text}" + (f"; left as you set it: {', '.join(kept)}" if kept else "")
