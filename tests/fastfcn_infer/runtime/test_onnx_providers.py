from pathlib import Path

import pytest

from fastfcn_infer.runtime.onnx_providers import diagnose, provider_chain

ALL = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")


@pytest.mark.parametrize(
    ("kind", "names"), [("cpu", ALL[2:]), ("cuda", ALL[1:]), ("tensorrt", ALL)]
)
def test_each_device_falls_back_on_those_that_compute_the_same_more_slowly(
    kind: str, names: tuple[str, ...]
) -> None:
    chain = provider_chain(kind, 3, None)
    assert tuple(each if isinstance(each, str) else each[0] for each in chain) == names
    assert all(each[1]["device_id"] == 3 for each in chain if not isinstance(each, str))


def test_float32_is_computed_in_float32() -> None:
    assert dict([provider_chain("cuda", 0, None)[0]])["CUDAExecutionProvider"]["use_tf32"] == 0


def test_tensorrt_keeps_engines_only_where_it_was_lent_a_folder(tmp_path: Path) -> None:
    lent = provider_chain("tensorrt", 0, tmp_path)[0][1]
    assert lent["trt_engine_cache_path"] == lent["trt_timing_cache_path"] == str(tmp_path)
    assert not any("cache" in option for option in provider_chain("tensorrt", 0, None)[0][1])


@pytest.mark.parametrize(
    ("wheels", "available", "reason", "said"),
    [
        ((), (), None, "no onnxruntime wheel"),
        (("onnxruntime 1", "onnxruntime-gpu 1"), ALL, None, "overwrite each other"),
        (("onnxruntime 1",), ALL[2:], None, "brings CPU and no CUDAExecutionProvider"),
        (("onnxruntime-gpu 1",), ALL, "libcudnn.so.9: not found", r"libcudnn\.so\.9: not found"),
        (("onnxruntime-gpu 1",), ALL, None, "see nvidia-smi"),
    ],
)
def test_every_diagnosis_names_the_cause_and_a_line_to_install(
    wheels: tuple[str, ...], available: tuple[str, ...], reason: str | None, said: str
) -> None:
    with pytest.raises(RuntimeError, match=said) as caught:
        raise RuntimeError(diagnose("cuda", "cuda:1", wheels, available, reason))
    assert "Device cuda:1 was asked for" in str(caught.value)
    assert "pip install" in str(caught.value)


def test_tensorrt_is_said_to_come_from_its_makers() -> None:
    text = diagnose("tensorrt", "tensorrt", ("onnxruntime-gpu 1",), ALL, "libnvinfer.so.10")
    assert "NVIDIA's pip install tensorrt" in text
