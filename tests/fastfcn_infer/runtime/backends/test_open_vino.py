import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastfcn_infer.artifact.artifact import FORMATS, Artifact
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.errors import BackendError
from fastfcn_infer.runtime.backends import open_vino
from fastfcn_infer.runtime.device import Device
from models import tiny_model, tiny_onnx

pytest.importorskip("openvino")
CPU = Device("cpu")

WATCH = """
import sys
from pathlib import Path

def watch(event, arguments):
    if event.startswith(("socket.getaddrinfo", "socket.connect", "socket.__new__")):
        Path("reported").touch()
        raise OSError("no network here")

sys.addaudithook(watch)
"""
OPEN = """
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.runtime.backend import open_backend
import numpy as np

backend = open_backend("open_vino", open_artifact(Path("model.onnx")), device="cpu", threads=1)
backend.run(np.zeros((1, 3, 16, 16), np.float32))
backend.close()
assert callable(sys.modules["openvino"].convert_model)
"""
NEVER_LOADED = "assert 'openvino_telemetry' not in sys.modules\n"
AFTERWARDS = "import openvino_telemetry\nopenvino_telemetry.Telemetry\n"
# A thread reports, which a busy machine may start late.
IMPORT_AND_WAIT = """
import time
import openvino

for _ in range(300):
    if Path("reported").exists():
        break
    time.sleep(0.1)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tiny_onnx(tmp_path / "model.onnx", tiny_model())
    return tmp_path / "model.onnx"


def lone(path: Path, model: Model | None = None) -> Artifact:
    return Artifact(None, model or tiny_model(), None, {FORMATS["onnx"]: path})


def run_alone(code: str, folder: Path) -> bool:
    """Run in a new process whose home is `folder`; True where it looked for the network."""
    rooms = os.pathsep.join(path for path in sys.path if path)
    home = {"HOME": str(folder), "LOCALAPPDATA": str(folder), "PYTHONPATH": rooms}
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    subprocess.run(
        [sys.executable, "-c", WATCH + code], cwd=folder, env={**kept, **home}, check=True
    )
    return (folder / "reported").exists()


def test_opening_and_running_reports_nothing_to_anybody(path: Path) -> None:
    assert not run_alone(OPEN + NEVER_LOADED + AFTERWARDS, path.parent)
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["model.onnx"]


def test_that_would_be_seen_for_openvino_by_itself_reports(tmp_path: Path) -> None:
    pytest.importorskip("openvino_telemetry")
    assert run_alone(IMPORT_AND_WAIT, tmp_path)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    import openvino

    seen: list[Any] = []

    class Core(openvino.Core):  # type: ignore[misc]
        def compile_model(self, *arguments: Any) -> Any:
            seen.append(arguments)
            return super().compile_model(*arguments)

    monkeypatch.setattr(openvino, "Core", Core)
    return seen


def test_threads_precision_and_caches_are_what_was_asked_for(
    path: Path, compiled: list[Any]
) -> None:
    open_vino.open(lone(path), device=CPU, threads=3)
    ((_, device, properties),) = compiled
    assert device == "CPU"
    assert properties["INFERENCE_NUM_THREADS"] == 3
    assert properties["INFERENCE_PRECISION_HINT"] == "f32"
    assert properties["CACHE_DIR"] == ""
    assert properties["CPU_RUNTIME_CACHE_CAPACITY"] == 0


def test_bfloat16_is_a_hint_and_the_rest_of_an_int8_graph_stays_in_float32(
    path: Path, compiled: list[Any]
) -> None:
    open_vino.open(lone(path), device=Device("cpu", rounding="bf16"), threads=1)
    int8 = replace(tiny_model(), precision="int8")
    assert open_vino.open(lone(path, int8), device=CPU, threads=1).facts.precision == "int8"
    hints = [properties["INFERENCE_PRECISION_HINT"] for _, _, properties in compiled]
    assert hints == ["bf16", "f32"]


def test_a_graph_with_other_names_than_its_description_is_refused(path: Path) -> None:
    with pytest.raises(BackendError, match="'pixels'"):
        open_vino.open(lone(path, tiny_model(input_name="pixels")), device=CPU, threads=1)


def test_only_the_onnx_reader_ever_sees_the_file(tmp_path: Path) -> None:
    # OpenVINO recognises its own format by the content and would load weights from beside it.
    (tmp_path / "model.onnx").write_text('<?xml version="1.0"?><net name="x" version="11"></net>')
    with pytest.raises(BackendError, match="parsed"):
        open_vino.open(lone(tmp_path / "model.onnx"), device=CPU, threads=1)


def test_a_batch_of_another_type_is_refused_and_not_converted(path: Path) -> None:
    opened = open_vino.open(lone(path), device=CPU, threads=1)
    with pytest.raises(BackendError, match="float32"):
        opened.run(np.zeros((1, 3, 8, 8), np.uint8))


def test_an_answer_stays_what_it_was_when_the_next_picture_comes(path: Path) -> None:
    opened = open_vino.open(lone(path), device=CPU, threads=1)
    first = opened.run(np.full((1, 3, 8, 8), 1, np.float32))
    kept = first.copy()
    opened.run(np.full((1, 3, 8, 8), 2, np.float32))
    np.testing.assert_array_equal(first, kept)


def test_a_fourth_channel_is_refused_and_not_left_out(path: Path) -> None:
    # OpenVINO 2026.4 runs such a batch through a graph of three channels without an error.
    opened = open_vino.open(lone(path), device=CPU, threads=1)
    with pytest.raises(BackendError, match=r"\(1, 4, 8, 8\)"):
        opened.run(np.zeros((1, 4, 8, 8), np.float32))


def test_a_failing_run_gives_the_reason_and_the_next_one_works(path: Path) -> None:
    opened = open_vino.open(lone(path), device=CPU, threads=1)
    batch = np.ones((1, 3, 8, 8), np.float32)
    right = opened.run(batch)
    opened._idle.get_nowait()
    opened._idle.put(Failing())
    with pytest.raises(BackendError, match=r"\(1, 3, 8, 8\) float32: out of memory$"):
        opened.run(batch)
    np.testing.assert_array_equal(opened.run(batch), right)


class Failing:
    def start_async(self, *_: Any, **__: Any) -> None:
        raise RuntimeError(
            "Exception from src/inference/src/cpp/infer_request.cpp:224:\nout of memory"
        )


def test_nothing_is_printed_when_opening_and_failing(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    open_vino.open(lone(path), device=CPU, threads=1).close()
    path.write_bytes(b"\x08\x08broken")
    with pytest.raises(BackendError):
        open_vino.open(lone(path), device=CPU, threads=1)
    assert capfd.readouterr() == ("", "")
