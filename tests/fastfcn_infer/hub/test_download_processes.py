import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pooch
import pytest

from fastfcn_infer.hub import download as module
from fastfcn_infer.hub.download import download_file
from web_server import BODY, Server

SHA256 = hashlib.sha256(BODY).hexdigest()
ROOT = str(Path(module.__file__).parents[2])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("FASTFCN_OFFLINE", raising=False)
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "model.pdparams"


SCRIPT = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from pathlib import Path\n"
    "from fastfcn_infer.hub.download import download_file\n"
    "print('ready', flush=True)\n"
    "path = download_file(sys.argv[2], Path(sys.argv[3]), sha256=sys.argv[4])\n"
    "print(path.stat().st_size)\n"
)


def start(server: Server, target: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SCRIPT, ROOT, server.url(), str(target), SHA256]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout and process.stdout.readline() == "ready\n"
    return process


def finish(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    with process.stdout:
        rest = process.stdout.read()
    process.wait(60)
    return rest


def test_sixteen_threads_at_once_all_get_the_file(server: Server, target: Path) -> None:
    found: list[bytes] = []
    before = pooch.get_logger().level, list(warnings.filters)

    def get() -> None:
        found.append(download_file(server.url(), target, sha256=SHA256).read_bytes())

    threads = [threading.Thread(target=get) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [BODY] * 16
    assert (pooch.get_logger().level, list(warnings.filters)) == before
    assert list(target.parent.iterdir()) == [target]


def test_several_processes_at_once_all_get_the_file(server: Server, target: Path) -> None:
    server.faults = ["slow 0.002"] * 3
    processes = [start(server, target) for _ in range(3)]
    assert [finish(process) for process in processes] == [f"{len(BODY)}\n"] * 3
    assert target.read_bytes() == BODY
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.skipif(os.name == "nt", reason="signals are a POSIX matter")
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_download_leaves_no_file_under_the_final_name(
    server: Server, target: Path, sign: signal.Signals
) -> None:
    for wait in (0.0, 0.1, None):
        server.faults = ["slow 0.05"] * 2  # one may be used by a client that was killed before
        process = start(server, target)
        if wait is None:  # at last, a kill that surely comes after the first bytes
            while not any(part.stat().st_size for part in target.parent.glob("*")):
                time.sleep(0.005)
        else:
            time.sleep(wait)
        process.send_signal(sign)
        finish(process)
        assert not target.exists()
    server.faults = []
    assert download_file(server.url(), target, sha256=SHA256).read_bytes() == BODY
