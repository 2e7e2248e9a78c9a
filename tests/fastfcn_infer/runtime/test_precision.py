"""The precision that is computed in is the one that was asked for, or none."""

import platform
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fastfcn_infer.artifact.artifact import Artifact, open_artifact
from fastfcn_infer.errors import BackendError, DeviceUnavailable
from fastfcn_infer.runtime import backend, precision
from fastfcn_infer.runtime.backends import onnx_runtime, open_vino, paddle_inference
from fastfcn_infer.runtime.paddle_settings import process_flags
from fastfcn_infer.runtime.precision import check_precision, choose_precision, graph_precision
from fastfcn_infer.segmenter import Segmenter
from fastfcn_infer.system import machine
from models import VARIANT, add_tiny_variant, tiny_artifact, tiny_model, tiny_output

WITH = ("AVX2", "AVX-512", "AVX512-BF16")
WITHOUT = ("AVX2", "AVX-512", "AVX512-VNNI")  # OpenVINO would emulate bfloat16 on it


def holding(*precisions: Any) -> Artifact:
    """Describe an artifact that holds graphs in some precisions, the one it was made in first."""
    model = replace(tiny_model(), precision=precisions[0])
    manifest: Any = SimpleNamespace(
        model=model, variants=dict.fromkeys(precisions[1:], VARIANT), files={}
    )
    return Artifact(Path("made"), model, manifest, {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_artifact(tmp_path / "tiny")
    add_tiny_variant(tmp_path / "tiny", shift=100.0)
    return tmp_path / "tiny"


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> Callable[[tuple[str, ...] | None], None]:
    """Set what the processor can."""

    def set_features(features: tuple[str, ...] | None) -> None:
        for module in (precision, paddle_inference):
            monkeypatch.setattr(module, "cpu_features", lambda: features)

    return set_features


@pytest.mark.parametrize(
    ("wanted", "held", "graph", "computed"),
    [
        ("auto", ("fp32",), "fp32", "fp32"),
        ("auto", ("fp16",), "fp16", "fp16"),
        ("auto", ("fp32", "fp16", "int8"), "fp32", "fp32"),
        ("fp32", ("fp32",), "fp32", "fp32"),
        ("fp16", ("fp16",), "fp16", "fp16"),
        ("fp16", ("fp32", "fp16"), "fp16", "fp16"),
        ("int8", ("fp32", "int8"), "int8", "int8"),
        ("tf32", ("fp32", "int8"), "fp32", "tf32"),
        ("bf16", ("fp32",), "fp32", "bf16"),
    ],
)
def test_a_graph_is_computed_in_what_it_was_made_in_unless_less_was_asked_for(
    wanted: str, held: tuple[str, ...], graph: str, computed: str
) -> None:
    chosen, found = choose_precision(wanted, holding(*held))
    assert (chosen.model.precision, found) == (graph, computed)


@pytest.mark.parametrize(
    ("wanted", "held", "said"),
    [
        ("fp16", ("fp32",), "made in fp32.*--precision fp16"),
        ("fp32", ("fp16",), "made in fp16.*--precision fp32"),
        ("tf32", ("fp16",), "made in fp16.*--precision fp32"),
        ("bf16", ("fp16",), "made in fp16.*--precision fp32"),
        (
            "int8",
            ("fp32", "fp16"),
            "only in fp32, fp16.*fastfcn-export made --precision int8 --calibrate PICTURES",
        ),
        ("half", ("fp32",), "'half' is unknown; known: auto, fp32, tf32, bf16, fp16, int8"),
        ("", ("fp32",), "is unknown"),
    ],
)
def test_no_precision_is_replaced_by_another(
    wanted: str, held: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        choose_precision(wanted, holding(*held))


def test_the_package_s_own_model_is_quantised_in_a_copy() -> None:
    command = (
        r"fastfcn-export \S+ --precision int8 -o fastfcn-resnet18-camvid-int8 --calibrate PICTURES"
    )
    with pytest.raises(ValueError, match=command):
        Segmenter.from_pretrained(precision="int8")


def test_a_checkpoint_is_converted_to_half_precision_only_if_that_was_asked_for() -> None:
    found = {each: graph_precision(each) for each in ("auto", "fp32", "tf32", "bf16", "fp16")}
    assert found == {**dict.fromkeys(("auto", "fp32", "tf32", "bf16"), "fp32"), "fp16": "fp16"}


def test_a_checkpoint_is_not_quantised_on_the_way_and_the_command_is_said(tmp_path: Path) -> None:
    checkpoint = tmp_path / "a model.pdparams"
    checkpoint.write_bytes(b"never read")
    command = (
        rf"fastfcn-export '{checkpoint}' -o 'a model-int8' --precision int8 --calibrate PICTURES"
    )
    with pytest.raises(ValueError, match=command):
        Segmenter.from_pretrained(checkpoint, precision="int8", cache_dir=tmp_path)
    with pytest.raises(ValueError, match="--precision int8 --calibrate PICTURES"):
        Segmenter.from_pretrained("fastfcn-resnet50-ade20k", precision="int8", cache_dir=tmp_path)


def test_paddle_rounds_to_tensorfloat_only_if_that_was_asked_for() -> None:
    assert set(process_flags("cuda", "fp32").values()) == {False}
    assert set(process_flags("cuda", "tf32").values()) == {True}
    assert process_flags("cuda", "fp32").keys() == process_flags("cuda", "tf32").keys()


@pytest.mark.parametrize("name", ["auto", "onnx_runtime", "open_vino"])
@pytest.mark.parametrize(
    ("device", "asked", "said"),
    [
        ("cpu", "tf32", "precision fp32"),
        ("cuda", "bf16", "for processors, not for device cuda. Use device cpu, or precision tf32"),
        ("tensorrt", "bf16", "not for device tensorrt"),
        ("cuda:1", "int8", "on device cuda:1 it would be computed in float32.*cpu or tensorrt"),
    ],
)
def test_a_device_that_cannot_compute_in_a_precision_is_refused(
    folder: Path, name: str, device: str, asked: str, said: str
) -> None:
    with pytest.raises(DeviceUnavailable, match=said):
        backend.open_backend(
            name, open_artifact(folder), device=device, threads=1, precision=asked
        )


def test_a_runtime_without_gpus_says_that_tensorfloat_needs_one(folder: Path) -> None:
    with pytest.raises(DeviceUnavailable, match="not on cuda, which precision tf32 is for"):
        backend.open_backend(
            "open_vino", open_artifact(folder), device="auto", threads=1, precision="tf32"
        )


def test_a_wrong_precision_is_refused_before_a_model_is_looked_for() -> None:
    with pytest.raises(ValueError, match="precision 'int7' is unknown"):
        Segmenter.from_pretrained("no/such/model", precision="int7")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="made in fp32"):
        Segmenter.from_pretrained(precision="fp16")
    for known in precision.PRECISIONS:
        check_precision(known)


def test_the_precision_is_part_of_what_made_a_result() -> None:
    with Segmenter.from_pretrained(threads=1, precision="fp32") as segmenter:
        assert segmenter.runtime.precision == "fp32"
        assert segmenter.runtime.identity["precision"] == "fp32"
        assert segmenter.provenance["precision"] == "fp32"


@pytest.mark.parametrize("name", ["onnx_runtime", "open_vino"])
def test_the_graph_of_the_precision_that_was_asked_for_is_the_one_that_runs(
    folder: Path, name: str
) -> None:
    pytest.importorskip(backend._file(name).REQUIRES[0])
    artifact = open_artifact(folder)
    batch = np.random.default_rng(0).normal(size=(1, 3, 16, 24)).astype(np.float32)
    outputs = {}
    for asked in ("auto", "int8"):
        opened = backend.open_backend(name, artifact, device="auto", threads=1, precision=asked)
        outputs[asked] = opened.run(batch)
        found = Segmenter(artifact, opened)
        assert found.provenance["precision"] == ("int8" if asked == "int8" else "fp32")
        assert found.model.precision == found.provenance["precision"]
        assert found.identity[0] == found.artifact.fingerprint
        found.close()
    np.testing.assert_allclose(outputs["auto"], tiny_output(batch, 3), atol=1e-5)
    np.testing.assert_allclose(outputs["int8"], tiny_output(batch, 3) + 100, atol=1e-4)


def test_paddle_says_why_it_does_not_run_int8(folder: Path) -> None:
    pytest.importorskip("paddle")
    with pytest.raises(
        DeviceUnavailable, match=r"int8: a graph in int8 is an ONNX file.*OpenVINO"
    ):
        backend.open_backend(
            "paddle_inference", open_artifact(folder), device="auto", threads=1, precision="int8"
        )


def test_bfloat16_that_a_processor_only_emulates_is_refused_with_the_reason(
    processor: Callable[[tuple[str, ...] | None], None],
) -> None:
    pytest.importorskip("openvino")
    processor(WITHOUT)
    with pytest.raises(
        DeviceUnavailable, match=r"AVX512-VNNI.*emulating it is slower than float32"
    ):
        Segmenter.from_pretrained(precision="bf16", backend="open_vino")
    with pytest.raises(BackendError, match=r"(?s)No backend can run.*- open_vino: .*emulating"):
        Segmenter.from_pretrained(precision="bf16")
    assert paddle_inference.refusal("bf16") == open_vino.refusal("bf16")


def test_where_the_system_says_nothing_of_the_processor_openvino_is_asked(
    processor: Callable[[tuple[str, ...] | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = pytest.importorskip("openvino")
    processor(None)
    for able, said in ((["FP32", "BF16"], None), (["FP32", "INT8"], "can FP32, INT8, and not")):
        core = type("Core", (), {"get_property": lambda *_, able=able: able})
        monkeypatch.setattr(openvino, "Core", core)
        found = open_vino.refusal("bf16")
        assert found is None if said is None else found is not None and said in found
    assert "does not say whether" in str(paddle_inference.refusal("bf16"))


@pytest.mark.parametrize(("system", "kind"), [("linux", "aarch64"), ("darwin", "arm64")])
def test_onnx_runtime_has_bfloat16_on_arm_under_linux_only(
    processor: Callable[[tuple[str, ...] | None], None],
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    kind: str,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: kind)
    monkeypatch.setattr(sys, "platform", system)
    processor(("Arm DotProd", "Arm BF16"))
    assert (onnx_runtime.refusal("bf16") is None) == (system == "linux")
    processor(("Arm DotProd",))
    assert onnx_runtime.refusal("bf16") is not None
    assert onnx_runtime.refusal("fp32") is None and onnx_runtime.refusal("int8") is None


def test_onnx_runtime_sums_up_int8_without_overflow_where_the_processor_would_not(
    folder: Path, processor: Callable[[tuple[str, ...] | None], None]
) -> None:
    pytest.importorskip("onnxruntime")

    def is_set(asked: str) -> bool:
        opened: Any = backend.open_backend(
            "onnx_runtime", open_artifact(folder), device="cpu", threads=1, precision=asked
        )
        try:
            options = opened._session.get_session_options()
            return bool(options.get_session_config_entry("session.x64quantprecision") == "1")
        except RuntimeError:  # there is no such entry
            return False

    processor(("AVX2", "AVX-512"))
    assert is_set("int8") and not is_set("fp32")
    for with_vnni in (WITHOUT, ("AVX2", "AVX-VNNI"), None):
        processor(with_vnni)
        assert not is_set("int8")


def test_bfloat16_is_chosen_by_its_name_only_and_stays_close() -> None:
    pytest.importorskip("openvino")
    if open_vino.refusal("bf16") is not None:
        pytest.skip("this processor has no bfloat16")
    picture = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    found = {}
    for asked in ("auto", "bf16"):
        with Segmenter.from_pretrained(precision=asked, threads=1) as segmenter:
            found[asked] = segmenter(picture)
            assert segmenter.runtime.precision == {"auto": "fp32", "bf16": "bf16"}[asked]
            assert segmenter.runtime.backend == "open_vino"
    assert found["bf16"].provenance["precision"] == "bf16"
    assert found["bf16"].provenance["model_sha256"] == found["auto"].provenance["model_sha256"]
    agreement = float((found["auto"].labels == found["bf16"].labels).mean())
    assert agreement > 0.98


def test_the_processor_is_described_in_the_words_of_its_makers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facts = {"flags": "fpu sse avx2 avx512f avx512_vnni avx512_bf16 amx_tile"}
    monkeypatch.setattr(machine, "cpu_fact", lambda name: facts.get(name, ""))
    assert machine.cpu_features() == ("AVX2", "AVX-512", "AVX512-VNNI", "AVX512-BF16")
    facts = {"Features": "fp asimd asimddp bf16 i8mm"}
    assert machine.cpu_features() == ("Arm DotProd", "Arm I8MM", "Arm BF16")
    facts = {}
    assert machine.cpu_features() is None
