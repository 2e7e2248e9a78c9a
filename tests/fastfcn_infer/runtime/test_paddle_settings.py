import sys

import pytest

from fastfcn_infer.artifact.manifest import Input
from fastfcn_infer.runtime.paddle_settings import (
    SETTINGS,
    diagnose,
    process_flags,
    tensorrt_shapes,
    without_thread_notice,
)


@pytest.mark.parametrize(
    ("wheels", "libraries", "count", "said"),
    [
        (["paddlepaddle 3.3.1"], None, 0, "built without CUDA"),
        (["paddlepaddle 3.3.1", "paddlepaddle-gpu 2.6.2"], "CUDA 12.0", 4, "overwrite each other"),
        (["paddlepaddle-gpu 3.3.1"], "CUDA 12.6 and cuDNN 9.5", 0, "CUDA 12.6 and cuDNN 9.5"),
        (["paddlepaddle-gpu 3.3.1"], "CUDA 12.6 and cuDNN 9.5", 1, "sees 1 devices"),
    ],
)
def test_every_diagnosis_names_the_cause_and_the_way(
    wheels: list[str], libraries: str | None, count: int, said: str
) -> None:
    text = diagnose(wheels, libraries, count, 1)
    assert text is not None
    assert said in text
    assert all(wheel in text for wheel in wheels)
    assert "paddlepaddle.org.cn/install" in text
    assert "2.6.2" in text


def test_what_paddle_prints_about_threads_is_dropped_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ImportError), without_thread_notice():
        for line in (
            "WARNING: OMP_NUM_THREADS set to 2, not 1. The computation speed will not be ...",
            "PLEASE USE OMP_NUM_THREADS WISELY.",
            "WARNING: something else",
        ):
            sys.stderr.write(f"{line}\n")
        raise ImportError
    assert capsys.readouterr().err == "WARNING: something else\n"


def test_with_the_device_there_is_nothing_to_diagnose() -> None:
    assert diagnose(["paddlepaddle-gpu 3.3.1"], "CUDA 12.6", 2, 1) is None


def test_every_device_has_a_setting_and_the_processor_ends_with_the_plainest() -> None:
    assert set(SETTINGS) == {"cpu", "cuda", "tensorrt"}
    assert [*SETTINGS["cpu"]][-1] == "CPU"


def test_tensorrt_is_compiled_for_what_the_graph_takes() -> None:
    half = (0.5, 0.5, 0.5)
    free = tensorrt_shapes(Input("image", half, half, half))
    assert free == ([1, 3, 33, 33], [1, 3, 512, 512], [8, 3, 2048, 2048])
    fixed = tensorrt_shapes(Input("pixels", half, half, half, (2, 96, None)))
    assert fixed == ([2, 96, 33, 3], [2, 96, 512, 3], [2, 96, 2048, 3])


def test_float32_is_computed_in_float32_and_nothing_else_is_changed() -> None:
    for kind in ("cuda", "tensorrt"):
        assert process_flags(kind, "fp32") == {
            "FLAGS_cudnn_allow_tf32": False,
            "FLAGS_cublas_allow_tf32": False,
        }
        assert process_flags(kind, "fp16") == {}
    assert process_flags("cpu", "fp32") == process_flags("cpu", "fp16") == {}
