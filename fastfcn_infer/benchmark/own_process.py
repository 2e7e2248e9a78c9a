"""Run a module in a process of its own: what is measured there is not affected by what this process holds."""

import os
import subprocess
import sys
from collections.abc import Mapping


def run_module(
    module: str,
    *arguments: str,
    seconds: float,
    variables: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run ``python -m MODULE ARGUMENTS``, which finds all packages that this process finds.

    Args:
        module: its full name.
        arguments: of the command.
        seconds: after which the process is killed.
        variables: of its environment, besides those of this process.

    Returns:
        What it printed, whatever its exit code.

    Raises:
        TimeoutExpired: it took longer than `seconds`.
    """
    path = os.pathsep.join(entry or os.curdir for entry in sys.path)
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": path, **(variables or {})},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )


def last_line(output: str) -> str:
    """Return the last line of what a process printed: its result, as runtimes may print before it."""
    return output.rstrip().rpartition("\n")[2]
