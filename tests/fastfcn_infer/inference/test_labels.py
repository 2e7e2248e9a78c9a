import functools
import tracemalloc
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from fastfcn_infer.inference.labels import labels_from_logits

Array = NDArray[Any]
Size = tuple[int, int]
both_conventions = pytest.mark.parametrize("align_corners", [False, True])


# The judges: three programs that share nothing with the one that is judged.


@functools.cache
def resize_session(align_corners: bool) -> Any:
    mode = "align_corners" if align_corners else "half_pixel"
    node = helper.make_node(
        "Resize",
        ["map", "", "", "sizes"],
        ["out"],
        mode="linear",
        coordinate_transformation_mode=mode,
    )
    graph = helper.make_graph(
        [node],
        "resize",
        [
            helper.make_tensor_value_info("map", TensorProto.FLOAT, [None] * 4),
            helper.make_tensor_value_info("sizes", TensorProto.INT64, [4]),
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [None] * 4)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def by_onnx_runtime(logits: Array, size: Size, align_corners: bool) -> Array:
    sizes = np.array([1, len(logits), *size], np.int64)
    feed = {"map": logits[None].astype(np.float32), "sizes": sizes}
    return np.asarray(resize_session(align_corners).run(None, feed)[0][0])


def by_torch(logits: Array, size: Size, align_corners: bool) -> Array:
    torch = pytest.importorskip("torch")
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(logits[None].astype(np.float32)),
        size=size,
        mode="bilinear",
        align_corners=align_corners,
    )
    return np.asarray(resized[0].numpy())


def resize_matrix(positions: int, length: int, align_corners: bool) -> Array:
    pixel = np.arange(length, dtype=np.float64)
    if align_corners:
        source = pixel * ((positions - 1) / (length - 1) if length > 1 else 0)
    else:
        source = (pixel + 0.5) * positions / length - 0.5
    source = source.clip(0, positions - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(source[:, None] - np.arange(positions))))


def closed_form(logits: Array, size: Size, align_corners: bool) -> Array:
    """The resize as two products with matrices of hat functions, in double precision."""
    down, across = map(resize_matrix, logits.shape[1:], size, (align_corners,) * 2)
    return np.asarray(down @ logits.astype(np.float64) @ across.T)


JUDGES = [by_onnx_runtime, by_torch, closed_form]


def near_ties(resized: Array, logits: Array) -> Array:
    if len(resized) == 1:
        return np.zeros(resized.shape[1:], bool)
    second, best = np.partition(resized, -2, axis=0)[-2:]
    return np.asarray(best - second < 1e-5 * np.abs(logits).max())


# The maps.


def noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.normal(size=shape)


def constant(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.full(shape, rng.normal())


def constant_per_class(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(rng.normal(size=(shape[0], 1, 1)), shape)


def ties(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.integers(-2, 3, size=shape).astype(np.float64)


def checkerboard(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    c, y, x = np.indices(shape)
    return np.where((c + y + x) % 2, 1.0, -1.0) * rng.uniform(0.5, 2, size=(shape[0], 1, 1))


def winners_inside_only(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Every even class is far ahead somewhere and far behind next to it; odd ones are level."""
    c, y, x = np.indices(shape)
    return np.where(c % 2, rng.uniform(4, 7, size=(shape[0], 1, 1)), 10.0 * ((c // 2 + y + x) % 2))


def far_from_zero(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return 1e4 + 10 * rng.normal(size=shape)


def tiny_differences(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return 1 + 1e-4 * rng.normal(size=shape)


def many_magnitudes(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.normal(size=shape) * 10.0 ** rng.integers(-6, 7, size=(shape[0], 1, 1))


def smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    _, y, x = np.indices(shape)
    fy, fx, phase = rng.uniform(0, 1, size=(3, shape[0], 1, 1))
    return np.asarray(np.sin(fy * y + fx * x + 7 * phase))


MAPS: list[Callable[[np.random.Generator, tuple[int, ...]], Array]] = [
    noise,
    constant,
    constant_per_class,
    ties,
    checkerboard,
    winners_inside_only,
    far_from_zero,
    tiny_differences,
    many_magnitudes,
    smooth,
]


class Case(NamedTuple):
    logits: Array
    size: Size
    region: Size
    align_corners: bool


@st.composite
def cases(draw: st.DrawFn) -> Case:
    classes = draw(st.one_of(st.integers(1, 12), st.integers(1, 300)))
    height, width = draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    make = draw(st.sampled_from(MAPS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(
        st.one_of(
            st.tuples(st.integers(1, 90), st.integers(1, 90)),
            st.integers(1, 4).map(lambda factor: (factor * height, factor * width)),
        )
    )
    region = draw(st.one_of(st.just(size), st.tuples(*(st.integers(1, n) for n in size))))
    logits = make(rng, (classes, height, width)).astype(np.float32)
    return Case(logits, size, region, draw(st.booleans()))


def label(case: Case) -> Array:
    return labels_from_logits(
        case.logits, case.size, align_corners=case.align_corners, region=case.region
    )


@pytest.mark.parametrize("judge", JUDGES)
@settings(max_examples=150, deadline=None)
@given(case=cases())
def test_labels_equal_upsample_then_argmax_but_for_near_ties(
    judge: Callable[[Array, Size, bool], Array], case: Case
) -> None:
    resized = judge(case.logits, case.size, case.align_corners)
    resized = resized[:, : case.region[0], : case.region[1]]
    found = label(case)
    wrong = (found != resized.argmax(axis=0)) & ~near_ties(resized, case.logits)
    assert found.shape == case.region
    assert not wrong.any()


@settings(max_examples=150, deadline=None)
@given(case=cases())
def test_no_pixel_goes_to_a_class_that_loses_by_more_than_rounding(case: Case) -> None:
    # No exemption here: at a near tie the label must be one of those that are near.
    resized = closed_form(case.logits, case.size, case.align_corners)
    resized = resized[:, : case.region[0], : case.region[1]]
    own = np.take_along_axis(resized, label(case)[None].astype(np.intp), axis=0)[0]
    assert (resized.max(axis=0) - own).max() <= 1e-6 * np.abs(case.logits).max()


@pytest.mark.parametrize("factor", [1, 2, 4, 8, 64])
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), classes=st.integers(1, 300))
def test_ties_go_to_the_lowest_class_where_arithmetic_is_exact(
    factor: int, seed: int, classes: int
) -> None:
    logits = ties(np.random.default_rng(seed), (classes, 4, 5)).astype(np.float32)
    size = (factor * 4, factor * 5)
    expected = closed_form(logits, size, align_corners=False).argmax(axis=0)
    assert np.array_equal(labels_from_logits(logits, size, align_corners=False), expected)


@both_conventions
def test_a_class_that_wins_at_no_corner_is_found_inside(align_corners: bool) -> None:
    logits = np.array([[[10, 0]] * 2, [[0, 10]] * 2, [[6, 6]] * 2], np.float32)
    found = labels_from_logits(logits, (20, 20), align_corners=align_corners)
    assert 2 not in logits.argmax(axis=0)
    assert (found[:, 9:11] == 2).all()
    assert set(np.unique(found)) == {0, 1, 2}


def test_a_large_picture_adds_less_than_150_megabytes_to_its_logits() -> None:
    # Sums of few waves: neighbouring positions agree as a network's do.
    y, x = np.ogrid[:375, :500]
    rng = np.random.default_rng(0)
    logits = np.empty((150, 375, 500), np.float32)
    for scores in logits:
        fy, fx, phase = rng.uniform(0.05, 0.3, size=3)
        scores[:] = np.sin(fy * y + phase * 20) + np.cos(fx * x)
    tracemalloc.start()
    try:
        found = labels_from_logits(logits, (3000, 4000), align_corners=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 150e6
    for row in (0, 1499, 2999):
        weights = resize_matrix(375, 3000, align_corners=False)[row]
        across = resize_matrix(500, 4000, align_corners=False)
        resized = np.tensordot(logits, weights, axes=([1], [0])) @ across.T
        wrong = found[row] != resized.argmax(axis=0)
        assert not (wrong & ~near_ties(resized[:, None], logits)[0]).any()
