from pathlib import Path

import pytest

from fastfcn_infer.runtime.onnx_providers import diagnose, provider_chain, tensorrt_note

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


@pytest.mark.parametrize("kind", ["cuda", "tensorrt"])
def test_float32_is_computed_in_float32(kind: str) -> None:
    options = dict(provider_chain(kind, 0, None, "fp32")[:-1])
    assert options["CUDAExecutionProvider"]["use_tf32"] == 0


@pytest.mark.parametrize("kind", ["cuda", "tensorrt"])
@pytest.mark.parametrize("precision", ["fp16", "int8", "tf32"])
def test_a_graph_in_another_precision_keeps_the_matrix_units(kind: str, precision: str) -> None:
    options = dict(provider_chain(kind, 0, None, precision)[:-1])
    assert "use_tf32" not in options["CUDAExecutionProvider"]


@pytest.mark.parametrize(("precision", "enabled"), [("fp32", 0), ("fp16", 1)])
def test_tensorrt_computes_in_the_precision_of_the_graph(precision: str, enabled: int) -> None:
    options = provider_chain("tensorrt", 0, None, precision)[0][1]
    assert options["trt_fp16_enable"] == enabled


@pytest.mark.parametrize(
    ("precision", "override", "said"),
    [("fp32", None, True), ("fp32", "1", True), ("fp32", "0", False), ("fp16", None, False)],
)
def test_that_tensorrt_may_round_float32_is_said(
    precision: str, override: str | None, said: bool
) -> None:
    note = tensorrt_note(precision, override)
    assert (note is not None and "NVIDIA_TF32_OVERRIDE=0" in note) == said


def test_tensorrt_keeps_engines_only_where_it_was_lent_a_folder(tmp_path: Path) -> None:
    lent = provider_chain("tensorrt", 0, tmp_path)[0][1]
    assert lent["trt_engine_cache_path"] == lent["trt_timing_cache_path"] == str(tmp_path)
    assert not any("cache" in option for option in provider_chain("tensorrt", 0, None)[0][1])


@pytest.mark.parametrize(
    ("wheels", "available", "reason", "said"),
    [
        ((), (), None, "no onnxruntime wheel"),
        (("onnxruntime 1", "onnxruntime-gpu 1"), ALL, None, "overwrite each other"),
        (("onnxruntime 1",), ALL[2:], None, "has CPU and no CUDAExecutionProvider"),
        (("onnxruntime-gpu 1",), ALL, "libcudnn.so.9: not found", r"libcudnn\.so\.9: not found"),
        (("onnxruntime-gpu 1",), ALL, None, "see nvidia-smi"),
    ],
)
def test_every_diagnosis_names_the_cause_and_a_line_to_install(
    wheels: tuple[str, ...], available: tuple[str, ...], reason: str | None, said: str
) -> None:
    with pytest.raises(RuntimeError, match=said) as caught:
        raise RuntimeError(diagnose("cuda", "cuda:1", wheels, available, reason))
    assert "Device cuda:1 is not available" in str(caught.value)
    assert "pip install" in str(caught.value)


def test_tensorrt_is_said_to_come_from_nvidia() -> None:
    text = diagnose("tensorrt", "tensorrt", ("onnxruntime-gpu 1",), ALL, "libnvinfer.so.10")
    assert "NVIDIA's pip install tensorrt" in text
