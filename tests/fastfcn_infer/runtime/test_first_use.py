"""The first use of a runtime, by eight threads at once, each time in a fresh process."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fastfcn_infer.artifact.artifact import Artifact, open_artifact, seal
from fastfcn_infer.runtime import backend
from fastfcn_infer.runtime.loading import ONCE
from models import tiny_artifact, tiny_model
from paddle_models import PADDLE, tiny_paddle

LIMIT = 120  # seconds; a process that hangs never ends, one on a busy machine is only slow

# Threads are switched as often as can be, which makes races likely.
TOGETHER = """
import sys, threading
from pathlib import Path

def together(work):
    barrier, found, faults = threading.Barrier(8), [], []

    def run(number):
        barrier.wait()
        try:
            found.append(work(number))
        except BaseException as error:
            faults.append(f"{type(error).__name__}: {error}")

    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, faults
    return found

name, folder = sys.argv[1], Path(sys.argv[2])
"""
PROVIDERS = """
from fastfcn_infer.runtime.backend import availability

found = together(lambda number: availability(name))
assert all(each == found[0] for each in found), found
assert found[0].providers, found[0].fault
"""
LOAD = """
import importlib, os, warnings

file = importlib.import_module(f"fastfcn_infer.runtime.backends.{name}")
filters, output = list(warnings.filters), sys.stdout
assert len(set(map(id, together(lambda number: file.load())))) == 1
assert all(each in warnings.filters for each in filters)
assert sys.stdout is output
assert "openvino_telemetry" not in sys.modules
"""
OPEN = """
import numpy as np
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.runtime.backend import open_backend
from models import tiny_output

def work(number):
    opened = open_backend(name, open_artifact(folder), device="cpu", threads=1)
    for _ in range(3):
        batch = np.full((1, 3, 16, 8 * (1 + number)), number, np.float32)
        np.testing.assert_allclose(opened.run(batch), tiny_output(batch, 5), rtol=1e-4, atol=1e-4)
    opened.close()
    return opened.facts.backend

assert len(set(together(work))) == 1
"""
PREDICT = """
import numpy as np

def work(number):
    import fastfcn_infer

    with fastfcn_infer.Segmenter.from_pretrained(backend=name, device="cpu", threads=1) as model:
        return model.predict(np.full((64, 96, 3), 90, np.uint8)).labels.tobytes()

assert len(set(together(work))) == 1
"""
NAMES = """
import fastfcn_infer

names = [each for each in fastfcn_infer.__all__ if each != "__version__"]
found = together(lambda number: [
    id(getattr(fastfcn_infer, each)) for each in names[number:] + names[:number]
])
assert len({tuple(sorted(each)) for each in found}) == 1
"""
INSTALLED = [each for each in backend.backend_names() if backend.installed(each)]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("artifact")
    model = tiny_model(5)
    manifest = tiny_artifact(folder, model)
    if PADDLE:
        tiny_paddle(folder, model)
    seal(folder, model, manifest.source, None, {})
    return open_artifact(folder)


def run_alone(code: str, *arguments: str | Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    found = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", TOGETHER + code]
        + [str(each) for each in arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout == ""


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("code", [PROVIDERS, LOAD], ids=["providers", "load"])
def test_eight_threads_import_a_runtime_at_once(name: str, code: str) -> None:
    run_alone(code, name, "")


@pytest.mark.parametrize("name", [*INSTALLED, "auto"])
def test_eight_threads_open_a_graph_at_once_and_run_it(name: str, artifact: Artifact) -> None:
    assert artifact.folder is not None
    if name != "auto" and backend.format_of(name) not in artifact.formats:
        pytest.skip(f"no graph in the format {backend.format_of(name)}")
    run_alone(OPEN, name, artifact.folder)


@pytest.mark.parametrize(
    "name", [*(each for each in INSTALLED if backend.format_of(each) == "onnx"), "auto"]
)
def test_eight_threads_open_the_embedded_model_at_once_and_predict(name: str) -> None:
    run_alone(PREDICT, name, "")


def test_eight_threads_use_every_public_name_first_at_once() -> None:
    run_alone(NAMES, "", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_during_an_import_in_another_thread_leaves_the_child_no_locked_lock() -> None:
    held, end = threading.Event(), threading.Event()

    def hold() -> None:
        with ONCE:
            held.set()
            end.wait(0.5)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        os._exit(0 if ONCE.acquire(timeout=10) else 1)
    end.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ONCE.acquire(timeout=10)
    ONCE.release()
