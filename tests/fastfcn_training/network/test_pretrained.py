import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from exports import save_checkpoint, tensors_of
from fastfcn_export.network import choice
from fastfcn_export.network.architecture import Architecture, Auxiliary, Fcn
from fastfcn_export.network.choice import NetworkChoice
from fastfcn_export.network.resnet import resnet
from fastfcn_export.target.random_weights import random_weights
from fastfcn_export.target.targets import cost
from fastfcn_export.target.targets.reference import NumpyOps
from fastfcn_infer.errors import CheckpointError
from fastfcn_training.network import pretrained
from fastfcn_training.network.initial_weights import initial_weights
from fastfcn_training.network.pretrained import backbone_weights, initial_network, network_weights
from networks import CASES
from trained_files import CHOICES, trained, write_trained

Tensors = Mapping[str, NDArray[Any]]
RECORDED = json.loads(
    (Path(__file__).parents[2] / "data" / "golden" / "backbones.json").read_text()
)
PLAIN, VD = NetworkChoice(form="plain"), NetworkChoice(form="vd", family="paddleseg")
OF_RECORDED = {
    "torchvision resnet18": replace(PLAIN, backbone="resnet18"),
    "torchvision resnet50": PLAIN,
    "paddleclas ResNet50": PLAIN,
    "paddleclas ResNet18_vd": replace(VD, backbone="resnet18"),
    "paddleclas ResNet50_vd": VD,
    "paddleseg ResNet50_vd": VD,
}


def in_backbone(architecture: Architecture) -> set[str]:
    return {name for name in cost.tensors(architecture) if name.startswith("backbone.")}


def saved(folder: Path, tensors: Tensors) -> Path:
    path = folder / "file.safetensors"
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, path)
    return path


def equal(found: Tensors, expected: Tensors) -> bool:
    return all(np.array_equal(array, expected[name]) for name, array in found.items())


@pytest.mark.parametrize("who", RECORDED)
def test_every_tensor_of_a_published_backbone_has_its_place(
    who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hollow = {name: np.broadcast_to(np.float16(1), shape) for name, shape in RECORDED[who]}
    monkeypatch.setattr(pretrained, "read_checkpoint", lambda path: hollow)
    architecture = choice.architecture(OF_RECORDED[who], 3)
    found = backbone_weights("file", architecture)
    assert found.weights.keys() == in_backbone(architecture)
    assert {array.dtype.name for array in found.weights.values()} == {"float32"}
    classifier = [note for note in found.notes if "classifier" in note]
    assert classifier == ["2 tensors are not used: classifier of the backbone's own training"] * (
        who != "paddleseg ResNet50_vd"  # which has none
    )


@pytest.mark.parametrize("depth", ["resnet18", "resnet50"])
def test_a_backbone_source_paddle_s_own_library_computes_the_same_features(
    depth: Any, tmp_path: Path
) -> None:
    paddle = pytest.importorskip("paddle")
    theirs = getattr(paddle.vision.models, depth)(pretrained=False)
    theirs.eval()
    paddle.save(theirs.state_dict(), str(tmp_path / "model.pdparams"))
    architecture = choice.architecture(replace(PLAIN, backbone=depth), 3)
    found = backbone_weights(tmp_path / "model.pdparams", architecture)
    image = np.random.default_rng(5).standard_normal((1, 3, 65, 97)).astype(np.float32)
    x = theirs.relu(theirs.bn1(theirs.conv1(paddle.to_tensor(image))))
    x = theirs.layer4(theirs.layer3(theirs.layer2(theirs.layer1(theirs.maxpool(x)))))
    ours = resnet(NumpyOps(found.weights, image.dtype), architecture.backbone, image)[-1]
    assert np.abs(x.numpy() - ours).max() <= 1e-5 * np.abs(ours).max()


@pytest.mark.parametrize("case", CASES)
def test_a_backbone_comes_out_of_a_whole_checkpoint_of_any_dialect(
    case: str, tmp_path: Path
) -> None:
    dialect, architecture, _ = CASES[case]
    path = save_checkpoint(tmp_path, dialect, tensors_of(case))
    found = backbone_weights(path, architecture)
    assert found.weights.keys() == in_backbone(architecture)
    assert equal(found.weights, random_weights(architecture))
    behind = len(cost.tensors(architecture)) - len(found.weights)
    assert f"{behind} tensors are not used: parts of the network outside the backbone" in (
        found.notes
    )


@pytest.mark.parametrize("case", CASES)
def test_a_backbone_comes_out_of_a_file_that_holds_nothing_but_it(
    case: str, tmp_path: Path
) -> None:
    _, architecture, _ = CASES[case]
    prefix = ("backbone.", "pretrained.")
    bare = {
        name.partition(".")[2]: array
        for name, array in tensors_of(case).items()
        if name.startswith(prefix)
    }
    classifier: dict[str, NDArray[Any]] = {
        "fc.weight": np.zeros((40, 1000), np.float32),
        "fc.bias": np.zeros(1000),
    }
    found = backbone_weights(saved(tmp_path, bare | classifier), architecture)
    assert found.weights.keys() == in_backbone(architecture)
    assert equal(found.weights, random_weights(architecture))


def test_a_backbone_comes_out_of_a_checkpoint_of_ours(tmp_path: Path) -> None:
    said = trained(CHOICES["paddleseg"])
    architecture = choice.architecture(replace(said.network, output_stride=8, jpu=None), 9)
    found = backbone_weights(write_trained(tmp_path / "m.safetensors", said), architecture)
    assert found.weights.keys() == in_backbone(architecture)
    assert equal(found.weights, random_weights(architecture))


def test_a_backbone_source_another_form_is_refused_with_every_tensor_that_does_not_fit(
    tmp_path: Path,
) -> None:
    _, deep, _ = CASES["wuhuikai_encnet"]
    plain = replace(deep, backbone=replace(deep.backbone, stem=(8,)))
    bare = {
        name.removeprefix("pretrained."): array
        for name, array in tensors_of("wuhuikai_encnet").items()
        if name.startswith("pretrained.")
    }
    bare.pop("layer4.1.bn3.running_mean")
    with pytest.raises(CheckpointError) as caught:
        backbone_weights(saved(tmp_path, bare), plain)
    lines = [line.strip() for line in str(caught.value).split("\n")]
    assert "a stem of 8 channels" in lines[0]
    assert sorted(lines[1:]) == sorted(
        [
            "missing: conv1.weight (8, 3, 7, 7)",
            "missing: layer4.1.bn3.running_mean (40,)",
            *(
                f"unexpected: {name} {array.shape}"
                for name, array in bare.items()
                if name.startswith("conv1.")
            ),
        ]
    )


def test_a_file_without_a_backbone_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, {"encoder.weight": np.zeros(3)})
    with pytest.raises(CheckpointError, match="no known backbone"):
        backbone_weights(path, CASES["paddleseg_os32"][1])


def test_a_backbone_that_diverged_is_refused(tmp_path: Path) -> None:
    tensors = dict(tensors_of("paddleseg_os32"))
    tensors["backbone.conv1_1._conv.weight"] = np.full((4, 3, 3, 3), np.nan, np.float32)
    with pytest.raises(CheckpointError, match="not finite"):
        backbone_weights(saved(tmp_path, tensors), CASES["paddleseg_os32"][1])


@pytest.mark.parametrize("case", CASES)
def test_a_whole_network_is_taken_with_its_parts_of_training(case: str, tmp_path: Path) -> None:
    dialect, architecture, _ = CASES[case]
    path = save_checkpoint(tmp_path, dialect, tensors_of(case))
    found = network_weights(path, architecture)
    assert found.notes == ()
    assert found.weights.keys() == cost.tensors(architecture).keys()
    assert equal(found.weights, random_weights(architecture))


def test_a_network_of_ours_is_taken_at_another_output_stride(tmp_path: Path) -> None:
    said = trained(CHOICES["wuhuikai"])
    path = write_trained(tmp_path / "m.safetensors", said)
    other = choice.architecture(replace(said.network, output_stride=8), 4)
    found = network_weights(path, other)
    assert found.notes == ()
    assert equal(found.weights, random_weights(other))
    assert found.weights.keys() == cost.tensors(other).keys()


def test_classifiers_start_from_random_weights_if_the_classes_differ(tmp_path: Path) -> None:
    dialect, architecture, _ = CASES["wuhuikai_encnet"]
    path = save_checkpoint(tmp_path, dialect, tensors_of("wuhuikai_encnet"))
    found = network_weights(path, replace(architecture, classes=3))
    assert found.notes == (
        "the classifiers start from random weights: the file has 7 classes, not 3",
    )
    assert cost.tensors(architecture).keys() - found.weights.keys() == {
        f"{layer}.{part}"
        for layer in ("head.classifier", "auxiliary.classifier", "head.semantic")
        for part in ("weight", "bias")
    }


def test_training_only_parts_missing_from_the_file_start_from_random_weights(
    tmp_path: Path,
) -> None:
    dialect, architecture, _ = CASES["wuhuikai_laterals"]  # has neither
    path = save_checkpoint(tmp_path, dialect, tensors_of("wuhuikai_laterals"))
    wanted = replace(architecture, auxiliary=Auxiliary(4), semantic=True)
    found = network_weights(path, wanted)
    assert found.notes == (
        "the auxiliary head starts from random weights: the file has none",
        "the semantic layer starts from random weights: the file has none",
    )
    assert found.weights.keys() == cost.tensors(architecture).keys()


def test_an_auxiliary_head_of_another_width_starts_from_random_weights(tmp_path: Path) -> None:
    dialect, architecture, _ = CASES["wuhuikai_encnet"]
    wider = replace(architecture, auxiliary=Auxiliary(6))
    path = save_checkpoint(tmp_path, dialect, tensors_of("wuhuikai_encnet"))
    found = network_weights(path, wider)
    assert found.notes == (
        "the auxiliary head starts from random weights: the file has a different one",
    )
    assert not [name for name in found.weights if name.startswith("auxiliary.")]


@pytest.mark.parametrize(
    ("changes", "finds"),
    [
        ({"head": Fcn(8)}, "head: EncNet"),
        ({"jpu": None}, "jpu: Jpu"),
        ({"jpu": replace(CASES["wuhuikai_encnet"][1].jpu, coarse_first=False)}, "coarse_first"),  # type: ignore[type-var]
        ({"backbone": CASES["wuhuikai_plain_stem"][1].backbone}, "backbone: Backbone"),
    ],
    ids=["head", "no jpu", "order of the jpu", "stem"],
)
def test_another_network_is_refused_even_where_all_shapes_fit(
    changes: dict[str, Any], finds: str, tmp_path: Path
) -> None:
    dialect, architecture, _ = CASES["wuhuikai_encnet"]
    path = save_checkpoint(tmp_path, dialect, tensors_of("wuhuikai_encnet"))
    with pytest.raises(CheckpointError) as caught:
        network_weights(path, replace(architecture, **changes))
    assert str(path) in str(caught.value)
    assert finds in str(caught.value)


def test_initial_network_are_the_file_s_and_else_those_of_the_seed(tmp_path: Path) -> None:
    dialect, architecture, _ = CASES["wuhuikai_encnet"]
    path = save_checkpoint(tmp_path, dialect, tensors_of("wuhuikai_encnet"))
    drawn, theirs = initial_weights(architecture, 7), random_weights(architecture)
    assert equal(initial_network(architecture, 7).weights, drawn)
    begun = initial_network(architecture, 7, backbone=path)
    assert begun.weights.keys() == drawn.keys()
    for name, array in begun.weights.items():
        source = theirs if name.startswith("backbone.") else drawn
        assert np.array_equal(array, source[name]), name
    assert equal(initial_network(architecture, 7, network=path).weights, theirs)
    with pytest.raises(ValueError, match="give one of them"):
        initial_network(architecture, 7, backbone=path, network=path)
