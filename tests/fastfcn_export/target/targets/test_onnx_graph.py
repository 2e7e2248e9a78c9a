from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from exports import described, difference, proto_of, recognised, tensors_of, widened, write_onnx
from fastfcn_export.dialect.dialect import recognise
from fastfcn_export.target.targets import onnx_graph, reference
from networks import CASES

IDENTICAL = 1e-12  # float64 on both sides, a hundred layers deep: measured 3e-15
# ONNX keeps the epsilon of a group norm in float32, which differs from 1e-5 by 3e-8 of itself.
IDENTICAL_GROUP_NORM = 1e-8
FLOAT32 = 1e-5  # of the largest logit; measured 1e-6, the promise is 1e-4
WIDE = ("mmseg_aspp", "wuhuikai_deeplab")  # heads with a dilation of 36
UNWANTED = {"Tile", "BatchNormalization", "Pow", "Identity"}
SIZES = ((33, 33), (34, 47), (65, 40), (48, 64))
SIDES = st.integers(33, 70)

Array = NDArray[Any]


def image(size: tuple[int, int], batch: int = 2) -> NDArray[np.float32]:
    random = np.random.default_rng((batch, *size))
    return random.normal(size=(batch, 3, *size)).astype(np.float32)


@cache
def expected(case: str, size: tuple[int, int]) -> Array:
    """The reference's logits in float64."""
    network = recognised(case)
    return reference.logits(
        network.architecture, widened(network.weights), image(size).astype(np.float64)
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {case: write_onnx(recognised(case), tmp_path_factory.mktemp(case)) for case in CASES}


@cache
def session(path: Path) -> Any:
    onnxruntime = pytest.importorskip("onnxruntime")
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    "case",
    # onnx's evaluator writes a dilation of 36 out as a kernel of 73 x 73: ten seconds.
    [pytest.param(case, marks=pytest.mark.slow) if case in WIDE else case for case in CASES],
)
def test_the_fused_graph_is_the_unfused_network_in_float64(case: str) -> None:
    size = (33, 46)
    network = recognised(case)
    made = onnx_graph.graph(
        network.architecture,
        widened(network.weights),
        described(network),
        dtype=np.dtype(np.float64),
    )
    feed = {"image": image(size).astype(np.float64)}
    found = ReferenceEvaluator(proto_of(made)).run(None, feed)[0]
    limit = IDENTICAL_GROUP_NORM if "jpu_x" in case else IDENTICAL
    assert difference(found, expected(case, size)) <= limit


@pytest.mark.parametrize("case", CASES)
def test_the_file_passes_the_full_checker_and_says_what_goes_in_and_out(
    files: dict[str, Path], case: str
) -> None:
    onnx.checker.check_model(str(files[case]), full_check=True)
    model = onnx.shape_inference.infer_shapes(
        onnx.load(files[case]), strict_mode=True, data_prop=True
    )
    network = recognised(case)
    classes = network.architecture.classes
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    (given,), (answer,) = model.graph.input, model.graph.output
    assert (given.name, dims(given)) == ("image", ["N", 3, "H", "W"])
    assert (answer.name, dims(answer)) == ("logits", ["N", classes, "H_8", "W_8"])
    kinds = {value.type.tensor_type.elem_type for value in (given, answer)}
    assert kinds == {onnx.TensorProto.FLOAT}


def dims(value: onnx.ValueInfoProto) -> list[int | str]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("case", CASES)
def test_no_node_is_left_that_a_fusion_removes(files: dict[str, Path], case: str) -> None:
    graph = onnx.load(files[case]).graph
    assert not UNWANTED & {node.op_type for node in graph.node}
    used = {name for node in graph.node for name in node.input}
    made = {name for node in graph.node for name in node.output}
    assert {tensor.name for tensor in graph.initializer} <= used
    assert made - used == {"logits"}


@pytest.mark.parametrize(
    ("case", "count"),
    [
        ("wuhuikai_encnet", 2),  # c3 and c4 to the size of c2
        ("mmseg_psp", 2),  # the grids are spread by matrix products
        ("wuhuikai_deeplab", 2),  # one pixel is spread by Expand
        ("wuhuikai_jpu_x", 2),
        ("wuhuikai_encnet_no_jpu", 0),
        ("paddleseg_no_jpu", 0),
        ("wuhuikai_laterals", 0),  # all maps lie at stride 8
        ("paddleseg_os8_laterals", 1),  # c1 down to stride 8
        ("paddleseg_os32_laterals", 3),
    ],
)
def test_only_maps_of_different_size_are_resized(
    files: dict[str, Path], case: str, count: int
) -> None:
    operators = Counter(node.op_type for node in onnx.load(files[case]).graph.node)
    assert operators["Resize"] == count


def test_paddleseg_s_jpu_at_stride_8_without_laterals_resizes_nothing(tmp_path: Path) -> None:
    network = recognise(tensors_of("paddleseg_os32"))  # its default stride is 8
    assert network.output_stride == 8
    nodes = onnx.load(write_onnx(network, tmp_path)).graph.node
    assert "Resize" not in {node.op_type for node in nodes}


@pytest.mark.parametrize("case", CASES)
def test_onnx_runtime_gives_the_reference_s_logits(files: dict[str, Path], case: str) -> None:
    for size in SIZES:
        found = session(files[case]).run(None, {"image": image(size)})[0]
        assert difference(found, expected(case, size)) <= FLOAT32, size


@pytest.mark.parametrize("case", CASES)
def test_openvino_gives_the_reference_s_logits(files: dict[str, Path], case: str) -> None:
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    compiled = core.compile_model(str(files[case]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for size in SIZES:
        found = compiled([image(size)])[0]
        assert difference(found, expected(case, size)) <= FLOAT32, size


@pytest.mark.parametrize(
    "case", ["mmseg_psp", "paddleseg_os32_laterals", "wuhuikai_jpu_x", "wuhuikai_psp"]
)
def test_the_graph_is_right_at_every_size_from_33_pixels(
    files: dict[str, Path], case: str
) -> None:
    opened = session(files[case])

    @given(SIDES, SIDES)
    @settings(max_examples=25, deadline=None)
    def check(height: int, width: int) -> None:
        found = opened.run(None, {"image": image((height, width))})[0]
        assert found.shape[2:] == (-(-height // 8), -(-width // 8))
        assert difference(found, expected(case, (height, width))) <= FLOAT32

    check()


@pytest.mark.parametrize("case", CASES)
def test_a_picture_s_answer_does_not_depend_on_its_batch(
    files: dict[str, Path], case: str
) -> None:
    batch = image((41, 57), batch=8)
    together = session(files[case]).run(None, {"image": batch})[0]
    for index in range(8):
        alone = session(files[case]).run(None, {"image": batch[index : index + 1]})[0]
        assert difference(together[index : index + 1], alone) <= FLOAT32
