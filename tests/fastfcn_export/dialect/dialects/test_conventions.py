"""The conventions of each dialect, against reference/fastfcn_semantics.md."""

from dataclasses import replace

import numpy as np
import pytest

import published
from exports import tensors_of
from fastfcn_export.dialect.dialect import dialect_names, load_dialect, recognise, to_dialect
from fastfcn_export.dialect.keys import Keys
from fastfcn_export.network.architecture import Architecture, EncNet, Jpu
from fastfcn_export.target.random_weights import random_weights
from fastfcn_export.target.targets import cost
from fastfcn_infer.artifact.procedure import Resize
from networks import CASES

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_every_dialect_has_a_network_to_be_tested_with() -> None:
    assert {dialect for dialect, _, _ in CASES.values()} == set(dialect_names())


# Section 3: align_corners of the last resize, normalisation, padding, matrices (in, out).
@pytest.mark.parametrize(
    ("dialect", "align_corners", "constants", "padding", "transposed"),
    [
        ("wuhuikai", True, IMAGENET, (0.0, 0.0, 0.0), False),
        ("ncpaddle", True, IMAGENET, (0.0, 0.0, 0.0), True),
        ("paddleseg", False, HALVES, (0.5, 0.5, 0.5), True),
        ("mmseg", False, IMAGENET, IMAGENET[0], False),
    ],
)
def test_the_conventions_are_the_authors(
    dialect: str,
    align_corners: bool,
    constants: tuple[tuple[float, ...], tuple[float, ...]],
    padding: tuple[float, ...],
    transposed: bool,
) -> None:
    found = load_dialect(dialect).CONVENTIONS
    assert found.align_corners is align_corners
    assert (found.mean, found.std) == constants
    assert found.padding == padding
    assert found.matrices_transposed is transposed


def test_mmsegmentation_s_constants_are_those_of_its_0_to_255_scale() -> None:
    found = load_dialect("mmseg").CONVENTIONS
    assert np.allclose(np.array(found.mean) * 255, (123.675, 116.28, 103.53), atol=1e-9)
    assert np.allclose(np.array(found.std) * 255, (58.395, 57.12, 57.375), atol=1e-9)


# Section 4: how pictures are sized at test time.
@pytest.mark.parametrize(
    ("dialect", "classes", "resize"),
    [
        ("wuhuikai", "ade20k", Resize("long_side", 520, align_corners=True)),
        ("ncpaddle", "ade20k", Resize("short_side", 480, align_corners=False)),
        ("paddleseg", "ade20k", None),
        ("mmseg", "ade20k", Resize("fit", 2048, align_corners=False, limit=512)),
        ("mmseg", "cityscapes", Resize("fit", 2048, align_corners=False, limit=1024)),
        ("mmseg", None, Resize("fit", 2048, align_corners=False, limit=512)),
    ],
)
def test_pictures_are_sized_as_the_authors_do(
    dialect: str, classes: str | None, resize: Resize | None
) -> None:
    assert load_dialect(dialect).resize(classes) == resize


# Section 1.1: (stride, first block's dilation, others' dilation) of the last two stages.
@pytest.mark.parametrize(
    ("dialect", "stride", "third", "fourth"),
    [
        ("wuhuikai", 32, (2, 1, 1), (2, 1, 1)),
        ("wuhuikai", 8, (1, 1, 2), (1, 2, 4)),
        ("ncpaddle", 32, (2, 1, 1), (2, 1, 1)),
        ("ncpaddle", 8, (1, 1, 2), (1, 2, 4)),
        ("paddleseg", 32, (2, 1, 1), (2, 1, 1)),
        ("paddleseg", 16, (2, 1, 1), (1, 2, 2)),
        ("paddleseg", 8, (1, 2, 2), (1, 4, 4)),
        ("mmseg", 32, (2, 1, 2), (2, 2, 4)),
        ("mmseg", 8, (1, 1, 2), (1, 2, 4)),
    ],
)
def test_stages_are_dilated_by_the_dialect_s_own_rule(
    dialect: str, stride: int, third: tuple[int, int, int], fourth: tuple[int, int, int]
) -> None:
    stages = load_dialect(dialect).architecture(Keys({}), stride).backbone.stages
    plans = [(stage.stride, stage.first_dilation, stage.dilation) for stage in stages]
    assert plans == [(1, 1, 1), (2, 1, 1), third, fourth]


# Section 2: keys and shapes as the authors' code writes them.
@pytest.mark.parametrize(
    ("dialect", "architecture", "keys"),
    [
        (
            "wuhuikai",
            published.WUHUIKAI_ENCNET,
            {
                "pretrained.conv1.6.weight": (128, 64, 3, 3),
                "pretrained.layer1.0.conv1.weight": (64, 128, 1, 1),
                "pretrained.layer1.0.downsample.0.weight": (256, 128, 1, 1),
                "jpu.dilation4.0.conv1.weight": (1536, 1, 3, 3),
                "jpu.dilation4.0.bn.running_var": (1536,),
                "jpu.dilation4.0.pointwise.weight": (512, 1536, 1, 1),
                "head.conv5.0.weight": (512, 2048, 1, 1),
                "head.encmodule.encoding.3.codewords": (32, 512),
                "head.encmodule.selayer.weight": (150, 512),
                "head.conv6.1.weight": (150, 512, 1, 1),
                "auxlayer.conv5.4.bias": (150,),
            },
        ),
        (
            "wuhuikai",
            published.WUHUIKAI_JPU_X,
            {
                "jpu.jum_1.conv_l.0.weight": (256, 1024, 3, 3),
                "jpu.jum_2.conv_h.0.weight": (512, 1024, 3, 3),
                "jpu.jum_1.dilation3.0.conv1.weight": (512, 1, 3, 3),
                "jpu.jum_2.dilation1.0.bn.weight": (1024,),
                "jpu.jum_2.dilation1.1.bias": (512,),
            },
        ),
        (
            "wuhuikai",
            published.WUHUIKAI_DEEPLAB,
            {
                "head.aspp.b4.gap.1.weight": (256, 2048, 1, 1),
                "head.aspp.project.0.weight": (256, 1280, 1, 1),
                "head.block.4.weight": (59, 256, 1, 1),
            },
        ),
        (
            "ncpaddle",
            published.NCPADDLE_ENCNET,
            {
                "pretrained.conv1.weight": (64, 3, 7, 7),
                "pretrained.bn1._variance": (64,),
                "pretrained.layer1.0.conv1.weight": (64, 64, 1, 1),
                "head.encmodule.selayer.weight": (512, 150),
            },
        ),
        (
            "paddleseg",
            published.PADDLESEG_LATERALS,
            {
                "backbone.conv1_3._conv.weight": (64, 32, 3, 3),
                "backbone.bb_2_5.conv2._batch_norm._mean": (1024,),
                "jpu_layer.dilation1.piontwise_conv._conv.weight": (512, 1536, 1, 1),
                "lateral_convs.0._conv.weight": (512, 256, 1, 1),
                "fusion._conv.weight": (512, 1536, 3, 3),
                "enc_module.encoding_project._conv.bias": (512,),
                "fcn_head.conv_bn_relu._conv.bias": (512,),
                "se_layer.weight": (512, 150),
            },
        ),
        (
            "mmseg",
            published.MMSEG_ASPP,
            {
                "backbone.stem.6.weight": (64, 32, 3, 3),
                "neck.conv_layers.0.0.conv.weight": (512, 512, 3, 3),
                "neck.conv_layers.2.0.conv.weight": (512, 2048, 3, 3),
                "decode_head.aspp_modules.3.conv.weight": (512, 2048, 3, 3),
                "decode_head.bottleneck.conv.weight": (512, 2560, 3, 3),
                "auxiliary_head.convs.0.conv.weight": (256, 1024, 3, 3),
            },
        ),
    ],
)
def test_published_checkpoints_have_these_keys(
    dialect: str, architecture: Architecture, keys: dict[str, tuple[int, ...]]
) -> None:
    hollow = {
        name: np.broadcast_to(np.float32(0), shape)
        for name, shape in cost.tensors(architecture).items()
    }
    in_dialect = to_dialect(dialect, architecture, hollow)
    assert {key: in_dialect[key].shape for key in keys} == keys
    assert recognise(
        in_dialect, output_stride=architecture.backbone.output_stride
    ).architecture == (architecture)


@pytest.mark.parametrize("case", ["wuhuikai_encnet", "mmseg_psp"])
def test_batch_counters_are_left_out_and_counted(case: str) -> None:
    tensors = tensors_of(case)
    counters = {
        name.replace("running_var", "num_batches_tracked"): np.zeros((), np.int64)
        for name in tensors
        if name.endswith("running_var")
    }
    assert recognise(tensors | counters).unused["batch counters of training"] == len(counters)


@pytest.mark.parametrize(
    ("case", "shape"), [("wuhuikai_encnet", (1000, 40)), ("ncpaddle_encnet", (40, 1000))]
)
def test_the_imagenet_classifier_is_left_out(case: str, shape: tuple[int, int]) -> None:
    dead = {"pretrained.fc.weight": np.zeros(shape), "pretrained.fc.bias": np.zeros(1000)}
    found = recognise(tensors_of(case) | dead)
    assert found.unused["ImageNet classifier of the backbone"] == 2


def test_the_original_code_and_its_port_are_told_apart_by_their_statistics() -> None:
    architecture = CASES["ncpaddle_encnet"][1]
    weights = random_weights(architecture)
    torch_like = to_dialect("wuhuikai", architecture, weights)
    assert recognise(torch_like).dialect == "wuhuikai"
    assert recognise(to_dialect("ncpaddle", architecture, weights)).dialect == "ncpaddle"


def test_a_jpu_concatenates_the_coarsest_map_first_but_in_mmsegmentation() -> None:
    order = {
        dialect: {
            architecture.jpu.coarse_first
            for in_dialect, architecture, _ in CASES.values()
            if in_dialect == dialect and isinstance(architecture.jpu, Jpu)
        }
        for dialect in ("wuhuikai", "ncpaddle", "paddleseg", "mmseg")
    }
    assert order == {
        "wuhuikai": {True}, "ncpaddle": {True}, "paddleseg": {True}, "mmseg": {False}
    }  # fmt: skip


def test_mmsegmentation_with_laterals_is_recognised() -> None:
    _, architecture, _ = CASES["mmseg_encnet"]
    assert isinstance(architecture.head, EncNet)
    wanted = replace(architecture, head=replace(architecture.head, laterals=(2, 3)))
    found = recognise(to_dialect("mmseg", wanted, random_weights(wanted)))
    assert found.architecture == wanted
