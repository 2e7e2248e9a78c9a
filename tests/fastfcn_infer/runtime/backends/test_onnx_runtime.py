import importlib.metadata
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fastfcn_infer.artifact.artifact import FORMATS, Artifact
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.errors import BackendError, DeviceUnavailable
from fastfcn_infer.runtime import gpu
from fastfcn_infer.runtime.backends import onnx_runtime
from fastfcn_infer.runtime.device import Device
from fastfcn_infer.runtime.engine_cache import Engines
from fastfcn_infer.runtime.onnx_providers import PROVIDERS
from fastfcn_infer.system.install import install
from models import tiny_model, tiny_onnx, tiny_output

onnxruntime = pytest.importorskip("onnxruntime")
H100 = gpu.Gpu("H100", "00", 13000)
CPU_ONLY = ["CPUExecutionProvider"]
WITH_TENSORRT = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
GRAPHS = {"enable_cuda_graph": 1}
HEURISTIC = {"cudnn_conv_algo_search": "HEURISTIC"}
WITH_CUDA = ["CUDAExecutionProvider", "CPUExecutionProvider"]


def lone(path: Path, model: Model | None = None) -> Artifact:
    return Artifact(None, model or tiny_model(), None, {FORMATS["onnx"]: path})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tiny_onnx(tmp_path / "model.onnx", tiny_model())
    return tmp_path / "model.onnx"


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Sessions as they were asked for; whatever is asked for, only the CPU starts."""
    seen: list[Any] = []
    real = onnxruntime.InferenceSession

    def record(
        path: str,
        options: Any,
        *,
        providers: list[Any],
        enable_fallback: int,
        disabled_optimizers: list[str] | None,
    ) -> Any:
        seen.append(
            SimpleNamespace(
                options=options,
                providers=providers,
                fallback=enable_fallback,
                disabled=disabled_optimizers,
            )
        )
        return real(path, options, providers=CPU_ONLY)

    monkeypatch.setattr(onnxruntime, "InferenceSession", record)
    return seen


def pretend(
    monkeypatch: pytest.MonkeyPatch,
    providers: list[str],
    found: gpu.Gpu | str = H100,
) -> None:
    """Another wheel, alone, and another machine."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(gpu, "find_gpu", lambda index: found)
    pretend_wheels(monkeypatch, "onnxruntime-gpu" if len(providers) > 1 else "onnxruntime")


def pretend_wheels(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    owners = {"onnxruntime": list(names)}
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: owners)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.2.3")


@pytest.mark.parametrize("kind", ["cuda", "tensorrt"])
def test_a_wheel_without_the_provider_is_diagnosed(
    path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    pretend(monkeypatch, CPU_ONLY)
    with pytest.raises(DeviceUnavailable, match=r"pip install .*\[gpu\]") as caught:
        onnx_runtime.open(lone(path), device=Device(kind), threads=1)
    assert "installed: onnxruntime 1.2.3." in str(caught.value)
    assert f"Device {kind} is not available" in str(caught.value)


def test_two_wheels_that_overwrite_each_other_are_diagnosed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, CPU_ONLY)
    pretend_wheels(monkeypatch, "onnxruntime", "onnxruntime-gpu")
    with pytest.raises(DeviceUnavailable, match="overwrite each other") as caught:
        onnx_runtime.open(lone(path), device=Device("cuda"), threads=1)
    assert "onnxruntime 1.2.3, onnxruntime-gpu 1.2.3" in str(caught.value)


def test_a_session_that_silently_lacks_the_device_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch, sessions: list[Any]
) -> None:
    pretend(monkeypatch, WITH_CUDA)
    with pytest.raises(DeviceUnavailable, match="did not start"):
        onnx_runtime.open(lone(path), device=Device("cuda", 1), threads=1)
    name, options = sessions[0].providers[0]
    assert name == "CUDAExecutionProvider"
    assert options == {**GRAPHS, "device_id": 1, "use_tf32": 0}
    assert sessions[0].fallback == 0


@pytest.mark.parametrize(("precision", "own"), [("fp32", {"use_tf32": 0}), ("fp16", HEURISTIC)])
def test_the_options_follow_the_precision_of_the_graph(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sessions: list[Any],
    precision: Any,
    own: dict[str, Any],
) -> None:
    pretend(monkeypatch, WITH_CUDA)
    model = replace(tiny_model(), precision=precision)
    with pytest.raises(DeviceUnavailable):
        onnx_runtime.open(lone(path, model), device=Device("cuda"), threads=1)
    assert sessions[0].providers[0][1] == {**GRAPHS, "device_id": 0, **own}
    assert sessions[0].disabled == ["ConvAddFusion"]


def test_looking_for_libraries_takes_no_output_of_other_threads(
    path: Path, monkeypatch: pytest.MonkeyPatch, sessions: list[Any]
) -> None:
    seen: list[Any] = []
    pretend(monkeypatch, WITH_CUDA)
    monkeypatch.delattr(onnxruntime, "print", raising=False)
    output = sys.stdout
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: seen.append(sys.stdout is output))
    for _ in range(2):
        with pytest.raises(DeviceUnavailable):
            onnx_runtime.open(lone(path), device=Device("cuda"), threads=1)
    assert seen == [True], "once per process"
    monkeypatch.delattr(onnxruntime, "print")


def test_what_onnx_runtime_prints_about_libraries_is_not_shown(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sessions: list[Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    pretend(monkeypatch, WITH_CUDA)
    monkeypatch.delattr(onnxruntime, "print", raising=False)

    def say() -> None:
        print("no cuDNN here")  # noqa: T201 - as ONNX Runtime does

    preload = FunctionType(say.__code__, vars(onnxruntime))
    monkeypatch.setattr(onnxruntime, "preload_dlls", preload)
    with pytest.raises(DeviceUnavailable):
        onnx_runtime.open(lone(path), device=Device("cuda"), threads=1)
    assert capsys.readouterr().out == ""
    monkeypatch.delattr(onnxruntime, "print")


def test_without_a_driver_the_runtime_is_not_even_asked(
    path: Path, monkeypatch: pytest.MonkeyPatch, sessions: list[Any]
) -> None:
    pretend(monkeypatch, WITH_CUDA, "there is no NVIDIA driver here (libcuda.so.1)")
    with pytest.raises(DeviceUnavailable, match="no NVIDIA driver here") as caught:
        onnx_runtime.open(lone(path), device=Device("cuda"), threads=1)
    assert sessions == []
    assert install("gpu") in str(caught.value)
    opened = onnx_runtime.open(lone(path), device=Device("auto"), threads=1)
    assert opened.facts.device == "cpu"
    assert len(sessions) == 1


def test_a_library_that_is_missing_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch, sessions: list[Any], tmp_path: Path
) -> None:
    pretend(monkeypatch, WITH_CUDA)
    (tmp_path / "capi").mkdir()
    (tmp_path / "capi" / "libonnxruntime_providers_cuda.so").touch()
    monkeypatch.setattr(onnxruntime, "__file__", str(tmp_path / "__init__.py"))
    text = "libcublasLt.so.13: cannot open shared object file"
    monkeypatch.setattr(gpu, "missing_library", lambda path: text if path.is_file() else None)
    with pytest.raises(DeviceUnavailable, match=r"libcublasLt\.so\.13"):
        onnx_runtime.open(lone(path), device=Device("cuda"), threads=1)


def fake_tensorrt(monkeypatch: pytest.MonkeyPatch, built: list[str]) -> None:
    """A runtime whose TensorRT compiles at the first run, unless it finds what it compiled."""
    real = onnxruntime.InferenceSession

    class Session:
        def __init__(
            self, path: str, options: Any, *, providers: list[Any], **others: Any
        ) -> None:
            self.real = real(path, options, providers=CPU_ONLY)
            self.folder = Path(providers[0][1]["trt_engine_cache_path"])

        def get_providers(self) -> list[str]:
            return [*WITH_TENSORRT]

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

        def run(self, outputs: Any, feed: Any) -> Any:
            engine = self.folder / "graph_sm90.engine"
            if not engine.exists():
                built.append("built")
                engine.write_bytes(b"engine")
            assert engine.read_bytes() == b"engine"
            return self.real.run(outputs, feed)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)


def test_tensorrt_compiles_once_and_again_when_the_engine_or_the_gpu_changed(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cache, built = tmp_path / "cache", list[str]()
    monkeypatch.setenv("FASTFCN_CACHE", str(cache))
    pretend(monkeypatch, WITH_TENSORRT)
    fake_tensorrt(monkeypatch, built)

    def use() -> int:
        before = len(built)
        opened = onnx_runtime.open(lone(path), device=Device("tensorrt"), threads=1)
        opened.run(np.zeros((1, 3, 8, 8), np.float32))
        opened.close()
        return len(built) - before

    assert [use(), use()] == [1, 0]
    (engine,) = cache.glob("engines/*.engines")
    engine.write_bytes(b"poison")
    assert [use(), use()] == [1, 0]
    pretend(monkeypatch, WITH_TENSORRT, gpu.Gpu("H200", "00", 13000))
    assert [use(), use()] == [1, 0]
    tiny_onnx(path, tiny_model(name="another"))
    assert [use(), use()] == [1, 0]


def test_what_cannot_be_kept_is_said_once_and_costs_no_result(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FASTFCN_CACHE", str(tmp_path / "cache"))
    pretend(monkeypatch, WITH_TENSORRT)
    fake_tensorrt(monkeypatch, [])
    opened = onnx_runtime.open(lone(path), device=Device("tensorrt"), threads=1)
    batch = np.zeros((1, 3, 8, 8), np.float32)

    def full(self: Engines) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Engines, "keep", full)
    with pytest.warns(RuntimeWarning, match="are not cached.*No space") as caught:
        for _ in range(3):
            np.testing.assert_allclose(opened.run(batch), tiny_output(batch, 3), rtol=1e-5)
    assert [Path(each.filename) for each in caught] == [Path(__file__)]
    opened.close()


def test_a_cache_that_is_open_to_others_is_not_used_and_that_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if os.name == "nt":
        pytest.skip("Windows has no such modes")
    monkeypatch.setenv("FASTFCN_CACHE", str(tmp_path))
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines").chmod(0o755)
    engines, note = onnx_runtime._engines(lone(path), H100, "1", "fp32")
    assert engines is None
    assert note is not None and "open to others" in note


def test_auto_may_continue_without_the_device_and_says_why(
    path: Path, monkeypatch: pytest.MonkeyPatch, sessions: list[Any]
) -> None:
    pretend(monkeypatch, WITH_CUDA)
    opened = onnx_runtime.open(lone(path), device=Device("auto"), threads=1)
    assert len(sessions) == 2
    assert opened.facts.device == "cpu"
    assert opened.facts.provider == "CPUExecutionProvider"
    assert "did not start" in opened.facts.chosen[0]


def test_a_cuda_failure_while_opening_is_about_the_device_and_not_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, WITH_CUDA)

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("CUDA failure 101: invalid device ordinal\nstack")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)
    with pytest.raises(DeviceUnavailable, match="invalid device ordinal"):
        onnx_runtime.open(lone(path), device=Device("cuda", 9), threads=1)


def test_the_session_is_opened_with_what_was_asked_for(path: Path, sessions: list[Any]) -> None:
    onnx_runtime.open(lone(path), device=Device("cpu"), threads=3)
    options = sessions[0].options
    assert options.intra_op_num_threads == 3
    assert options.inter_op_num_threads == 1
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    assert sessions[0].providers == CPU_ONLY


def test_a_graph_with_other_names_than_its_description_is_refused(path: Path) -> None:
    with pytest.raises(BackendError, match="'pixels'"):
        onnx_runtime.open(
            lone(path, tiny_model(input_name="pixels")), device=Device("cpu"), threads=1
        )


def test_nothing_is_printed_when_opening_and_failing(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    opened = onnx_runtime.open(lone(path), device=Device("cpu"), threads=1)
    opened.close()
    path.write_bytes(b"broken")
    with pytest.raises(BackendError):
        onnx_runtime.open(lone(path), device=Device("cpu"), threads=1)
    assert capfd.readouterr() == ("", "")


def test_what_is_logged_apart_from_sessions_is_off_while_one_is_opened_on_a_gpu(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, WITH_CUDA)
    levels: list[Any] = []
    monkeypatch.setattr(onnxruntime, "set_default_logger_severity", levels.append)
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: levels.append("opened"))
    with pytest.raises(AttributeError):
        onnx_runtime.open(lone(path), device=Device("cuda"), threads=1)
    assert levels == [4, "opened", 2]


@pytest.mark.parametrize("tf32", [False, True])
def test_a_network_with_a_layer_on_the_processor_is_opened_without_cuda_graphs(
    path: Path, monkeypatch: pytest.MonkeyPatch, tf32: bool
) -> None:
    pretend(monkeypatch, WITH_CUDA)
    real, options = onnxruntime.InferenceSession, list[Any]()

    class Session:
        def __init__(
            self, path: str, settings: Any, *, providers: list[Any], **others: Any
        ) -> None:
            options.append(providers[0][1])
            if options[-1].get("enable_cuda_graph"):
                raise RuntimeError(
                    "This session cannot use the graph capture feature as requested by the user as all "
                    "compute graph nodes have not been partitioned to the CUDAExecutionProvider"
                )
            self.real = real(path, settings, providers=CPU_ONLY)

        def get_providers(self) -> list[str]:
            return WITH_CUDA

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    opened = onnx_runtime.open(
        lone(path), device=Device("cuda", rounding="tf32" if tf32 else None), threads=1
    )
    batch = np.zeros((1, 3, 8, 8), np.float32)
    np.testing.assert_allclose(opened.run(batch), tiny_output(batch, 3), rtol=1e-5)
    assert [each.get("enable_cuda_graph") for each in options] == [1, None]
    assert [each.get("use_tf32", 1) for each in options] == [int(tf32)] * 2
    assert opened.facts.precision == ("tf32" if tf32 else "fp32")
    assert any("without CUDA graphs" in note for note in opened.facts.chosen)
    opened.close()


@pytest.mark.gpu
@pytest.mark.skipif(isinstance(gpu.find_gpu(0), str), reason="no CUDA device")
@pytest.mark.parametrize("kind", ["cuda", "tensorrt"])
def test_a_gpu_computes_the_right_logits(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: Any
) -> None:
    if PROVIDERS[kind] not in onnx_runtime.providers():
        pytest.skip(f"this wheel of ONNX Runtime has no {PROVIDERS[kind]}")
    if kind == "tensorrt" and not gpu.library_version("nvinfer", "getInferLibVersion"):
        pytest.skip("TensorRT's libraries are not installed")
    monkeypatch.setenv("FASTFCN_CACHE", str(tmp_path / "cache"))
    for _ in range(2):  # the second time with the engines of the first
        opened = onnx_runtime.open(lone(path), device=Device(kind), threads=1)
        batch = np.random.default_rng(0).normal(size=(2, 3, 47, 64)).astype(np.float32)
        right = tiny_output(batch, len(tiny_model().classes))
        np.testing.assert_allclose(opened.run(batch), right, rtol=1e-4, atol=1e-5)
        opened.close()
