"""Whatever moment a training is killed at, its last whole checkpoint can be loaded."""

import os
import subprocess
import sys

import pytest

from command_line import ROOT

pytest.importorskip("safetensors")

CHILD = """
import os, random, signal, sys, time
from pathlib import Path
sys.path[:0] = [sys.argv[2] + room for room in ("", "/export", "/training", "/tests")]
import numpy as np
from fastfcn_export.dialect.trained import Trained
from fastfcn_infer.artifact.manifest import ClassInfo
from fastfcn_training.checkpoint.files import (
    Best, Checkpoint, Progress, checkpoints, clean, load_checkpoint, open_checkpoint, save_checkpoint
)
from small_trainings import NETWORK, RECIPE

run = Path(sys.argv[1])
THIRDS = (0.3, 0.3, 0.3)

def save(iteration):
    progress = Progress(RECIPE, iteration, 1, Best(0.5, iteration // 7 * 7))
    tensors = {f"t{i}": np.full(20_000, iteration, np.float32) for i in range(5)}
    trained = Trained(1, NETWORK, (ClassInfo("x", (1, 2, 3)),), True, THIRDS, THIRDS, THIRDS, "x", iteration)
    save_checkpoint(run, Checkpoint(progress, tensors, tensors), trained, keep=2)

def train(start):
    for iteration in range(start, start + 10_000):
        save(iteration)

random.seed(11)
began = time.monotonic()
save(1)
usual = time.monotonic() - began
last, kills, torn = 1, 0, 0
while kills < 25 or ((torn < 5 or last < 10) and kills < 400):
    pid = os.fork()
    if pid == 0:
        clean(run)
        train(last + 1)
    time.sleep(2 * usual * random.random())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    kills += 1
    torn += any(path.name.startswith(".") for path in (run / "checkpoints").iterdir())
    found = [load_checkpoint(folder) for folder in checkpoints(run)]
    for checkpoint in found:
        for tensors in (checkpoint.weights, checkpoint.optimiser):
            if {float(v) for a in tensors.values() for v in a} != {checkpoint.progress.iteration}:
                sys.exit("a mixture")
    now = open_checkpoint(run).progress.iteration
    if now < last:
        sys.exit(f"iteration {last} was saved, but {now} is the last")
    last = now
if torn < 5 or last < 10:
    sys.exit(f"only {torn} of {kills} kills came in the middle of something, up to {last}")
clean(run)
names = sorted(path.name for path in (run / "checkpoints").iterdir())
sys.exit(0 if all(name.isdigit() for name in names) else f"left behind: {names}")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the child is made by forking")
def test_twenty_five_kills_in_the_middle_of_saving_never_cost_a_checkpoint(
    tmp_path: object,
) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
