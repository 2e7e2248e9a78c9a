"""TensorRT for RTX, with a plugin, a driver and an ONNX Runtime that are made up."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from fastfcn_infer.runtime import gpu, tensorrt_rtx
from fastfcn_infer.runtime.tensorrt_rtx import Plugin, find_plugin, missing

RTX = gpu.Gpu("RTX 4090", "00", 13000)
PROVIDER = "NvTensorRTRTXExecutionProvider"
CPU = SimpleNamespace(ep_name="CPUExecutionProvider")


class OnnxRuntime:
    """What the plugin needs of ONNX Runtime; it offers `devices` once the plugin is registered."""

    def __init__(self, version: str = "1.32.0", devices: int = 1, fault: str = "") -> None:
        self.__version__ = version
        self.registered: list[tuple[str, str]] = []
        self._devices, self._fault = devices, fault

    def register_execution_provider_library(self, name: str, path: str) -> None:
        if self._fault:
            raise RuntimeError(self._fault)
        if self.registered:
            raise RuntimeError("library is already registered")
        self.registered.append((name, path))

    def get_ep_devices(self) -> list[Any]:
        of_plugin = [SimpleNamespace(ep_name=name) for name, _ in self.registered]
        return [CPU, *(of_plugin * self._devices)]


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    found: Any = ModuleType(tensorrt_rtx.MODULE)
    found.__spec__ = importlib.util.spec_from_loader(tensorrt_rtx.MODULE, None)
    found.__version__ = "0.5.0"
    found.get_ep_name = lambda: PROVIDER
    found.get_library_path = lambda: "plugin.so"
    monkeypatch.setitem(sys.modules, tensorrt_rtx.MODULE, found)
    return found  # type: ignore[no-any-return]


def capability(monkeypatch: pytest.MonkeyPatch, of_gpu: tuple[int, int] | None) -> None:
    monkeypatch.setattr(tensorrt_rtx, "compute_capability", lambda index: of_gpu)


@pytest.mark.parametrize(
    ("of_gpu", "served"),
    [
        ((7, 0), False),
        ((7, 5), True),
        ((8, 0), False),
        ((8, 6), True),
        ((8, 9), True),
        ((9, 0), False),
        ((10, 0), False),
        ((12, 0), True),
        ((12, 1), True),
        (None, True),  # the plugin says it itself
    ],
)
def test_only_the_gpus_of_nvidias_matrix_are_served(
    package: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    of_gpu: tuple[int, int] | None,
    served: bool,
) -> None:
    capability(monkeypatch, of_gpu)
    said = missing(OnnxRuntime(), RTX)
    if served:
        assert said is None
    else:
        assert of_gpu is not None and said is not None
        assert f"RTX 4090 has compute capability {of_gpu[0]}.{of_gpu[1]}" in said
        assert "7.5, 8.6, 8.9, 12.0" in said


@pytest.mark.parametrize(
    ("version", "old"),
    [("1.23.2", True), ("1.24.0", False), ("1.9.0", True), ("2.0.0", False), ("1.32", False)],
)
def test_an_onnx_runtime_without_plugins_is_named_with_the_first_that_has_them(
    package: ModuleType, monkeypatch: pytest.MonkeyPatch, version: str, old: bool
) -> None:
    capability(monkeypatch, (8, 9))
    said = missing(OnnxRuntime(version), RTX)
    assert (said is not None) == old
    assert said is None or (f"ONNX Runtime {version} is too old" in said and ">=1.24" in said)


def test_everything_that_is_missing_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_rtx, "MODULE", "no_such_plugin_anywhere")
    capability(monkeypatch, (9, 0))
    said = missing(OnnxRuntime("1.18.0"), gpu.Gpu("H200", "00", 13000))
    assert said is not None
    assert "its package is not installed: " in said and "[tensorrt-rtx]" in said
    assert "ONNX Runtime 1.18.0 is too old" in said
    assert "H200 has compute capability 9.0" in said


def test_the_plugin_is_registered_once_in_a_process(package: ModuleType) -> None:
    runtime = OnnxRuntime()
    for _ in range(2):
        found = find_plugin(runtime)
        assert isinstance(found, Plugin)
        assert (found.provider, found.version) == (PROVIDER, "0.5.0")
    assert runtime.registered == [(PROVIDER, "plugin.so")]


def test_a_session_is_given_the_gpu_and_the_folder_of_engines_that_was_lent(
    package: ModuleType, tmp_path: Path
) -> None:
    given: list[Any] = []
    options = SimpleNamespace(add_provider_for_devices=lambda *each: given.append(each))
    found = find_plugin(OnnxRuntime(devices=2))
    assert isinstance(found, Plugin)
    found.add_to(options, tmp_path)
    found.add_to(options, None)
    assert given == [
        ([found.device], {"nv_runtime_cache_path": str(tmp_path)}),
        ([found.device], {}),
    ]


@pytest.mark.parametrize(
    ("runtime", "said"),
    [
        (OnnxRuntime(devices=0), "finds no GPU that it can use"),
        (OnnxRuntime(fault="libcudart.so.13: no such file"), r"libcudart\.so\.13"),
    ],
)
def test_a_plugin_that_does_not_load_or_finds_no_gpu_is_a_reason_and_no_crash(
    package: ModuleType, runtime: OnnxRuntime, said: str
) -> None:
    found = find_plugin(runtime)
    assert isinstance(found, str)
    with pytest.raises(RuntimeError, match=said):
        raise RuntimeError(found)
    assert "pip install" in found
