"""Which form of TensorRT ONNX Runtime is opened with, and what is said if there is none."""

import importlib.metadata
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fastfcn_infer.artifact.artifact import FORMATS, Artifact
from fastfcn_infer.artifact.procedure import Procedure, Windows
from fastfcn_infer.errors import BackendError, DeviceUnavailable
from fastfcn_infer.runtime import gpu, tensorrt_rtx
from fastfcn_infer.runtime.backend import availability
from fastfcn_infer.runtime.backends import onnx_runtime
from fastfcn_infer.runtime.device import Device
from models import tiny_model, tiny_onnx, tiny_output

onnxruntime = pytest.importorskip("onnxruntime")
CPU_ONLY = ["CPUExecutionProvider"]
BUILT_IN = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
RTX, H200 = gpu.Gpu("RTX 4090", "00", 13000), gpu.Gpu("H200", "01", 13000)
NO_DRIVER = "there is no NVIDIA driver here (libcuda.so.1)"
NVINFER = "libnvinfer.so.10: cannot open shared object file: No such file or directory"
PLUGIN = "NvTensorRTRTXExecutionProvider"
TENSORRT = Device("tensorrt")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FASTFCN_CACHE", str(tmp_path / "cache"))
    tiny_onnx(tmp_path / "model.onnx", tiny_model())
    return tmp_path / "model.onnx"


def lone(path: Path, procedure: Procedure | None = None) -> Artifact:
    model = tiny_model() if procedure is None else replace(tiny_model(), procedure=procedure)
    return Artifact(None, model, None, {FORMATS["onnx"]: path})


def machine(
    monkeypatch: pytest.MonkeyPatch,
    found: gpu.Gpu | str,
    providers: list[str],
    *,
    library: str | None = None,
    plugin: bool = False,
) -> None:
    """A machine: its GPU, the providers of its ONNX Runtime, the library TensorRT lacks, the plugin."""
    monkeypatch.setattr(gpu, "find_gpu", lambda index: found)
    monkeypatch.setattr(
        tensorrt_rtx, "compute_capability", lambda index: (9, 0) if found == H200 else (8, 9)
    )
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(onnx_runtime, "_missing_library", lambda kind: library)
    owners = {"onnxruntime": ["onnxruntime-gpu" if len(providers) > 1 else "onnxruntime"]}
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: owners)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.32.0")
    name = "json" if plugin else "no_such_plugin_anywhere"  # a package that is there, or not
    monkeypatch.setattr(tensorrt_rtx, "MODULE", name)
    device = SimpleNamespace(ep_name=PLUGIN)
    made = tensorrt_rtx.Plugin(PLUGIN, "0.5.0", device)
    monkeypatch.setattr(onnx_runtime, "find_plugin", lambda runtime: made)


class Plugged:
    """Sessions of the plugin, which write what they compiled when they end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cached: list[list[str]] = []
        self.providers: list[Any] = []
        self.offered = [PLUGIN, *CPU_ONLY]
        self._real, self._folder = onnxruntime.InferenceSession, Path()
        monkeypatch.setattr(tensorrt_rtx.Plugin, "add_to", self._lend)
        monkeypatch.setattr(onnxruntime, "InferenceSession", self._open)

    def _lend(self, options: Any, engines: Path, profile: Any) -> None:
        self._folder = engines
        self.cached.append(sorted(path.name for path in engines.iterdir()))

    def _open(self, path: str, options: Any, *, providers: Any, **others: Any) -> Any:
        self.providers.append(providers)
        real = self._real(path, options, providers=CPU_ONLY)
        offered, folder = self.offered, self._folder

        class Session:
            run, get_inputs, get_outputs = real.run, real.get_inputs, real.get_outputs

            def get_providers(self) -> list[str]:
                return offered

            def __del__(self) -> None:
                if folder.is_dir():
                    (folder / "network.cache").write_bytes(b"engine")

        return Session()


@pytest.mark.parametrize(
    ("providers", "library", "why"),
    [(CPU_ONLY, None, "no TensorRT provider of its own"), (BUILT_IN, NVINFER, "libnvinfer.so.10")],
)
def test_the_plugin_is_used_where_onnx_runtimes_own_tensorrt_cannot_be(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    providers: list[str],
    library: str | None,
    why: str,
) -> None:
    machine(monkeypatch, RTX, providers, library=library, plugin=True)
    found, note = onnx_runtime._form_of_tensorrt(TENSORRT)
    assert found is not None and found.provider == PLUGIN
    assert note is not None and "TensorRT for RTX 0.5.0" in note and why in note


def test_onnx_runtimes_own_tensorrt_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, RTX, BUILT_IN, plugin=True)
    assert onnx_runtime._form_of_tensorrt(TENSORRT) == (None, None)


def test_a_network_runs_in_the_plugin_and_what_it_compiled_is_there_the_next_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, RTX, CPU_ONLY, plugin=True)
    plugged, batch = Plugged(monkeypatch), np.zeros((1, 3, 8, 8), np.float32)
    for _ in range(2):
        opened = onnx_runtime.open(lone(path), device=TENSORRT, threads=1)
        assert (opened.facts.provider, opened.facts.device) == (PLUGIN, "tensorrt")
        assert any("TensorRT for RTX 0.5.0" in note for note in opened.facts.chosen)
        np.testing.assert_allclose(opened.run(batch), tiny_output(batch, 3), rtol=1e-5)
        opened.close()
        opened.close()
    assert plugged.cached == [[], ["network.cache"]]
    assert plugged.providers == [None, None], "the session's options name the device"


def test_a_plugin_that_onnx_runtime_leaves_out_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, RTX, CPU_ONLY, plugin=True)
    Plugged(monkeypatch).offered = CPU_ONLY
    with pytest.raises(DeviceUnavailable, match=r"TensorRT for RTX 0\.5\.0 .* did not start"):
        onnx_runtime.open(lone(path), device=TENSORRT, threads=1)


class BuiltIn:
    """Sessions of ONNX Runtime's own provider; `refused`: it takes no profile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, refused: bool = False) -> None:
        self.options: list[dict[str, Any]] = []
        self.ran: list[int] = []  # which session
        self._real, self._refused = onnxruntime.InferenceSession, refused
        monkeypatch.setattr(onnxruntime, "InferenceSession", self._open)

    def _open(self, path: str, options: Any, *, providers: Any, **others: Any) -> Any:
        self.options.append(providers[0][1])
        if self._refused and "trt_profile_min_shapes" in providers[0][1]:
            raise RuntimeError("TensorRT EP: provide the shapes of all dynamic inputs")
        real, number = self._real(path, options, providers=CPU_ONLY), len(self.options) - 1

        def run(outputs: Any, feed: Any) -> Any:
            self.ran.append(number)
            return real.run(outputs, feed)

        return SimpleNamespace(
            run=run,
            get_inputs=real.get_inputs,
            get_outputs=real.get_outputs,
            get_providers=lambda: BUILT_IN,
        )


WINDOWS = Procedure("custom", None, windows=Windows((40, 48), (40, 48), "pad"))


def test_tensorrt_compiles_for_the_shapes_of_the_procedure_and_apart_for_others(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, RTX, BUILT_IN)
    built = BuiltIn(monkeypatch)
    opened = onnx_runtime.open(lone(path, WINDOWS), device=TENSORRT, threads=1)
    assert built.options[0]["trt_profile_min_shapes"] == "image:1x3x40x48"
    assert built.options[0]["trt_profile_max_shapes"] == "image:8x3x40x48"
    assert any("1x3x40x48 to 8x3x40x48" in note for note in opened.facts.chosen)
    planned, other = np.zeros((2, 3, 40, 48), np.float32), np.zeros((1, 3, 56, 48), np.float32)
    np.testing.assert_allclose(opened.run(planned), tiny_output(planned, 3), rtol=1e-5)
    with pytest.warns(RuntimeWarning, match="compiles it again for 1x3x56x48") as caught:
        for _ in range(2):
            np.testing.assert_allclose(opened.run(other), tiny_output(other, 3), rtol=1e-5)
    opened.run(planned)
    assert len(caught) == 1
    assert built.ran == [0, 1, 1, 0]
    assert not any("profile" in option for option in built.options[1])
    opened.close()
    with pytest.raises(BackendError, match="closed"):
        opened.run(other)


def test_a_graph_that_tensorrt_takes_only_without_planned_shapes_is_opened_so_and_that_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, RTX, BUILT_IN)
    built = BuiltIn(monkeypatch, refused=True)
    opened = onnx_runtime.open(lone(path, WINDOWS), device=TENSORRT, threads=1)
    assert ["trt_profile_min_shapes" in each for each in built.options] == [True, False]
    assert any("compiles for each new shape" in note for note in opened.facts.chosen)
    opened.run(np.zeros((1, 3, 56, 48), np.float32))
    assert len(built.options) == 2
    opened.close()


@pytest.mark.parametrize(
    ("found", "providers", "library", "plugin", "said", "unsaid"),
    [
        (NO_DRIVER, CPU_ONLY, None, False, (NO_DRIVER, "no TensorrtExecutionProvider", "package is not installed"), ()),
        (NO_DRIVER, CPU_ONLY, None, True, (NO_DRIVER, "nothing is missing but the GPU"), ("not installed",)),
        (NO_DRIVER, BUILT_IN, NVINFER, False, (NO_DRIVER, "libnvinfer.so.10", "NVIDIA's pip install tensorrt"), ()),
        (RTX, BUILT_IN, NVINFER, False, ("libnvinfer.so.10", "package is not installed", "[tensorrt-rtx]"), (NO_DRIVER, "capability")),
        (H200, CPU_ONLY, None, True, ("no TensorrtExecutionProvider", "H200 has compute capability 9.0"), ("not installed",)),
    ],
)  # fmt: skip
def test_what_each_form_lacks_is_said(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    found: gpu.Gpu | str,
    providers: list[str],
    library: str | None,
    plugin: bool,
    said: tuple[str, ...],
    unsaid: tuple[str, ...],
) -> None:
    machine(monkeypatch, found, providers, library=library, plugin=plugin)
    with pytest.raises(DeviceUnavailable) as caught:
        onnx_runtime.open(lone(path), device=TENSORRT, threads=1)
    text = str(caught.value)
    assert [each for each in said if each not in text] == []
    assert [each for each in unsaid if each in text] == []
    assert "pip install" in text
    # What `fastfcn doctor` shows.
    assert availability("onnx_runtime", devices=True).missing == {"tensorrt": text}
