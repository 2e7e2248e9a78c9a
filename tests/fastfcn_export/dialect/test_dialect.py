import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from exports import recognised, tensors_of
from fastfcn_export.description import network_facts
from fastfcn_export.dialect import dialects
from fastfcn_export.dialect.dialect import dialect_names, recognise, to_dialect
from fastfcn_export.dialect.dialects import wuhuikai
from fastfcn_export.target.random_weights import random_weights
from fastfcn_export.target.targets import cost
from fastfcn_infer.errors import CheckpointError
from networks import CASES

Tensors = dict[str, NDArray[Any]]


@pytest.fixture
def tensors() -> Tensors:
    return tensors_of("wuhuikai_encnet")


def refused(tensors: Tensors, **options: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        recognise(tensors, **options)
    return str(caught.value)


@pytest.mark.parametrize("case", CASES)
def test_a_dialect_reads_the_names_that_it_writes(case: str) -> None:
    dialect, architecture, stride = CASES[case]
    found = recognised(case)
    assert found.dialect == dialect
    assert found.architecture == architecture
    assert found.output_stride == architecture.backbone.output_stride == stride
    drawn = random_weights(architecture)
    assert {n for n in drawn if not n.startswith(("auxiliary", "head.semantic"))} == set(
        found.weights
    )
    for name, array in found.weights.items():
        assert np.array_equal(array, drawn[name]), name


@pytest.mark.parametrize("case", CASES)
def test_every_tensor_is_used_or_left_out_for_a_reason(case: str) -> None:
    found = recognised(case)
    assert len(found.weights) + sum(found.unused.values()) == len(tensors_of(case))
    assert all("training only" in reason for reason in found.unused)


@pytest.mark.parametrize(
    ("case", "convention"),
    [
        ("wuhuikai_encnet", "fastfcn"),
        ("ncpaddle_encnet", "fastfcn"),
        ("paddleseg_os32", "paddleseg"),
        (next(case for case in CASES if CASES[case][0] == "mmseg"), "mmseg"),
    ],
)
def test_the_manifest_says_how_the_authors_of_the_dialect_score(
    case: str, convention: str
) -> None:
    assert network_facts(recognised(case)).convention == convention


@pytest.mark.parametrize("case", CASES)
def test_only_one_dialect_matches(case: str) -> None:
    # `recognise` without a dialect refuses when several match; so this must not raise.
    assert recognise(tensors_of(case)).dialect == CASES[case][0]


def test_all_faults_are_listed_at_once(tensors: Tensors) -> None:
    missing = [
        "head.encmodule.encoding.3.scale",
        "pretrained.bn1.running_mean",
        "jpu.conv4.0.weight",
    ]
    extra = {"head.brand.new": (3, 4), "optimizer.rate": ()}
    misshapen = {"jpu.conv5.1.bias": (9,), "pretrained.layer1.0.conv2.weight": (4, 4, 5, 5)}
    for name in missing:
        del tensors[name]
    for name, shape in {**extra, **misshapen}.items():
        tensors[name] = np.zeros(shape, np.float32)
    text = refused(tensors)
    assert text.startswith("7 of the checkpoint's tensors do not fit the wuhuikai network")
    for line in (
        "missing: head.encmodule.encoding.3.scale (5,)",
        "missing: pretrained.bn1.running_mean (8,)",
        "missing: jpu.conv4.0.weight (8, 32, 3, 3)",
        "unexpected: head.brand.new (3, 4)",
        "unexpected: optimizer.rate ()",
        "misshapen: jpu.conv5.1.bias is (9,), expected (8,)",
        "misshapen: pretrained.layer1.0.conv2.weight is (4, 4, 5, 5), expected (4, 4, 3, 3)",
    ):
        assert line in text
    assert text.count("\n") == 7


def test_a_missing_classifier_is_named_and_not_a_crash(tensors: Tensors) -> None:
    del tensors["head.conv6.1.weight"]
    assert "missing: head.conv6.1.weight (150, 12, 1, 1)" in refused(tensors)


def spoil_with_nan(tensors: Tensors) -> None:
    tensors["jpu.conv3.0.weight"][0, 0, 0, 0] = np.nan


def spoil_with_infinity(tensors: Tensors) -> None:
    tensors["head.conv6.1.bias"][0] = -np.inf


def spoil_the_variance(tensors: Tensors) -> None:
    tensors["pretrained.bn1.running_var"][3] = -1e-3


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_with_nan, "jpu.conv3.0.weight holds values that are not finite"),
        (spoil_with_infinity, "head.conv6.1.bias holds values that are not finite"),
        (spoil_the_variance, "pretrained.bn1.running_var is a variance and holds negative values"),
    ],
)
def test_values_that_no_trained_network_has_are_refused_by_name(
    tensors: Tensors, spoil: Callable[[Tensors], None], message: str
) -> None:
    spoil(tensors)
    text = refused(tensors)
    assert message in text
    assert "damaged" in text


def test_values_at_fault_are_listed_at_once(tensors: Tensors) -> None:
    for spoil in (spoil_with_nan, spoil_with_infinity, spoil_the_variance):
        spoil(tensors)
    assert refused(tensors).count("\n") == 3


def test_damage_in_a_tensor_of_training_does_not_matter(tensors: Tensors) -> None:
    tensors["auxlayer.conv5.0.weight"][:] = np.nan
    assert "auxiliary.conv.conv.weight" not in recognise(tensors).weights


def test_an_unknown_dialect_is_refused_with_the_known_ones(tensors: Tensors) -> None:
    text = refused(tensors, dialect="caffe")
    assert f"unknown dialect 'caffe'; known: {', '.join(dialect_names())}" in text


def test_names_of_no_dialect_are_shown(tensors: Tensors) -> None:
    text = refused({"encoder.0.weight": np.zeros(3), "encoder.0.bias": np.zeros(3)})
    assert "no known dialect" in text
    assert "encoder.0.weight, encoder.0.bias" in text
    assert "--dialect" in text


def test_a_checkpoint_that_two_dialects_match_is_refused(tensors: Tensors) -> None:
    text = refused(tensors | tensors_of("mmseg_psp"))
    assert "several dialects (mmseg, wuhuikai)" in text


def test_naming_the_wrong_dialect_lists_what_does_not_fit(tensors: Tensors) -> None:
    text = refused(tensors, dialect="mmseg")
    assert "missing: backbone." in text
    assert "unexpected: pretrained.bn1.weight (8,)" in text


def test_nothing_at_all_is_refused() -> None:
    assert "no tensors at all" in refused({})


@pytest.mark.parametrize("case", ["wuhuikai_encnet", "paddleseg_os32", "mmseg_psp"])
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_the_output_stride_is_settable_and_then_nothing_is_assumed(case: str, stride: int) -> None:
    found = recognise(tensors_of(case), output_stride=stride)
    assert found.output_stride == stride
    assert found.architecture.backbone.output_stride == stride
    assert found.assumed == ()


@pytest.mark.parametrize(
    ("case", "stride", "dilations"),
    [
        ("wuhuikai_encnet", 32, "1, 1, 1, 1"),
        ("wuhuikai_encnet_no_jpu", 8, "1, 1, 2, 4"),
        ("wuhuikai_laterals", 8, "1, 1, 2, 4"),
        ("ncpaddle_encnet", 32, "1, 1, 1, 1"),
        ("paddleseg_os32", 8, "1, 1, 2, 4"),
        ("mmseg_psp", 32, "1, 1, 2, 4"),
    ],
)
def test_the_published_stride_and_dilations_are_taken_and_said(
    case: str, stride: int, dilations: str
) -> None:
    found = recognise(tensors_of(case))
    assert found.output_stride == stride
    (note,) = found.assumed
    assert f"output stride {stride} and dilations {dilations} of the backbone" in note
    assert f"published defaults of {found.dialect}" in note
    assert "--output-stride" in note


def test_an_output_stride_that_no_network_has_is_refused(tensors: Tensors) -> None:
    assert "output stride 4 is not one of wuhuikai's: 8, 16, 32" in refused(
        tensors, output_stride=4
    )


@pytest.mark.parametrize("case", ["ncpaddle_encnet", "paddleseg_os32"])
def test_a_linear_matrix_of_paddle_is_turned_and_one_left_as_torch_has_it_is_found_out(
    case: str,
) -> None:
    tensors = tensors_of(case)
    (key,) = (name for name in tensors if name.endswith(("selayer.weight", "se_layer.weight")))
    classes = CASES[case][1].classes
    assert tensors[key].shape == (12, classes)
    tensors[key] = tensors[key].T
    assert f"misshapen: {key} is ({classes}, 12), expected (12, {classes})" in refused(tensors)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_float_types_are_read_and_half_precision_is_widened(
    tensors: Tensors, dtype: type[np.floating]
) -> None:
    found = recognise({name: array.astype(dtype) for name, array in tensors.items()})
    wanted = np.float32 if dtype is np.float16 else dtype
    assert {array.dtype for array in found.weights.values()} == {np.dtype(wanted)}
    expected = tensors["jpu.conv3.0.weight"].astype(dtype)
    assert np.array_equal(found.weights["jpu.p3.conv.weight"], expected)


@pytest.mark.parametrize("dtype", ["int8", "int64", "bool", "complex64"])
def test_weights_that_are_no_floats_are_refused(tensors: Tensors, dtype: str) -> None:
    tensors["jpu.conv3.0.weight"] = tensors["jpu.conv3.0.weight"].astype(dtype)
    assert f"no floats: jpu.conv3.0.weight is {dtype}, expected a float" in refused(tensors)


def test_big_endian_tensors_are_read(tensors: Tensors) -> None:
    found = recognise({name: array.astype(">f4") for name, array in tensors.items()})
    for name, exact in recognised("wuhuikai_encnet").weights.items():
        assert found.weights[name].dtype == np.dtype(np.float32).newbyteorder("=")
        assert np.array_equal(found.weights[name], exact)


def test_paddle_s_bfloat16_is_the_upper_half_of_a_float32() -> None:
    tensors = tensors_of("paddleseg_os32")
    halves = {n: (a.view(np.uint32) >> 16).astype(np.uint16) for n, a in _copied(tensors).items()}
    found = recognise(halves, output_stride=32)
    for name, exact in recognised("paddleseg_os32").weights.items():
        # A bfloat16 has 8 bits; cutting the rest off loses less than one in the last.
        assert np.allclose(found.weights[name], exact, rtol=2**-7, atol=0)
        assert found.weights[name].dtype == np.float32


def _copied(tensors: Tensors) -> Tensors:
    return {name: np.ascontiguousarray(array) for name, array in tensors.items()}


def test_a_new_file_in_the_folder_is_a_new_dialect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(wuhuikai.__file__).read_text()
    (tmp_path / "elsewhere.py").write_text(source.replace('"pretrained."', '"trunk."'))
    monkeypatch.setattr(dialects, "__path__", [*dialects.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "fastfcn_export.dialect.dialects.elsewhere", raising=False)
    assert "elsewhere" in dialect_names()
    _, architecture, _ = CASES["wuhuikai_encnet"]
    in_dialect = to_dialect("elsewhere", architecture, random_weights(architecture))
    assert recognise(in_dialect, dialect="elsewhere").architecture == architecture
    # Found from the keys as well, where its own test of them is met.
    marked = in_dialect | {"trunk.fc.weight": np.zeros(1, np.float32)}
    assert "several dialects (elsewhere, wuhuikai)" in refused(marked)


def test_the_names_of_an_architecture_do_not_collide() -> None:
    for name, (dialect, architecture, _) in CASES.items():
        in_dialect = to_dialect(dialect, architecture, random_weights(architecture))
        assert len(in_dialect) == len(cost.tensors(architecture)), name
