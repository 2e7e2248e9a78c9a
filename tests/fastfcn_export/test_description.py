from dataclasses import replace
from math import prod

import numpy as np
import pytest

import published
from exports import recognised, tensors_of
from fastfcn_export.description import Description, describe, description_text, network_facts
from fastfcn_export.dialect.dialect import Recognised, recognise, to_dialect
from fastfcn_export.network.architecture import Architecture
from fastfcn_export.target.targets import cost
from fastfcn_infer.system.record import from_json, to_json
from networks import CASES


def hollow(dialect: str, architecture: Architecture) -> Recognised:
    """A full-size checkpoint whose values take no memory."""
    zeros = {
        name: np.broadcast_to(np.float32(0), shape)
        for name, shape in cost.tensors(architecture).items()
    }
    stride = architecture.backbone.output_stride
    return recognise(to_dialect(dialect, architecture, zeros), output_stride=stride)


@pytest.fixture(scope="module")
def encnet() -> Description:
    return describe(hollow("paddleseg", published.PADDLESEG_OS32))


def test_the_stages_add_up_to_the_network(encnet: Description) -> None:
    stages = encnet.stages.values()
    assert sum(stage.parameters for stage in stages) == encnet.network.parameters
    assert sum(stage.multiply_adds for stage in stages) == encnet.network.multiply_adds
    assert list(encnet.stages) == [
        "backbone.stem", "backbone.stage1", "backbone.stage2", "backbone.stage3",
        "backbone.stage4", "jpu", "head",
    ]  # fmt: skip


def test_training_only_parts_do_not_count_as_the_network_s(encnet: Description) -> None:
    # Of 49,806,210 (2.6), the auxiliary head and the SE layer have these:
    auxiliary = 512 * 1024 * 9 + 512 + 2 * 512 + 150 * 512 + 150
    semantic = 512 * 150 + 150
    assert encnet.network.parameters == 49_806_210 - auxiliary - semantic
    assert encnet.unused == {
        "auxiliary head (training only)": 8,
        "semantic encoding layer (training only)": 2,
    }


def test_memory_is_that_of_float32_tensors(encnet: Description) -> None:
    assert encnet.weights_bytes == pytest.approx(4 * encnet.network.parameters, rel=0.01)
    # The JPU's joined map goes in, and an equal one comes out of a depthwise convolution.
    assert encnet.activations_bytes == 4 * 2 * 1536 * 60 * 60


@pytest.mark.parametrize(
    ("dialect", "architecture", "facts"),
    [
        ("wuhuikai", published.WUHUIKAI_ENCNET, ("resnet50", "encnet", "jpu", 32, False)),
        ("wuhuikai", published.WUHUIKAI_ENCNET_101, ("resnet101", "encnet", "jpu", 32, False)),
        ("wuhuikai", published.WUHUIKAI_JPU_X, ("resnet50", "encnet", "jpu_x", 32, False)),
        ("paddleseg", published.PADDLESEG_LATERALS, ("resnet50_vd", "encnet", "jpu", 8, True)),
        ("mmseg", published.MMSEG_PSP, ("resnet50_v1c", "psp", "jpu", 32, False)),
    ],
)
def test_the_facts_are_those_of_the_checkpoint(
    dialect: str, architecture: Architecture, facts: tuple[str, str, str, int, bool]
) -> None:
    found = network_facts(hollow(dialect, architecture))
    assert (
        found.backbone, found.head, found.jpu, found.output_stride, found.laterals
    ) == facts  # fmt: skip
    assert found.dialect == dialect


@pytest.mark.parametrize("case", CASES)
def test_a_description_is_json_and_back(case: str) -> None:
    description = describe(recognised(case))
    assert from_json(Description, to_json(description)) == description


def test_the_text_names_everything_a_user_must_know() -> None:
    found = recognise(tensors_of("paddleseg_os8_laterals"))
    text = description_text(describe(found))
    for part in (
        "dialect  paddleseg",
        "encnet, resnet_2_2_2_2_vd, output stride 8, jpu, laterals, 6 classes",
        "assumed  output stride 8 and dilations 1, 1, 2, 4 of the backbone",
        "backbone.stage4",
        "multiply-adds",
        "(one picture of 480 x 480)",
        "memory   weights",
        "unused   8 tensors: auxiliary head (training only)",
    ):
        assert part in text


def test_every_fixed_number_in_the_text_is_right(encnet: Description) -> None:
    text = description_text(encnet)
    assert f"{encnet.network.parameters:,}" in text
    # 51.25 G of design.md, and two products of 3600 pixels, 512 channels and 32 codes.
    assert f"{51.25 + 2 * prod((3600, 512, 32)) / 1e9:.2f} G" in text


def test_without_jpu_the_text_says_so() -> None:
    case = recognised("wuhuikai_encnet_no_jpu")
    assert "no JPU" in description_text(describe(case))
    assert describe(replace(case, assumed=())).network.assumed == ()
