"""The commands as a shell runs them: a process of its own, two streams and an exit code; their options, and what they wrote."""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
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


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """List the options of a parser and of its subcommands."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from options(below)


def content(folder: Path) -> dict[str, bytes]:
    """Read all files of a folder: path in it, with forward slashes -> bytes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
