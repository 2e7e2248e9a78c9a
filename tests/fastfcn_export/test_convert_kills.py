import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import fastfcn_export
from exports import save_checkpoint, tensors_of
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.checked_file import hash_file

ROOT = Path(fastfcn_export.__file__).parents[2]
KILLS = 12

pytestmark = [
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL"),
    pytest.mark.slow,  # a dozen processes are started, killed, and started again
]


def start(checkpoint: Path, folder: Path) -> "subprocess.Popen[bytes]":
    path = os.pathsep.join([str(ROOT), str(ROOT / "export")])
    options = ["--force", "--verify", "off", "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "fastfcn_export", str(checkpoint), "-o", str(folder), *options],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
    )


def partial_folders(folder: Path) -> set[str]:
    return {path.name for path in folder.parent.glob(".*.partial")}


def wait_until_it_writes(process: "subprocess.Popen[bytes]", folder: Path, old: set[str]) -> None:
    # `old` are those that killed processes left behind.
    while process.poll() is None and not partial_folders(folder) - old:
        time.sleep(0.001)


def test_a_kill_at_any_moment_leaves_the_old_artifact_or_the_new(tmp_path: Path) -> None:
    checkpoints = []
    for case in ("wuhuikai_fcn", "wuhuikai_jpu_x"):
        (tmp_path / case).mkdir()
        checkpoints.append(save_checkpoint(tmp_path / case, "wuhuikai", tensors_of(case)))
    expected = {hash_file(path).sha256: path for path in checkpoints}
    folder = tmp_path / "artifacts" / "out"
    assert start(checkpoints[0], folder).wait(60) == 0
    process = start(checkpoints[0], folder)
    wait_until_it_writes(process, folder, set())
    began = time.monotonic()
    assert process.wait(60) == 0
    usual = time.monotonic() - began  # on this machine, however busy it is
    moments, killed, seen = random.Random(5), 0, set()
    for turn in range(10 * KILLS):
        old = partial_folders(folder)
        process = start(checkpoints[turn % 2], folder)
        wait_until_it_writes(process, folder, old)
        time.sleep(moments.random() * 1.5 * usual)  # some of the moments lie behind the end
        process.kill()
        killed += process.wait(60) == -signal.SIGKILL
        # Opening checks the size and the hash of every file, and the graph's own description.
        manifest = open_artifact(folder).manifest
        assert manifest is not None
        seen.add(manifest.source.sha256)
        if killed >= KILLS and len(seen) == 2:
            break
    assert killed >= KILLS
    assert seen == set(expected)
    assert start(checkpoints[0], folder).wait(60) == 0
    left = open_artifact(folder).manifest
    assert left is not None
    assert expected[left.source.sha256] == checkpoints[0]
