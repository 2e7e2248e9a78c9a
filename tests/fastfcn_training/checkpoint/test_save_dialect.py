import json
import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import fill
from fastfcn_export import read_checkpoint
from fastfcn_export.dialect.dialect import load_dialect, recognise
from fastfcn_export.dialect.trained import KEY, Trained
from fastfcn_export.network import choice
from fastfcn_export.network.choice import NetworkChoice
from fastfcn_export.target.random_weights import random_weights
from fastfcn_infer.artifact.class_table import numbered_classes
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.record import to_json
from fastfcn_training.checkpoint.save_dialect import check_dialect, save_dialect, save_dialects
from trained_files import CHOICES, trained, write_trained

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
PADDLESEG = NetworkChoice(
    backbone="resnet18", form="vd", output_stride=16, laterals=True, family="paddleseg"
)
NCPADDLE = NetworkChoice(form="plain", family="ncpaddle")


def described(network: NetworkChoice, classes: int = 19) -> Trained:
    conventions = load_dialect(network.family).CONVENTIONS
    return replace(
        trained(network),
        classes=numbered_classes(classes),
        align_corners=conventions.align_corners,
        mean=conventions.mean,
        std=conventions.std,
    )


def golden(name: str) -> dict[str, Any]:
    case = json.loads((GOLDEN / f"{name}.json").read_text())
    assert isinstance(case, dict)
    return case


def test_the_two_dialects_of_paddle_are_offered() -> None:
    assert set(save_dialects()) == {"paddleseg", "ncpaddle"}


def test_a_saved_file_holds_the_tensors_of_paddleseg_s_own_network_bit_by_bit(
    tmp_path: Path,
) -> None:
    # The recorded network's tensors, through our names into a checkpoint of ours, and out again.
    case = golden("peer_paddleseg_r18vd_os16_lateral")
    theirs = {name: fill.tensor(name, shape, kind) for name, shape, kind in case["tensors"]}
    ours = recognise(theirs, output_stride=16, training=True).weights
    said = described(PADDLESEG, case["classes"])
    source = tmp_path / "model.safetensors"
    contiguous = {name: np.ascontiguousarray(array) for name, array in ours.items()}
    save_file(contiguous, source, {KEY: to_json(said)})
    save_dialect(source, "paddleseg", tmp_path / "model.pdparams")
    found = read_checkpoint(tmp_path / "model.pdparams")
    assert found.keys() == theirs.keys()
    assert [name for name in theirs if not np.array_equal(found[name], theirs[name])] == []


def test_a_saved_file_has_the_names_and_shapes_of_the_port_but_for_the_unused_classifier(
    tmp_path: Path,
) -> None:
    case = golden("ncpaddle_encnet_r50_jpu")
    said = described(NCPADDLE, case["classes"])
    source = write_trained(tmp_path / "m.safetensors", said)
    save_dialect(source, "ncpaddle", tmp_path / "m.pdparams")
    found = {name: array.shape for name, array in read_checkpoint(tmp_path / "m.pdparams").items()}
    theirs = {name: tuple(shape) for name, shape, _ in case["tensors"]}
    unused = {"pretrained.fc.weight": (2048, 1000), "pretrained.fc.bias": (1000,)}
    assert found | unused == theirs


def test_the_pickle_is_what_paddle_writes(tmp_path: Path) -> None:
    source = write_trained(tmp_path / "m.safetensors", described(PADDLESEG))
    save_dialect(source, "paddleseg", tmp_path / "m.pdparams")
    data = (tmp_path / "m.pdparams").read_bytes()
    assert data[:2] == b"\x80\x04"  # protocol 4
    state = pickle.loads(data)
    names = state.pop("StructuredToParameterName@@")
    assert list(names) == list(state)
    assert len(set(names.values())) == len(names)
    assert Counter((type(a), a.dtype.name) for a in state.values()) == {
        (np.ndarray, "float32"): len(state)
    }
    assert all(array.flags.c_contiguous for array in state.values())


def test_paddle_loads_the_file_as_a_state_dict(tmp_path: Path) -> None:
    paddle = pytest.importorskip("paddle")
    said = described(PADDLESEG, 4)
    source = write_trained(tmp_path / "m.safetensors", said)
    save_dialect(source, "paddleseg", tmp_path / "m.pdparams")
    state = paddle.load(str(tmp_path / "m.pdparams"))
    weights = random_weights(choice.architecture(said.network, 4))
    matrix = state["enc_module.fc.0.weight"].numpy()
    assert np.array_equal(matrix, weights["head.gate.weight"].T)
    assert set(map(type, state.values())) == {paddle.Tensor}


@pytest.mark.parametrize(
    "network",
    [
        PADDLESEG,
        replace(PADDLESEG, backbone="resnet50", output_stride=8, laterals=False, semantic=False),
        replace(PADDLESEG, backbone="resnet101", output_stride=32, auxiliary=False),
        replace(PADDLESEG, jpu=None, output_stride=8),
        replace(PADDLESEG, jpu_width=96, head_width=96, auxiliary_width=96, codes=16),
        NCPADDLE,
        replace(NCPADDLE, head="fcn", semantic=False),
        replace(NCPADDLE, jpu=None, output_stride=8, auxiliary=False),
        replace(NCPADDLE, laterals=True, output_stride=8),
        replace(NCPADDLE, jpu="jpu_x"),
    ],
    ids=lambda network: f"{network.family} {network.backbone} {network.head} {network.jpu}",
)
def test_networks_that_the_projects_build_can_be_saved(network: NetworkChoice) -> None:
    check_dialect(network.family, described(network))
    (other,) = {"paddleseg", "ncpaddle"} - {network.family}
    with pytest.raises(CheckpointError, match=f"family {network.family}, expected {other}"):
        check_dialect(other, described(network))


@pytest.mark.parametrize(
    ("dialect", "said", "finds"),
    [
        (
            "paddleseg",
            described(NCPADDLE),
            ("family ncpaddle", "align_corners is True", "mean is", "std is"),
        ),
        (
            "paddleseg",
            replace(described(PADDLESEG), mean=(0.485, 0.456, 0.406), align_corners=True),
            ("mean is (0.485, 0.456, 0.406)", "align_corners is True"),
        ),
        (
            "paddleseg",
            described(replace(PADDLESEG, backbone_width=32)),
            ("backbone_width is 32; paddleseg has 64",),
        ),
        (
            "paddleseg",
            described(replace(PADDLESEG, backbone="resnet34", jpu_width=96)),
            ("backbone is resnet34", "jpu_width 96, head_width 512, auxiliary_width 512"),
        ),
        (
            "ncpaddle",
            described(replace(NCPADDLE, backbone="resnet101", form="deep", codes=16)),
            ("backbone is resnet101", "form is deep", "codes is 16"),
        ),
        ("ncpaddle", described(CHOICES["ncpaddle"]), ("head_width is 12; ncpaddle has 512",)),
        ("mmseg", described(PADDLESEG), ("it can only be read",)),
        ("tensorflow", described(PADDLESEG), ("it is unknown",)),
    ],
    ids=range(8),
)
def test_what_the_other_project_would_compute_otherwise_is_refused_with_every_reason(
    dialect: str, said: Trained, finds: tuple[str, ...]
) -> None:
    with pytest.raises(CheckpointError) as caught:
        check_dialect(dialect, said)
    assert [find for find in finds if find not in str(caught.value)] == []


def test_a_network_that_cannot_be_saved_leaves_no_file(tmp_path: Path) -> None:
    source = write_trained(tmp_path / "m.safetensors", described(PADDLESEG))
    with pytest.raises(CheckpointError):
        save_dialect(source, "ncpaddle", tmp_path / "m.pdparams")
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_checkpoint_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    source = write_trained(tmp_path / "m.safetensors", metadata={"format": "np"})
    with pytest.raises(CheckpointError, match="not a checkpoint that fastfcn-train wrote"):
        save_dialect(source, "paddleseg", tmp_path / "m.pdparams")
