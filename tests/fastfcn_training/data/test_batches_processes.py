"""Workers as processes: what they import, and that none is left when their parent ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from command_line import ROOT

SCRIPT = """\
import multiprocessing, sys, time
from pathlib import Path
import labelled_pictures
from fastfcn_training.data.batches import batches
from fastfcn_training.data.sampler import Sampler
from fastfcn_training.recipe.recipe import Augmentation

if __name__ == "__main__":
    dataset = labelled_pictures.make(Path(sys.argv[1]), 4)
    plan = Augmentation(base_size=24, crop=(20, 20))
    with batches(dataset, plan, Sampler(4, 2, seed=0), workers=2) as stream:
        next(stream)
        workers = multiprocessing.active_children()
        print(*[worker.pid for worker in workers], flush=True)
        if sys.argv[2] == "stay":
            for batch in stream:
                time.sleep(0.05)
"""


@contextmanager
def training(
    folder: Path, way: str, blocked: Path | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """Run the script in a process group of its own, as a shell would."""
    script = folder / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    rooms = [ROOT / name for name in (".", "export", "training", "tests")]
    path = os.pathsep.join(map(str, [*([blocked] if blocked else []), *rooms]))
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder), way],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that ended and whose parent is gone may wait a moment to be buried.
    status = Path(f"/proc/{pid}/stat")
    return not (status.is_file() and status.read_text().rpartition(")")[2].split()[0] == "Z")


def ends(pid: int) -> bool:
    limit = time.monotonic() + 20
    while is_running(pid):
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


def worker_pids(process: "subprocess.Popen[str]") -> list[int]:
    assert process.stdout is not None
    pids = [int(word) for word in process.stdout.readline().split()]
    assert len(pids) >= 1, process.communicate()[1]
    return pids


def test_workers_and_what_they_need_import_no_framework(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    for name in ("paddle", "torch", "onnx", "onnxruntime", "PIL"):
        (blocked / f"{name}.py").write_text(f"raise RuntimeError('{name} was imported')\n")
    with training(tmp_path, "go", blocked) as process:
        assert worker_pids(process)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")


@pytest.mark.skipif(
    sys.platform == "win32", reason="a process group gets Ctrl-C another way there"
)
def test_ctrl_c_ends_the_workers_and_only_the_parent_speaks(tmp_path: Path) -> None:
    with training(tmp_path, "stay") as process:
        pids = worker_pids(process)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGINT
        assert errors.count("Traceback") == 1
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert [pid for pid in pids if not ends(pid)] == []


@pytest.mark.skipif(sys.platform == "win32", reason="the pids are asked for in the POSIX way")
def test_workers_of_a_parent_that_was_killed_end_by_themselves(tmp_path: Path) -> None:
    with training(tmp_path, "stay") as process:
        pids = worker_pids(process)
        process.kill()
        assert [pid for pid in pids if not ends(pid)] == []
