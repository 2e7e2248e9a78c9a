"""The weights are found below any path and key, told from averages and teachers, and extra tensors decide nothing."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exports import recognised, tensors_of
from fastfcn_export import convert
from fastfcn_export.checkpoint.read import CheckpointFile
from fastfcn_export.dialect.dialect import Recognised
from fastfcn_export.request import Request
from fastfcn_infer.errors import CheckpointError
from hostile.assembler import array, bare, called, mapping, named, text
from networks import CASES

Tree = Mapping[str, Any]
ONE_OF_EACH_DIALECT = ["wuhuikai_encnet", "ncpaddle_encnet", "paddleseg_os32", "mmseg_psp"]


def read(tree: object, folder: Path, case: str, **options: Any) -> Recognised:
    file = folder / "checkpoint"
    file.write_bytes(tree if isinstance(tree, bytes) else pickle.dumps(tree, 4))
    request = Request(output_stride=CASES[case][2], **options)
    return convert._recognise(CheckpointFile(file), request)


def assert_same(found: Recognised, case: str, factor: float = 1.0) -> None:
    expected = recognised(case)
    assert found.architecture.head == expected.architecture.head
    assert found.weights.keys() == expected.weights.keys()
    for name, value in expected.weights.items():
        np.testing.assert_array_equal(found.weights[name], value * np.float32(factor))


def below(prefix: str, tensors: Tree, factor: float = 1.0) -> dict[str, Any]:
    return {prefix + name: value * np.float32(factor) for name, value in tensors.items()}


PATHS = (
    "module.", "model.", "net.", "_orig_mod.", "module.module.", "student.", "teacher.", "encoder_decoder.model.",
    "module._orig_mod.model.", "a.b.c.d.e.",
)  # fmt: skip


@pytest.mark.parametrize("prefix", PATHS)
@pytest.mark.parametrize("case", ONE_OF_EACH_DIALECT)
def test_a_path_before_all_names_is_taken_off_and_said(
    case: str, prefix: str, tmp_path: Path
) -> None:
    found = read({"state_dict": below(prefix, tensors_of(case))}, tmp_path, case)
    assert_same(found, case)
    if prefix not in ("module.", "_orig_mod."):
        assert any(repr(prefix) in sentence for sentence in found.found)


WRAPPERS = (
    "ema_state_dict", "model_ema", "weights", "params", "teacher", "network", "state_dict", "model", "generator.net",
    "something", "a.b.c",
)  # fmt: skip


@pytest.mark.parametrize("key", WRAPPERS)
def test_weights_under_any_key_are_found(key: str, tmp_path: Path) -> None:
    tree: Any = below("module.", tensors_of("mmseg_psp"))
    for part in reversed(key.split(".")):
        tree = {part: tree, "epoch": 3}
    assert_same(read(tree, tmp_path, "mmseg_psp"), "mmseg_psp")


def test_wrappers_of_single_modules_are_taken_out_of_the_middle_of_names(tmp_path: Path) -> None:
    tensors = tensors_of("mmseg_psp")
    wrapped = {
        name.replace("backbone.", "backbone._orig_mod.", 1): value
        for name, value in tensors.items()
    }
    assert_same(read(wrapped, tmp_path, "mmseg_psp"), "mmseg_psp")


SETS: dict[str, tuple[str, str, list[str]]] = {
    "two wrappers": ("state_dict", "teacher", ["state_dict", "teacher"]),
    "two unusual keys": ("first", "second", ["first", "second"]),
    "two paths": ("state_dict/student.", "state_dict/teacher.", ["student", "teacher"]),
}


def two(what: str) -> dict[str, Any]:
    first, second, _ = SETS[what]
    tree: dict[str, Any] = {}
    for place, factor in ((first, 1), (second, 2)):
        key, _, prefix = place.partition("/")
        tree.setdefault(key, {}).update(below(prefix, tensors_of("mmseg_psp"), factor))
    return tree


@pytest.mark.parametrize("what", SETS)
def test_several_sets_that_fit_are_listed_and_the_user_chooses(what: str, tmp_path: Path) -> None:
    keys = SETS[what][2]
    with pytest.raises(CheckpointError, match="--weights-key") as caught:
        read(two(what), tmp_path, "mmseg_psp")
    for factor, key in enumerate(keys, start=1):
        assert key in str(caught.value)
        found = read(two(what), tmp_path, "mmseg_psp", weights_key=key)
        assert_same(found, "mmseg_psp", factor)


def test_a_key_that_holds_no_weights_is_refused_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no weights under 'third'.*first, second"):
        read(two("two unusual keys"), tmp_path, "mmseg_psp", weights_key="third")


def test_a_key_may_name_a_set_that_no_dialect_knows_and_then_says_what_is_missing(
    tmp_path: Path,
) -> None:
    tree = {"state_dict": tensors_of("mmseg_psp"), "other": {"a.weight": np.ones(2, "f4")}}
    with pytest.raises(CheckpointError, match=r"no known dialect; they begin with: a\.weight"):
        read(tree, tmp_path, "mmseg_psp", weights_key="other")


AVERAGES: dict[str, Callable[[Tree], Tree]] = {
    "a set of its own": lambda tensors: {"state_dict": tensors, "ema_state_dict": below("", tensors, 2)},
    "another key": lambda tensors: {"model": tensors, "model_ema": below("module.", tensors, 2)},
    "a key after": lambda tensors: {"state_dict": tensors, "state_dict_ema": below("", tensors, 2)},
    "a path": lambda tensors: {"state_dict": {**below("model.", tensors), **below("ema_model.", tensors, 2)}},
    "a path inside": lambda tensors: {**tensors, **below("ema.module.", tensors, 2)},
    "flat names": lambda tensors: {
        "state_dict": {**tensors, **{f"ema_{name.replace('.', '_')}": value * np.float32(2) for name, value in tensors.items()}}
    },
}  # fmt: skip


@pytest.mark.parametrize("where", AVERAGES)
def test_the_average_is_taken_only_if_asked_for(where: str, tmp_path: Path) -> None:
    tree = AVERAGES[where](tensors_of("mmseg_psp"))
    found = read(tree, tmp_path, "mmseg_psp")
    assert_same(found, "mmseg_psp")
    assert any("--use-ema" in sentence for sentence in found.found)
    assert_same(read(tree, tmp_path, "mmseg_psp", use_ema=True), "mmseg_psp", 2)


def test_an_average_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no moving average"):
        read(tensors_of("mmseg_psp"), tmp_path, "mmseg_psp", use_ema=True)


def test_the_only_weights_are_taken_even_if_they_are_an_average(tmp_path: Path) -> None:
    assert_same(read({"ema": tensors_of("mmseg_psp")}, tmp_path, "mmseg_psp"), "mmseg_psp")


@pytest.mark.parametrize("use_ema", [False, True])
def test_mmengine_s_swap_of_the_average_is_known(use_ema: bool, tmp_path: Path) -> None:
    # Its EMAHook stores the average as state_dict (mmengine/hooks/ema_hook.py, _swap_ema_state_dict).
    tensors = tensors_of("mmseg_psp")
    tree = {
        "meta": {}, "message_hub": {}, "state_dict": tensors,
        "ema_state_dict": {**below("module.", tensors, 2), "steps": np.array(7)},
    }  # fmt: skip
    found = read(tree, tmp_path, "mmseg_psp", use_ema=use_ema)
    assert_same(found, "mmseg_psp")
    assert any("saves the moving average as state_dict" in sentence for sentence in found.found)
    other = read(tree, tmp_path, "mmseg_psp", weights_key="ema_state_dict")
    assert_same(other, "mmseg_psp", 2)


EXTRA: dict[str, tuple[str, tuple[int, ...], str]] = {
    "a second auxiliary head": (
        "auxiliary_head.1.conv_seg.weight",
        (3, 4, 1, 1),
        "auxiliary head",
    ),
    "an auxiliary head of another program": ("aux_head.cls.weight", (2,), "auxiliary head"),
    "a loss": ("criterion.weight", (7,), "loss functions"),
    "a loss in the head": ("decode_head.loss_decode.class_weight", (7,), "loss functions"),
    "a loss of its own": ("loss.1.weight", (7,), "loss functions"),
    "the preprocessor's mean": ("data_preprocessor.mean", (3, 1, 1), "normalisation"),
    "a mean": ("pixel_mean", (3,), "normalisation"),
    "an average": ("ema_backbone_layer1_0_conv1_weight", (4,), "moving average"),
    "counters": ("n_averaged", (), "counters"),
    "batch counters": ("decode_head.bottleneck.bn.num_batches_tracked", (), "batch counters"),
}


@pytest.mark.parametrize("what", EXTRA)
def test_a_tensor_that_inference_never_uses_is_counted_as_unused(
    what: str, tmp_path: Path
) -> None:
    name, shape, reason = EXTRA[what]
    before = read(tensors_of("mmseg_psp"), tmp_path, "mmseg_psp").unused
    tensors = {**tensors_of("mmseg_psp"), name: np.zeros(shape, "f4")}
    found = read(tensors, tmp_path, "mmseg_psp")
    assert_same(found, "mmseg_psp")
    (counted,) = (why for why in found.unused if why.startswith(reason))
    assert found.unused[counted] == before.get(counted, 0) + 1


@pytest.mark.parametrize(
    ("case", "part"),
    [
        ("mmseg_psp", "auxiliary_head."), ("wuhuikai_encnet", "auxlayer."), ("paddleseg_os32", "fcn_head."),
        ("wuhuikai_encnet", "head.encmodule.selayer."), ("paddleseg_os32", "se_layer."),
    ],
)  # fmt: skip
def test_a_part_of_training_may_have_any_shape_or_be_incomplete(
    case: str, part: str, tmp_path: Path
) -> None:
    tensors = dict(tensors_of(case))
    names = [name for name in tensors if name.startswith(part)]
    for name in names:
        tensors[name] = np.full((3, *tensors[name].shape), np.nan, "f4")
    assert_same(read(tensors, tmp_path, case), case)
    del tensors[names[0]]
    assert_same(read(tensors, tmp_path, case), case)


@pytest.mark.parametrize(
    "name", ["decode_head.extra.weight", "refine.weight", "backbone.layer1.0.gate"]
)
def test_a_tensor_that_inference_may_use_is_still_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"unexpected: {name}"):
        read({**tensors_of("mmseg_psp"), name: np.ones(2, "f4")}, tmp_path, "mmseg_psp")


def test_a_damaged_tensor_matters_only_if_it_is_needed(tmp_path: Path) -> None:
    tensors: dict[str, Any] = {**tensors_of("mmseg_psp"), "notes": np.array([None], object)}
    assert_same(read(tensors, tmp_path, "mmseg_psp"), "mmseg_psp")
    tensors["decode_head.conv_seg.weight"] = np.array([None], object)
    with pytest.raises(CheckpointError, match=r"not readable: decode_head\.conv_seg\.weight"):
        read(tensors, tmp_path, "mmseg_psp")


def test_code_in_place_of_a_needed_tensor_is_named(tmp_path: Path) -> None:
    tensors = tensors_of("mmseg_psp")
    body = {name: array(value) for name, value in tensors.items()}
    body["decode_head.conv_seg.bias"] = called(
        named("torch._utils", "_rebuild_sparse_tensor"), text("x")
    )
    with pytest.raises(CheckpointError) as caught:
        read(bare(mapping(body)), tmp_path, "mmseg_psp")
    assert "decode_head.conv_seg.bias" in str(caught.value)
    assert "torch._utils._rebuild_sparse_tensor" in str(caught.value)
    assert "nothing was run" in str(caught.value)
