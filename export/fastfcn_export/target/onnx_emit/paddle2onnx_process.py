"""Convert a Paddle program to ONNX with paddle2onnx, in a separate process.

paddle2onnx pins an old onnx, and a program that it cannot digest can end the process it runs in; so
it is never imported here. It may live in this environment, or in another one whose command
``paddle2onnx`` is on the PATH.
"""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

from fastfcn_infer.errors import BackendError, BackendMissing
from fastfcn_infer.system.excerpt import listing, printable
from fastfcn_infer.system.install import install

OPSET = 17
_MINUTES = 30
_LAST_WORDS = 12  # lines of what the converter said that a message repeats


def convert(model: Path, params: Path, onnx_file: Path) -> None:
    """Convert a program.

    Args:
        model: a ``.json`` (Paddle 3) or ``.pdmodel`` (Paddle 2).
        params: its ``.pdiparams``.
        onnx_file: is written.

    Raises:
        BackendMissing: paddle2onnx is neither installed here nor on the PATH.
        BackendError: it failed; repeats what it said.
    """
    arguments = {
        "--model_dir": str(model.parent),
        "--model_filename": model.name,
        # Joined to the folder by paddle2onnx; an absolute path stays what it is.
        "--params_filename": str(params.resolve()),
        "--save_file": str(onnx_file),
        "--opset_version": str(OPSET),
        # Its optimisers install packages unasked; runtimes optimise by themselves.
        "--optimize_tool": "None",
    }
    command = [*_command(), *(part for pair in arguments.items() for part in pair)]
    said = _run(command, f"convert {model}")
    # It logs its failures and may end with 0 all the same: the file decides.
    if not onnx_file.is_file() or onnx_file.stat().st_size == 0:
        raise BackendError(f"paddle2onnx could not convert {model}; it said:\n{said}")


def version() -> str:
    """Ask paddle2onnx for its version, which starts it once.

    Raises:
        BackendMissing: paddle2onnx is neither installed here nor on the PATH.
        BackendError: it does not start.
    """
    said = _run([*_command(), "--version"], "start")
    found = re.search(r"paddle2onnx-(\S+)", said)
    return found[1] if found else "unknown"


def available() -> bool:
    """Tell whether paddle2onnx is installed in this environment or on the PATH; nothing is run."""
    return _here() or shutil.which("paddle2onnx") is not None


def _here() -> bool:
    # It cannot even be imported without Paddle.
    return all(importlib.util.find_spec(name) for name in ("paddle2onnx", "paddle"))


def _command() -> list[str]:
    if _here():
        return [sys.executable, "-m", "paddle2onnx.command"]
    found = shutil.which("paddle2onnx")
    if found is None:
        raise BackendMissing(
            "Converting a Paddle program to ONNX needs the packages paddle2onnx and paddlepaddle, "
            f"which are not installed. Run: {install('paddle2onnx')}, best in an "
            "environment of its own (paddle2onnx pins an old onnx), and put that environment's "
            "command paddle2onnx on the PATH."
        )
    return [found]


def _run(command: list[str], purpose: str) -> str:
    """Run the command and return the last lines that it printed."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60 * _MINUTES,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackendError(f"paddle2onnx could not be run to {purpose}: {error}.") from error
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    # What it calls an error stands above the report of its own crash, if it says so at all.
    told = [line for line in lines if line.startswith("[ERROR]")] if done.returncode else []
    said = listing([printable(line, 500) for line in (told or lines)[-_LAST_WORDS:]], "\n")
    if done.returncode != 0:
        raise BackendError(
            f"paddle2onnx could not {purpose} (exit code {done.returncode}); it said:\n{said}"
        )
    return said
