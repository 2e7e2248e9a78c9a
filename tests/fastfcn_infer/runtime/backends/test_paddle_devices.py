import gc
import importlib.metadata
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fastfcn_infer.artifact.artifact import open_artifact, seal
from fastfcn_infer.artifact.manifest import Source
from fastfcn_infer.errors import DeviceUnavailable
from fastfcn_infer.runtime import gpu, paddle_settings
from fastfcn_infer.runtime.backends import paddle_inference
from fastfcn_infer.runtime.device import Device
from models import tiny_model, tiny_output
from paddle_models import PADDLE, tiny_paddle

if not PADDLE:
    pytest.skip("paddle not installed", allow_module_level=True)

CLASSES = 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_paddle(tmp_path / "tiny", tiny_model(CLASSES))
    seal(tmp_path / "tiny", tiny_model(CLASSES), Source("a.pdparams", 1, "0" * 64), None, {})
    return tmp_path / "tiny"


def picture(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def pretend(monkeypatch: pytest.MonkeyPatch, wheel: str, *, cuda: bool, devices: int = 0) -> None:
    """Another wheel, alone, and another machine."""
    import paddle

    owners = {"paddle": [wheel]}
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: owners)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "3.3.9")
    monkeypatch.setattr(paddle, "is_compiled_with_cuda", lambda: cuda)
    monkeypatch.setattr(paddle.device.cuda, "device_count", lambda: devices)


@pytest.mark.parametrize("kind", ["cuda", "tensorrt"])
def test_a_paddle_without_cuda_is_diagnosed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    pretend(monkeypatch, "paddlepaddle", cuda=False)
    with pytest.raises(DeviceUnavailable, match="built without CUDA") as caught:
        paddle_inference.open(open_artifact(folder), device=Device(kind), threads=1)
    assert "installed: paddlepaddle 3.3.9, built without CUDA" in str(caught.value)
    assert "paddlepaddle.org.cn/install" in str(caught.value)


def test_tensorrt_gets_a_program_compiled_in_a_private_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import paddle

    seen: list[Any] = []

    def convert(path: str, config: Any) -> None:
        seen.append(Path(config.save_model_dir).parent)
        for suffix in (".json", ".pdiparams"):  # what was given, where the compiled one should be
            data = Path(path + suffix).read_bytes()
            Path(config.save_model_dir + suffix).write_bytes(data)

    def plain(config: Any, index: int) -> Any:
        assert Path(config.prog_file()).parent == seen[0]
        config.disable_mkldnn()
        return config

    fake = SimpleNamespace(
        Input=lambda **shapes: shapes,
        TensorRTConfig=lambda inputs: SimpleNamespace(inputs=inputs),
        convert=convert,
    )
    monkeypatch.setattr(paddle, "tensorrt", fake, raising=False)
    monkeypatch.setattr(paddle_inference, "_missing", lambda device: None)
    monkeypatch.setitem(paddle_settings.SETTINGS, "tensorrt", {"TensorRT": plain})
    opened = paddle_inference.open(open_artifact(folder), device=Device("tensorrt"), threads=1)
    assert (opened.facts.device, opened.facts.provider) == ("tensorrt", "TensorRT")
    assert os.name == "nt" or seen[0].stat().st_mode & 0o777 == 0o700
    batch = picture(1, 3, 40, 40)
    np.testing.assert_allclose(opened.run(batch), tiny_output(batch, CLASSES), rtol=1e-4)
    opened.close()
    del opened
    gc.collect()
    assert not seen[0].exists()


def test_a_paddle_without_tensorrt_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import paddle

    monkeypatch.delattr(paddle, "tensorrt", raising=False)
    monkeypatch.setitem(sys.modules, "paddle.tensorrt", None)
    monkeypatch.setattr(paddle_inference, "_missing", lambda device: None)
    with pytest.raises(DeviceUnavailable, match="pip install tensorrt"):
        paddle_inference.open(open_artifact(folder), device=Device("tensorrt"), threads=1)


def test_auto_takes_the_processor_where_there_is_no_gpu_and_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, "paddlepaddle-gpu", cuda=True, devices=0)
    opened = paddle_inference.open(open_artifact(folder), device=Device("auto"), threads=1)
    assert opened.facts.device == "cpu"
    assert opened.facts.chosen[0].startswith("device cpu: this Paddle has no CUDA")
    opened.close()


@pytest.mark.parametrize(("precision", "mode"), [("fp32", None), ("fp16", "half")])
def test_tensorrt_is_told_the_precision_of_the_graph(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, precision: Any, mode: str | None
) -> None:
    import paddle

    seen: list[Any] = []
    fake = SimpleNamespace(
        Input=lambda **shapes: shapes,
        PrecisionMode=SimpleNamespace(FP16="half"),
        TensorRTConfig=lambda inputs: SimpleNamespace(inputs=inputs, precision_mode=None),
        convert=lambda path, config: seen.append(config.precision_mode),
    )
    monkeypatch.setattr(paddle, "tensorrt", fake, raising=False)
    files = (tmp_path / "a.json", tmp_path / "a.pdiparams")
    model = replace(tiny_model(CLASSES), precision=precision)
    paddle_inference._compiled(files, model, tmp_path)
    assert seen == [mode]


def test_flags_that_this_build_lacks_are_left_out_and_the_others_are_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import paddle

    known = {"FLAGS_cudnn_allow_tf32": True}

    def set_flags(flags: dict[str, bool]) -> None:
        for name, value in flags.items():
            if name not in known:
                raise ValueError(f"Flag {name} cannot set its value through this function.")
            known[name] = value

    monkeypatch.setattr(paddle, "set_flags", set_flags)
    paddle_inference._set_flags(paddle_settings.process_flags("cuda", "fp32"))
    assert known == {"FLAGS_cudnn_allow_tf32": False}


@pytest.mark.gpu
@pytest.mark.skipif(isinstance(gpu.find_gpu(0), str), reason="no CUDA device")
@pytest.mark.parametrize("kind", ["cuda", "tensorrt"])
def test_a_gpu_computes_the_right_logits(folder: Path, kind: Any) -> None:
    if "CUDA" not in paddle_inference.providers():
        pytest.skip("this wheel of Paddle has no CUDA")
    if kind == "tensorrt" and not gpu.library_version("nvinfer", "getInferLibVersion"):
        pytest.skip("TensorRT's libraries are not installed")
    opened = paddle_inference.open(open_artifact(folder), device=Device(kind), threads=1)
    for shape in [(1, 3, 64, 64), (2, 3, 47, 33)]:
        batch = picture(*shape)
        np.testing.assert_allclose(
            opened.run(batch), tiny_output(batch, CLASSES), rtol=1e-4, atol=1e-5
        )
    opened.close()
