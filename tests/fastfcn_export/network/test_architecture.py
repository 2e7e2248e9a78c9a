from dataclasses import replace

import pytest

import published
from fastfcn_export.network.architecture import (
    Architecture,
    Backbone,
    Stage,
    backbone_name,
    head_name,
    jpu_name,
)
from networks import CASES


def basic(*blocks: int) -> Backbone:
    one, two, three, four = (Stage(n, 64) for n in blocks)
    return Backbone((64,), "basic", (one, two, three, four))


@pytest.mark.parametrize(
    ("backbone", "name"),
    [
        (published.R50, "resnet50"),
        (published.R101, "resnet101"),
        (published.resnet(blocks=(3, 8, 36, 3)), "resnet152"),
        (published.VD50_STRIDE_8, "resnet50_vd"),
        (published.MM50, "resnet50_v1c"),
        (basic(2, 2, 2, 2), "resnet18"),
        (basic(3, 4, 6, 3), "resnet34"),
        (basic(2, 2, 2, 1), "resnet_2_2_2_1"),
        (replace(basic(2, 2, 2, 2), pooled_shortcut=True), "resnet18_vd"),
    ],
)
def test_a_backbone_has_the_name_of_its_paper(backbone: Backbone, name: str) -> None:
    assert backbone_name(backbone) == name


@pytest.mark.parametrize(
    ("architecture", "head", "jpu"),
    [
        (published.WUHUIKAI_ENCNET, "encnet", "jpu"),
        (published.WUHUIKAI_JPU_X, "encnet", "jpu_x"),
        (published.WUHUIKAI_DEEPLAB, "deeplab", "jpu"),
        (published.MMSEG_ASPP, "aspp", "jpu"),
        (replace(published.WUHUIKAI_PSP, jpu=None), "psp", None),
        (published.WUHUIKAI_FCN, "fcn", "jpu"),
    ],
)
def test_head_and_upsampling_have_names(
    architecture: Architecture, head: str, jpu: str | None
) -> None:
    assert head_name(architecture.head) == head
    assert jpu_name(architecture.jpu) == jpu


@pytest.mark.parametrize("case", CASES)
def test_every_fastfcn_answers_at_stride_8(case: str) -> None:
    assert CASES[case][1].logits_stride == 8


def test_without_jpu_the_logits_lie_at_the_backbone_s_stride() -> None:
    assert replace(published.WUHUIKAI_FCN, jpu=None).logits_stride == 32
