"""Choices, compared with the published networks and with what the dialects recognise."""

from dataclasses import replace
from itertools import product
from typing import Any, get_args

import numpy as np
import pytest

import published
from fastfcn_export.dialect.dialect import recognise, to_dialect
from fastfcn_export.network.architecture import Architecture, EncNet, backbone_name
from fastfcn_export.network.choice import Depth, Family, Form, NetworkChoice, architecture
from fastfcn_export.target.targets import cost

PADDLESEG = NetworkChoice(form="vd", family="paddleseg")
CODES_ONLY = replace(NetworkChoice(), semantic=False)
SMALL: dict[str, Any] = {"backbone_width": 2, "head_width": 3, "codes": 2, "auxiliary_width": 2}
FORMS: dict[Family, tuple[Form, ...]] = {
    "wuhuikai": ("plain", "deep", "v1c"),
    "ncpaddle": ("plain", "deep", "v1c"),
    "paddleseg": ("vd",),
}


def small(**options: Any) -> NetworkChoice:
    """A narrow network; `semantic` where the head has it."""
    head = options.get("head", "encnet")
    width = 64 if options.get("jpu") == "jpu_x" else 3
    return NetworkChoice(**SMALL | {"jpu_width": width, "semantic": head == "encnet"} | options)


def networks(family: Family) -> list[NetworkChoice]:
    """Every kind of network of a family, and every depth."""
    heads = {
        "wuhuikai": ("encnet", "psp", "deeplab", "fcn"),
        "ncpaddle": ("encnet", "fcn"),
        "paddleseg": ("encnet",),
    }[family]
    jpus = ("jpu", None) if family == "paddleseg" else ("jpu", "jpu_x", None)
    kinds = product(
        ("resnet18", "resnet50"), FORMS[family], heads, jpus, (8, 16, 32), (True, False)
    )
    found = [
        small(
            family=family,
            backbone=depth,
            form=form,
            head=head,
            jpu=jpu,
            output_stride=stride,
            laterals=laterals,
            auxiliary=stride != 16,
            semantic=head == "encnet" and stride != 8,
        )
        for depth, form, head, jpu, stride, laterals in kinds
        if not laterals or (head == "encnet" and (stride == 8 or family == "paddleseg"))
    ]
    depths = product(get_args(Depth), FORMS[family])
    return found + [small(family=family, backbone=depth, form=form) for depth, form in depths]


@pytest.mark.parametrize("family", get_args(Family))
def test_a_dialect_reads_from_its_checkpoints_the_very_network_that_was_chosen(
    family: Family,
) -> None:
    chosen = networks(family)
    assert len(chosen) > 20
    for choice in chosen:
        wanted = architecture(choice, 5)
        weights = {
            name: np.ones(shape, np.float32) for name, shape in cost.tensors(wanted).items()
        }
        theirs = to_dialect(family, wanted, weights)
        found = recognise(theirs, dialect=family, output_stride=choice.output_stride)
        assert found.architecture == wanted, choice


@pytest.mark.parametrize(
    ("choice", "classes", "wanted"),
    [
        (NetworkChoice(), 150, published.WUHUIKAI_ENCNET),
        (NetworkChoice(backbone="resnet101"), 150, published.WUHUIKAI_ENCNET_101),
        (NetworkChoice(jpu="jpu_x"), 150, published.WUHUIKAI_JPU_X),
        (replace(CODES_ONLY, head="psp"), 59, published.WUHUIKAI_PSP),
        (replace(CODES_ONLY, head="deeplab"), 59, published.WUHUIKAI_DEEPLAB),
        (replace(CODES_ONLY, head="fcn"), 21, published.WUHUIKAI_FCN),
        (NetworkChoice(form="plain", family="ncpaddle"), 150, published.NCPADDLE_ENCNET),
        (PADDLESEG, 150, published.PADDLESEG_OS32),
        (replace(PADDLESEG, output_stride=8, laterals=True), 150, published.PADDLESEG_LATERALS),
    ],
)
def test_the_published_networks_can_be_chosen(
    choice: NetworkChoice, classes: int, wanted: Architecture
) -> None:
    assert architecture(choice, classes) == wanted


@pytest.mark.parametrize("family", get_args(Family))
def test_the_bottleneck_looks_at_3x3_pixels_where_no_jpu_does(family: Family) -> None:
    for jpu, kernel in (("jpu", 1), (None, 3)):
        head = architecture(small(family=family, form=FORMS[family][0], jpu=jpu), 5).head
        assert isinstance(head, EncNet)
        assert head.kernel == kernel


@pytest.mark.parametrize("depth", get_args(Depth))
def test_every_depth_has_the_blocks_of_its_name(depth: Depth) -> None:
    for form, ending in (("plain", ""), ("deep", ""), ("v1c", "_v1c")):
        backbone = architecture(small(backbone=depth, form=form), 5).backbone
        assert backbone_name(backbone) == depth + ending
    backbone = architecture(small(backbone=depth, form="vd", family="paddleseg"), 5).backbone
    assert backbone_name(backbone) == depth + "_vd"


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_the_backbone_has_the_stride_that_was_chosen(stride: int) -> None:
    for family in get_args(Family):
        choice = small(family=family, form=FORMS[family][0], output_stride=stride)
        assert architecture(choice, 5).backbone.output_stride == stride


@pytest.mark.parametrize(
    ("options", "faults"),
    [
        ({"backbone_width": 0, "codes": -1}, ["backbone_width is 0", "codes is -1"]),
        ({"head_width": 0, "auxiliary_width": 0}, ["head_width is 0", "auxiliary_width is 0"]),
        ({"head": "psp"}, ["parts of encnet", "the head is psp"]),
        ({"jpu": "jpu_x", "jpu_width": 96}, ["jpu_width is 96", "multiple of 64"]),
        ({"form": "v1c", "backbone_width": 33}, ["backbone_width is 33"]),
        ({"form": "vd"}, ["wuhuikai has no vd backbone"]),
        ({"laterals": True, "output_stride": 32}, ["output stride 8", "32"]),
        (
            {"family": "ncpaddle", "head": "deeplab", "form": "vd"},
            ["parts of encnet", "ncpaddle has no vd", "heads encnet and fcn"],
        ),
        (
            {"family": "paddleseg", "head": "fcn", "jpu": "jpu_x", "jpu_width": 0},
            ["jpu_width is 0", "vd backbones only", "encnet only", "no jpu_x", "parts of encnet"],
        ),
    ],
)
def test_what_no_family_has_is_refused_with_all_faults(
    options: dict[str, Any], faults: list[str]
) -> None:
    with pytest.raises(ValueError) as refused:
        NetworkChoice(**options)
    assert [fault for fault in faults if fault not in str(refused.value)] == []
