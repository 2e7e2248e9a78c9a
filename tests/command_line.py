"""The commands as a shell runs them: a process of its own, two streams and an exit code."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Of child processes: the rooms, and all that this process finds, in whatever way it was installed.
SEARCH_PATH = os.pathsep.join(
    [*map(str, (ROOT, ROOT / "export", ROOT / "training")), *filter(None, sys.path)]
)
PACKAGE = ROOT / "fastfcn_infer"
EMBEDDED = PACKAGE / "assets" / "models" / "fastfcn-resnet18-camvid"
PHOTOGRAPH = PACKAGE / "assets" / "demo" / "street.jpg"


def python(
    *words: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python with the rooms on its path; `env` is added to this process's."""
    return subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": SEARCH_PATH, "PYTHONWARNINGS": "error", **(env or {})},
        timeout=120,
        check=False,
    )


def fastfcn(
    *words: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command ``fastfcn``."""
    return python("-m", "fastfcn_infer", *words, cwd=cwd, env=env)
