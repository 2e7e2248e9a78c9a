from dataclasses import replace
from math import prod

import numpy as np
import onnx
import pytest

import published
from exports import recognised, write_onnx
from fastfcn_export.network.architecture import Architecture
from fastfcn_export.target.targets import cost
from networks import CASES

IMAGENET_CLASSIFIER = 1000 * 2048 + 1000  # `pretrained.fc`, in every checkpoint and never used


def parameters(architecture: Architecture) -> int:
    statistics = (".norm.mean", ".norm.var")
    shapes = cost.tensors(architecture)
    return sum(prod(shape) for name, shape in shapes.items() if not name.endswith(statistics))


# reference/fastfcn_semantics.md, 2.6: entries, batch counters, trainable tensors, parameters.
@pytest.mark.parametrize(
    ("architecture", "classes", "entries", "counters", "trainable", "numbers"),
    [
        (published.WUHUIKAI_ENCNET, 150, 431, 70, 221, 49_560_522),
        (published.WUHUIKAI_ENCNET_101, 150, 737, 121, 374, 68_552_650),
        (published.WUHUIKAI_JPU_X, 150, 425, 63, 236, 49_544_138),
        (published.WUHUIKAI_PSP, 59, 438, 72, 222, 70_895_390),
        (published.WUHUIKAI_DEEPLAB, 59, 450, 74, 228, 63_931_934),
        (published.NCPADDLE_ENCNET, 150, 351, 0, 215, 49_436_746),
        (published.PADDLESEG_LATERALS, 150, 376, 0, 230, 57_280_386),
        (published.PADDLESEG_OS32, 150, 361, 0, 221, 49_806_210),
        (published.MMSEG_PSP, 19, 436, 72, 220, 68_711_046),
        (published.MMSEG_ASPP, 19, 442, 73, 223, 87_848_582),
        (published.MMSEG_ENCNET, 19, 429, 70, 219, 55_627_513),
        (published.MMSEG_PSP, 150, 436, 72, 220, 68_811_916),
        (published.MMSEG_ASPP, 150, 442, 73, 223, 87_949_452),
        (published.MMSEG_ENCNET, 150, 429, 70, 219, 55_795_586),
    ],
)
def test_a_published_checkpoint_has_the_tensors_that_its_authors_code_makes(
    architecture: Architecture,
    classes: int,
    entries: int,
    counters: int,
    trainable: int,
    numbers: int,
) -> None:
    architecture = replace(architecture, classes=classes)
    tensors = cost.tensors(architecture)
    # The original code and its port keep the backbone's ImageNet classifier; the others do not.
    original = len(architecture.backbone.stem) == 1 or architecture.backbone.stem[0] == 64
    unused, unused_numbers = (2, IMAGENET_CLASSIFIER) if original else (0, 0)
    batch_norms = sum(name.endswith(".norm.var") for name in tensors)
    learned = sum(not name.endswith((".norm.var", ".norm.mean")) for name in tensors)
    assert len(tensors) + unused + counters == entries
    assert counters in (0, batch_norms)
    assert learned + unused == trainable
    assert parameters(architecture) + unused_numbers == numbers


def test_the_parts_of_a_network_have_their_published_parameters() -> None:
    by_part = {"backbone": 0, "jpu": 0}
    for layer in cost.layers(published.WUHUIKAI_ENCNET):
        if layer.name.partition(".")[0] in by_part:
            by_part[layer.name.partition(".")[0]] += layer.parameters
    assert by_part == {"backbone": 25_680_808 - IMAGENET_CLASSIFIER, "jpu": 19_735_552}


def test_the_stride_32_encnet_costs_51_25_g_multiply_adds_without_the_encoding() -> None:
    layers = cost.layers(replace(published.PADDLESEG_OS32), (480, 480))
    total = sum(layer.multiply_adds for layer in layers if layer.name != "head.encoding")
    assert total / 1e9 == pytest.approx(51.25, abs=0.005)  # as design.md rounds it


def test_paddleseg_s_published_stride_8_model_costs_193_g_multiply_adds() -> None:
    total = sum(layer.multiply_adds for layer in cost.layers(published.PADDLESEG_LATERALS))
    assert total / 1e9 == pytest.approx(193, abs=0.5)  # as design.md rounds it


@pytest.mark.parametrize("case", CASES)
def test_multiply_adds_are_those_of_the_graph_that_is_shipped(
    case: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    size = (64, 96)
    network = recognised(case)
    path = write_onnx(network, tmp_path_factory.mktemp("cost"))
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = size[0]
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = size[1]
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True, strict_mode=True)
    counted = sum(
        layer.multiply_adds
        for layer in cost.layers(network.architecture, size)
        if layer.name.split(".")[-1] not in ("encoding", "gate")  # matrix products, not Conv
    )
    assert convolution_work(inferred) == counted


def convolution_work(model: onnx.ModelProto) -> int:
    weights = {t.name: tuple(t.dims) for t in model.graph.initializer}
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in [*model.graph.value_info, *model.graph.output]
    }
    total = 0
    for node in model.graph.node:
        if node.op_type == "Conv":
            out = shapes[node.output[0]]
            assert all(out), node.name
            total += prod(out) * prod(weights[node.input[1]][1:])
    return total


def test_the_encoding_counts_as_two_products_of_pixels_and_codes() -> None:
    (layer,) = [
        layer for layer in cost.layers(published.WUHUIKAI_ENCNET) if layer.name == "head.encoding"
    ]
    assert layer.multiply_adds == 2 * 60 * 60 * 512 * 32


@pytest.mark.parametrize("case", CASES)
def test_training_parts_are_tensors_but_not_part_of_the_shipped_network(case: str) -> None:
    architecture = CASES[case][1]
    shipped = {name for layer in cost.layers(architecture) for name, _ in layer.tensors}
    rest = set(cost.tensors(architecture)) - shipped
    assert all(name.startswith(("auxiliary.", "head.semantic.")) for name in rest)
    assert bool(rest) == (architecture.auxiliary is not None or architecture.semantic)


def test_nothing_is_computed_to_count() -> None:
    sizes = np.array([[480, 480], [4800, 4800]])
    small, large = (sum(x.multiply_adds for x in cost.layers(published.WUHUIKAI_FCN, tuple(s))) for s in sizes.tolist())  # fmt: skip
    assert large == 100 * small
