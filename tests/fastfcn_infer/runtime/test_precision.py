import pytest

from fastfcn_infer.errors import DeviceUnavailable
from fastfcn_infer.hub.conversion import Conversion
from fastfcn_infer.hub.models import find_model
from fastfcn_infer.runtime.backend import open_backend
from fastfcn_infer.runtime.paddle_settings import process_flags
from fastfcn_infer.runtime.precision import choose_precision, precision_to_export
from fastfcn_infer.segmenter import Segmenter


@pytest.mark.parametrize(
    ("wanted", "made_in", "computed"),
    [
        ("auto", "fp32", "fp32"),
        ("auto", "fp16", "fp16"),
        ("fp32", "fp32", "fp32"),
        ("fp16", "fp16", "fp16"),
        ("tf32", "fp32", "tf32"),
    ],
)
def test_a_graph_is_computed_in_what_it_was_made_in_unless_rounding_was_asked_for(
    wanted: str, made_in: str, computed: str
) -> None:
    assert choose_precision(wanted, made_in, "model") == computed


@pytest.mark.parametrize(
    ("wanted", "made_in", "said"),
    [
        ("fp16", "fp32", "made in fp32.*--precision fp16"),
        ("fp32", "fp16", "made in fp16.*--precision fp32"),
        ("tf32", "fp16", "made in fp16.*--precision fp32"),
        ("half", "fp32", "'half' is unknown; known: auto, fp32, tf32, fp16"),
        ("", "fp32", "is unknown"),
    ],
)
def test_no_precision_is_replaced_by_another(wanted: str, made_in: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        choose_precision(wanted, made_in, "model")


def test_a_checkpoint_is_converted_to_half_precision_only_if_that_was_asked_for() -> None:
    assert [precision_to_export(each) for each in ("auto", "fp32", "tf32", "fp16")] == [
        "fp32",
        "fp32",
        "fp32",
        "fp16",
    ]


def test_paddle_rounds_to_tensorfloat_only_if_that_was_asked_for() -> None:
    assert set(process_flags("cuda", "fp32").values()) == {False}
    assert set(process_flags("cuda", "tf32").values()) == {True}
    assert process_flags("cuda", "fp32").keys() == process_flags("cuda", "tf32").keys()


@pytest.mark.parametrize("backend", ["auto", "onnx_runtime", "open_vino"])
def test_rounding_to_tensorfloat_needs_a_gpu(backend: str) -> None:
    artifact = find_model(None, None, Conversion(), local_files_only=True)
    with pytest.raises(DeviceUnavailable, match="precision fp32"):
        open_backend(backend, artifact, device="cpu", threads=1, precision="tf32")


def test_a_wrong_precision_is_refused_before_a_model_is_looked_for() -> None:
    with pytest.raises(ValueError, match="precision 'int7' is unknown"):
        Segmenter.from_pretrained("no/such/model", precision="int7")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="made in fp32"):
        Segmenter.from_pretrained(precision="fp16")


def test_the_precision_is_part_of_what_made_a_result() -> None:
    with Segmenter.from_pretrained(threads=1, precision="fp32") as segmenter:
        assert segmenter.runtime.precision == "fp32"
        assert segmenter.runtime.identity["precision"] == "fp32"
        assert segmenter.provenance["precision"] == "fp32"
