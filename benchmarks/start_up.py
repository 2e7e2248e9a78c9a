"""How long do the library and the command take to start, and what do they load for that?

    python -m benchmarks.start_up [--rounds N] [--output benchmarks/results/start_up.json]

Wall seconds of fresh processes on a warm disk, in turn with an empty Python for comparison. The
script fails if importing the package or asking for its version loads a runtime, a framework, onnx
or OpenCV.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.machine_facts import environment, laps, timing, write_results
from fastfcn_infer.benchmark.timing import OtherLoad

FORBIDDEN = ("onnx", "onnxruntime", "openvino", "paddle", "torch", "cv2")
IMPORT, VERSION, DEMO = "import fastfcn_infer", "fastfcn --version", "fastfcn demo"
CODE = {
    "python, nothing": "",
    "import numpy": "import numpy",
    IMPORT: "import fastfcn_infer",
    VERSION: "from fastfcn_infer.cli.main import main; main(['--version'])",
    DEMO: "from fastfcn_infer.cli.main import main; main(['demo'])",
}
QUICK = (IMPORT, VERSION)
TARGETS = {IMPORT: 0.3, VERSION: 0.3}  # seconds
LIST = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr));"


def run(code: str, folder: Path) -> str:
    """Run a fresh Python in `folder`; returns what it wrote to stderr.

    Raises:
        CalledProcessError: it failed.
    """
    path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stderr


def loaded(code: str, folder: Path) -> set[str]:
    """List the top-level modules that are loaded when a program ends."""
    return {name.partition(".")[0] for name in run(LIST + code, folder).split()}


def script() -> list[str] | None:
    """Find the installed command beside this Python."""
    path = Path(sys.executable).with_name("fastfcn")
    return [str(path)] if path.is_file() else None


def candidates(folder: Path) -> dict[str, Callable[[], object]]:
    """List what is timed: programs, and the installed command where there is one."""
    calls: dict[str, Callable[[], object]] = {
        name: partial(run, code, folder) for name, code in CODE.items()
    }
    command = script()
    if command is not None:
        calls["fastfcn --version, as installed"] = partial(
            subprocess.run, [*command, "--version"], check=True, capture_output=True
        )
    return calls


def forbidden(folder: Path) -> Mapping[str, list[str]]:
    """List what the quick programs load and should not."""
    return {name: sorted(loaded(CODE[name], folder) & {*FORBIDDEN}) for name in QUICK}


def main() -> int:
    """Run the benchmark; 1 if too much is loaded."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="processes of each kind")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    arguments = parser.parse_args()

    stamp = environment()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = forbidden(folder)
        other_load = OtherLoad()
        taken = laps(candidates(folder), repeats=arguments.rounds)
    results: dict[str, Any] = {
        "environment": stamp,
        "others_took": other_load.share(),
        "seconds": {name: timing(times)._asdict() for name, times in taken.items()},
        "targets": TARGETS,
        "loaded_of_the_forbidden": found,
    }
    for name, row in results["seconds"].items():
        target = f"   target {TARGETS[name]}" if name in TARGETS else ""
        quartiles = f"[{row['lower_quartile']:.3f} .. {row['upper_quartile']:.3f}]"
        print(f"{name:34}{row['median']:8.3f} s {quartiles}{target}")
    for name, modules in found.items():
        print(f"{name} loads {', '.join(modules) or 'none'} of {', '.join(FORBIDDEN)}")
    print(f"other processes took {results['others_took']} of the processors' time")
    write_results(results, arguments.output)
    return int(any(found.values()))


if __name__ == "__main__":
    sys.exit(main())
