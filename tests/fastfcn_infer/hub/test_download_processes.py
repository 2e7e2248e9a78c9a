import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastfcn_infer.hub import download as module
from fastfcn_infer.hub.download import download
from web_server import BODY, Server

SHA256 = hashlib.sha256(BODY).hexdigest()
ROOT = str(Path(module.__file__).parents[2])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("FASTFCN_OFFLINE", raising=False)
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "model.pdparams"


def names(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def partials(target: Path) -> list[Path]:
    return sorted(target.parent.glob("*.partial"))


def test_sixteen_at_once_all_get_the_file(server: Server, target: Path) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(download(server.url(), target).sha256))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [SHA256] * 16
    assert names(target) == ["model.pdparams", "model.pdparams.json"]


SCRIPT = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from pathlib import Path\n"
    "from fastfcn_infer.hub.download import download\n"
    "print('ready', flush=True)\n"
    "print(download(sys.argv[2], Path(sys.argv[3]), sha256=sys.argv[4] or None).sha256)\n"
)


def start(server: Server, target: Path, sha256: str = "") -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SCRIPT, ROOT, server.url(), str(target), sha256]
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


def test_several_processes_at_once_all_get_the_file(server: Server, target: Path) -> None:
    server.faults = ["slow 0.002"] * 3
    processes = [start(server, target) for _ in range(3)]
    assert [finish(process) for process in processes] == [f"{SHA256}\n"] * 3
    assert names(target) == ["model.pdparams", "model.pdparams.json"]


@pytest.mark.skipif(os.name == "nt", reason="signals are a POSIX matter")
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_download_leaves_no_file_under_the_final_name_and_goes_on(
    server: Server, target: Path, sign: signal.Signals
) -> None:
    for wait in (0.0, 0.02, 0.06, None):
        server.faults = ["slow 0.05"] * 2  # one may still go to a client that was killed before
        process = start(server, target)
        if wait is None:  # at last, a kill that surely comes after the first bytes
            while not any(part.stat().st_size for part in partials(target)):
                time.sleep(0.005)
        else:
            time.sleep(wait)
        process.send_signal(sign)
        finish(process)
        assert not target.exists()
    assert any(part.stat().st_size for part in partials(target))
    server.faults = []
    download(server.url(), target)
    assert target.read_bytes() == BODY
    assert server.ranges[-1] is not None
    assert names(target) == ["model.pdparams", "model.pdparams.json"]
