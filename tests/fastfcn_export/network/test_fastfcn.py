"""The structure of the network, on shapes alone: which maps are where, and how large."""

from collections.abc import Sequence
from typing import Any

import pytest

import published
from fastfcn_export.network.architecture import Architecture, Backbone
from fastfcn_export.network.fastfcn import fastfcn, fastfcn_training
from fastfcn_export.network.jpu import upsample
from fastfcn_export.network.resnet import resnet
from fastfcn_export.target.targets.cost import CostOps, Shape
from networks import CASES


class Notes(CostOps):
    """Shapes, and what was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, Any]] = []

    def separable(self, x: Shape, layer: str, width: int, **options: Any) -> Shape:
        self.asked.append((layer, options))
        return super().separable(x, layer, width, **options)

    def concat(self, maps: Sequence[Shape]) -> Shape:
        self.asked.append(("concat", [m[1] for m in maps]))
        return super().concat(maps)

    def resize(self, x: Shape, like: Shape, *, align_corners: bool) -> Shape:
        self.asked.append(("resize", align_corners))
        return super().resize(x, like, align_corners=align_corners)

    def average_pool(self, x: Shape) -> Shape:
        self.asked.append(("average", x[1]))
        return super().average_pool(x)

    def dropout(self, x: Shape, rate: float) -> Shape:
        self.asked.append(("dropout", rate))
        return super().dropout(x, rate)


def test_a_resnet50_gives_maps_of_the_published_sizes() -> None:
    maps = resnet(Notes(), published.R50, (1, 3, 480, 480))
    assert maps == ((1, 256, 120, 120), (1, 512, 60, 60), (1, 1024, 30, 30), (1, 2048, 15, 15))


def test_odd_sizes_are_halved_upwards() -> None:
    maps = resnet(Notes(), published.R50, (1, 3, 33, 47))
    assert [m[2:] for m in maps] == [(9, 12), (5, 6), (3, 3), (2, 2)]


def test_a_dilated_backbone_stays_at_stride_8() -> None:
    maps = resnet(Notes(), published.VD50_STRIDE_8, (1, 3, 480, 480))
    assert [m[2] for m in maps] == [120, 60, 60, 60]


@pytest.mark.parametrize(
    ("backbone", "pooled"),
    [
        (published.R50, []),
        (published.VD50, [256, 512, 1024]),
        (published.VD50_STRIDE_8, [256]),  # a dilated stage has no stride, so nothing to pool
    ],
)
def test_the_shortcuts_of_paddleseg_s_backbone_are_pooled_where_a_stage_has_a_stride(
    backbone: Backbone, pooled: list[int]
) -> None:
    ops = Notes()
    resnet(ops, backbone, (1, 3, 64, 64))
    assert [value for what, value in ops.asked if what == "average"] == pooled


def test_the_jpu_joins_coarse_maps_first_and_dilates_by_powers_of_two() -> None:
    ops = Notes()
    c2, c3, c4 = (1, 512, 60, 60), (1, 1024, 30, 30), (1, 2048, 15, 15)
    jpu = published.WUHUIKAI_ENCNET.jpu
    assert jpu is not None
    assert upsample(ops, jpu, c2, c3, c4) == (1, 2048, 60, 60)
    dilations = [options["dilation"] for layer, options in ops.asked if "branch" in layer]
    assert dilations == [1, 2, 4, 8]
    assert {value for what, value in ops.asked if what == "resize"} == {True}


def test_jpu_x_chains_two_units_with_group_norm() -> None:
    ops = Notes()
    c2, c3, c4 = (1, 512, 60, 60), (1, 1024, 30, 30), (1, 2048, 15, 15)
    jpu = published.WUHUIKAI_JPU_X.jpu
    assert jpu is not None
    assert upsample(ops, jpu, c2, c3, c4) == (1, 2048, 60, 60)
    branches = [options for layer, options in ops.asked if "branch" in layer]
    assert [options["dilation"] for options in branches] == [1, 2, 4, 2, 4, 8]
    assert {options["norm"] for options in branches} == {"group"}


@pytest.mark.parametrize(
    ("architecture", "aligned"),
    [
        (published.WUHUIKAI_PSP, [True] * 7),  # three of the JPU, four grids
        (published.MMSEG_PSP, [False] * 7),
        (published.PADDLESEG_LATERALS, [True] * 3 + [False] * 2),  # laterals: half-pixel
    ],
)
def test_every_resize_has_the_dialect_s_convention(
    architecture: Architecture, aligned: list[bool]
) -> None:
    ops = Notes()
    fastfcn(ops, architecture, (1, 3, 64, 64))
    assert [value for what, value in ops.asked if what == "resize"] == aligned


@pytest.mark.parametrize(
    ("architecture", "channels"),
    [
        (published.WUHUIKAI_DEEPLAB, [256] * 5),
        (published.MMSEG_ASPP, [512] * 5),
        (published.WUHUIKAI_PSP, [2048, 512, 512, 512, 512]),
        (published.PADDLESEG_LATERALS, [512] * 3),
    ],
)
def test_a_head_joins_maps_of_the_published_widths(
    architecture: Architecture, channels: list[int]
) -> None:
    ops = Notes()
    fastfcn(ops, architecture, (1, 3, 64, 64))
    assert [value for what, value in ops.asked if what == "concat"][-1] == channels


class Layer(tuple[int, ...]):
    """A shape that knows which layer it came from, however it was resized since."""

    name = ""


def _of(shape: Shape, name: str) -> Shape:
    layer = Layer(shape)
    layer.name = name
    return layer


class Order(CostOps):
    """Notes which layers are joined, in which order, and what the gate of EncNet multiplies."""

    def __init__(self) -> None:
        super().__init__()
        self.joined: list[list[str]] = []

    def conv_norm(self, x: Shape, layer: str, *given: Any, **options: Any) -> Shape:
        return _of(super().conv_norm(x, layer, *given, **options), layer)

    def separable(self, x: Shape, layer: str, *given: Any, **options: Any) -> Shape:
        return _of(super().separable(x, layer, *given, **options), layer)

    def resize(self, x: Shape, like: Shape, *, align_corners: bool) -> Shape:
        return _of(super().resize(x, like, align_corners=align_corners), getattr(x, "name", ""))

    def concat(self, maps: Sequence[Shape]) -> Shape:
        self.joined.append([getattr(one, "name", "") for one in maps])
        return _of(super().concat(maps), "joined")

    def gate(self, x: Shape, vector: Shape) -> Shape:
        self.joined.append(["gate", getattr(x, "name", "")])
        return super().gate(x, vector)


JPU = [["jpu.p5", "jpu.p4", "jpu.p3"], [f"jpu.branch{i}" for i in range(4)]]
MMSEG_JPU = [JPU[0][::-1], JPU[1]]
UNITS = [
    [f"{unit}.low", f"{unit}.{other}", *more]
    for unit in ("jpu.unit1", "jpu.unit2")
    for other, more in (("high", []), ("branch0", [f"{unit}.branch1", f"{unit}.branch2"]))
]
ATROUS = [f"head.atrous{i}" for i in range(4)]


@pytest.mark.parametrize(
    ("architecture", "joined"),
    [
        (published.WUHUIKAI_ENCNET, [*JPU, ["gate", "head.bottleneck"]]),
        (published.WUHUIKAI_JPU_X, [*UNITS, ["gate", "head.bottleneck"]]),
        (published.WUHUIKAI_PSP, [*JPU, ["joined", *(f"head.pool{i}" for i in range(4))]]),
        (published.WUHUIKAI_DEEPLAB, [*JPU, [*ATROUS, "head.image"]]),
        (
            published.PADDLESEG_LATERALS,
            [
                *JPU,
                ["head.bottleneck", "head.lateral0", "head.lateral1"],
                ["gate", "head.fusion"],
            ],
        ),
        (published.MMSEG_ASPP, [*MMSEG_JPU, ["head.image", *ATROUS]]),
    ],
)
def test_maps_are_joined_in_the_dialect_s_order(
    architecture: Architecture, joined: list[list[str]]
) -> None:
    """Source: reference/fastfcn_semantics.md, 1.2 to 1.7. Another order would load every weight."""
    ops = Order()
    fastfcn(ops, architecture, (1, 3, 64, 64))
    assert ops.joined == joined


@pytest.mark.parametrize("case", CASES)
def test_training_outputs_are_there_exactly_where_the_network_has_them(case: str) -> None:
    architecture = CASES[case][1]
    outputs = fastfcn_training(CostOps(), architecture, (2, 3, 65, 47))
    classes = architecture.classes
    assert outputs.main == (2, classes, 9, 6)
    assert (outputs.auxiliary is not None) == (architecture.auxiliary is not None)
    assert (outputs.semantic is not None) == architecture.semantic
    if outputs.auxiliary is not None:
        assert outputs.auxiliary[:2] == (2, classes)
    if outputs.semantic is not None:
        assert outputs.semantic == (2, classes)


def test_the_semantic_layer_reads_the_encoding_and_not_the_map() -> None:
    ops = CostOps()
    fastfcn_training(ops, published.WUHUIKAI_ENCNET, (1, 3, 64, 64))
    (layer,) = [layer for layer in ops.layers if layer.name == "head.semantic"]
    assert dict(layer.tensors)["head.semantic.weight"] == (150, 512)
