"""What holds for every procedure: presets and random ones."""

import math
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.artifact.procedure import PRESETS, Merge, Mirror, Procedure, Resize, Windows
from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.pipeline import Job, segment
from fastfcn_infer.inference.scores import Scores
from fastfcn_infer.inference.views import View, plan, scaled
from models import tiny_model, tiny_weights

Floats = NDArray[Any]
Size = tuple[int, int]

CLASSES = 5
EQUAL = 1e-5  # of the largest score
GREY = 200  # of a picture of one colour, and of the padding
IMAGES = {"none": 1, "horizontal": 2, "vertical": 2, "both": 4}
MIRRORS: tuple[Mirror, ...] = ("none", "horizontal", "vertical", "both")
MERGES: tuple[Merge, ...] = ("logits", "probabilities", "exp")


class Slanted:
    """Every eighth pixel times a matrix, but of a place that is not its own: it has no symmetry."""

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        weights, bias = tiny_weights(CLASSES)
        height, width = batch.shape[2:]
        rows = np.minimum(np.arange(0, height, 8) + 2, height - 1)
        columns = np.minimum(np.arange(0, width, 8) + 5, width - 1)
        seen = batch[:, :, rows][:, :, :, columns].astype(np.float64)
        logits = np.einsum("kc,nchw->nkhw", weights, seen) + bias[:, None, None]
        return np.asarray(logits, np.float32)


def model_of() -> Model:
    """Describe the network; what it pads with has the colour `GREY`."""
    model = tiny_model(CLASSES)
    return replace(model, input=replace(model.input, padding=(GREY / 255,) * 3))


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng((height, width)).integers(0, 256, (height, width, 3), np.uint8)


def computed(job: Job, network: Any) -> dict[int, NDArray[Any]]:
    return {
        part.view: output
        for call in job.calls
        for part, output in job.split(call, network.run(job.batch(call)))
    }


def scores_of(picture: NDArray[np.uint8], procedure: Procedure, batch: int = 8) -> Floats:
    job = Job([picture], model_of(), procedure=procedure, batch=batch)
    height, width = picture.shape[:2]
    return job.scores(0, computed(job, Slanted())).tile(slice(0, height), slice(0, width))


def close(found: Floats, expected: Floats) -> bool:
    return bool(np.abs(found - expected).max() <= EQUAL * np.abs(expected).max())


SIDES = st.integers(1, 3000)
RESIZES = st.sampled_from(
    [
        None,
        Resize("scale", 1, align_corners=False, arithmetic="paddleseg"),
        Resize("scale", 1, align_corners=False),
        Resize("long_side", 300, align_corners=True),
        Resize("short_side", 120, align_corners=False),
        Resize("fit", 400, align_corners=False, limit=150),
    ]
)


@st.composite
def windows(draw: st.DrawFn, most: int = 700) -> Windows:
    crop = (draw(st.integers(33, most)), draw(st.integers(33, most)))
    stride = tuple(draw(st.integers(max(1, side // 5), side)) for side in crop)
    border: Any = draw(st.sampled_from(["shift", "pad"]))
    weight: Any = draw(st.sampled_from(["coverage", "gaussian"]))
    return Windows(crop, (stride[0], stride[1]), border, weight)


@st.composite
def procedures(draw: st.DrawFn, most: int = 700) -> Procedure:
    return Procedure(
        resize=draw(RESIZES),
        scales=tuple(
            draw(st.lists(st.sampled_from([0.5, 0.8, 1.0, 1.3, 2.0]), min_size=1, max_size=3))
        ),
        windows=draw(st.none() | windows(most)),
        mirror=draw(st.sampled_from(MIRRORS)),
        merge=draw(st.sampled_from(MERGES)),
        align_corners=draw(st.booleans()),
    )


def planned(procedure: Procedure, size: Size) -> tuple[View, ...]:
    try:
        return plan(procedure, (None, None), size)
    except ImageError as error:  # too many windows, or too large
        assume(not str(error))
        raise


def check_plan(procedure: Procedure, size: Size) -> None:
    """Check that each mirror image of each scale is covered once over, by windows in a grid."""
    views = planned(procedure, size)
    if procedure.is_one_view:
        (view,) = views
        assert view.window is None
        assert view.canvas >= view.size
        return
    images = IMAGES[procedure.mirror]
    for index, scale in enumerate(procedure.scales):
        mine = [view for view in views if view.scale == index]
        assert {view.size for view in mine} == {scaled(procedure.resize, scale, size)}
        grids: dict[tuple[bool, bool], list[View]] = {}
        for view in mine:
            assert view.window is not None
            grids.setdefault((view.mirrored, view.flipped), []).append(view)
        assert len(grids) == images
        for grid in grids.values():
            check_grid(procedure.windows, grid)


def check_grid(cut: Windows | None, grid: list[View]) -> None:
    """Check one mirror image's windows."""
    size = grid[0].size
    spans: tuple[set[tuple[int, int]], set[tuple[int, int]]] = (set(), set())
    for view in grid:
        window = view.window
        assert window is not None
        spans[0].add((window.top, window.height))
        spans[1].add((window.left, window.width))
        assert min(window.height, window.width) >= 1
        assert view.canvas[0] >= max(33, window.height)
        assert view.canvas[1] >= max(33, window.width)
    assert len(grid) == len(spans[0]) * len(spans[1]) == len({view.window for view in grid})
    for axis, length in enumerate(size):
        if cut is None:
            assert spans[axis] == {(0, length)}
            continue
        crop, stride = cut.crop[axis], cut.stride[axis]
        limit = max(length, crop) if cut.border == "pad" else length
        assert len(spans[axis]) == max(1, math.ceil((length - crop) / stride) + 1)
        covered = np.zeros(limit, bool)
        for start, extent in spans[axis]:
            assert 0 <= start < length
            assert start + extent <= limit  # nothing but padding lies behind
            assert extent == crop or cut.border == "pad" or length < crop
            covered[start : start + extent] = True
        assert covered[:length].all()


@pytest.mark.parametrize("name", PRESETS)
@given(SIDES, SIDES)
def test_every_pixel_is_covered_by_windows_within_the_picture_by_every_preset(
    name: str, height: int, width: int
) -> None:
    check_plan(PRESETS[name], (height, width))


@given(procedures(), SIDES, SIDES)
def test_every_pixel_is_covered_by_windows_within_the_picture_by_any_procedure(
    procedure: Procedure, height: int, width: int
) -> None:
    check_plan(procedure, (height, width))


def constant(procedure: Procedure, colour: int) -> Floats:
    """What a picture of one colour gets, by the definition of the merge."""
    weights, bias = tiny_weights(CLASSES)
    logits = weights.sum(1) * ((colour / 255 - 0.5) / 0.5) + bias
    if procedure.merge == "exp":
        return np.asarray(
            len(procedure.scales) * np.exp(IMAGES[procedure.mirror] * logits.astype(np.float64))
        )
    if procedure.merge == "probabilities":
        shares = np.exp(logits - logits.max())
        return np.asarray(shares / shares.sum())
    return np.asarray(logits)


def check_constant(procedure: Procedure, size: Size) -> None:
    picture = np.full((*size, 3), GREY, np.uint8)
    found = scores_of(picture, procedure)
    expected = constant(procedure, GREY)
    assert close(found, np.broadcast_to(expected[:, None, None], found.shape))


@pytest.mark.parametrize("name", [name for name in PRESETS if not PRESETS[name].is_whole])
@pytest.mark.parametrize("size", [(71, 95), (250, 90)])
def test_a_picture_of_one_colour_gets_one_score_by_every_preset(name: str, size: Size) -> None:
    check_constant(PRESETS[name], size)


@given(procedures(100), st.integers(20, 160), st.integers(20, 160))
@settings(max_examples=40)
def test_a_picture_of_one_colour_gets_one_score_by_any_procedure(
    procedure: Procedure, height: int, width: int
) -> None:
    assume(not procedure.is_whole)
    check_constant(procedure, (height, width))


AXES: dict[Mirror, tuple[tuple[int, ...], ...]] = {
    "horizontal": ((1,),),
    "vertical": ((0,),),
    "both": ((0,), (1,), (0, 1)),
}
FLOATS = Resize("scale", 1, align_corners=False, arithmetic="paddleseg")  # no bytes to be rounded


@pytest.mark.parametrize("mirror", AXES)
@pytest.mark.parametrize("merge", ["logits", "probabilities"])
@pytest.mark.parametrize("weight", ["coverage", "gaussian"])
@pytest.mark.parametrize("size", [(97, 131), (48, 211)])
def test_a_mirrored_picture_gets_mirrored_scores_and_labels(
    mirror: Mirror, merge: Merge, weight: Any, size: Size
) -> None:
    cut = Windows((48, 64), (33, 50), weight=weight)
    procedure = Procedure(
        "custom", FLOATS, scales=(1.0, 0.7), windows=cut, mirror=mirror, merge=merge
    )
    plain = replace(procedure, mirror="none")
    picture = noise(*size)
    for axes in AXES[mirror]:
        other = np.ascontiguousarray(np.flip(picture, axes))
        back = tuple(axis + 1 for axis in axes)
        assert close(np.flip(scores_of(other, procedure), back), scores_of(picture, procedure))
        # The network itself and windows alone have no symmetry.
        assert not close(np.flip(scores_of(other, plain), back), scores_of(picture, plain))
        (labels,) = segment([picture], model_of(), Slanted(), procedure=procedure)
        (mirrored,) = segment([other], model_of(), Slanted(), procedure=procedure)
        assert (np.flip(mirrored, axes) != labels).mean() < 1e-3  # ties may go either way


@pytest.mark.parametrize("mirror", AXES)
def test_the_original_code_mirrors_the_windows_of_a_picture_that_fits_its_grid(
    mirror: Mirror,
) -> None:
    cut = Windows(64, 32, "pad")
    procedure = Procedure(windows=cut, mirror=mirror, merge="exp")
    picture = noise(96, 128)
    for axes in AXES[mirror]:
        other = np.ascontiguousarray(np.flip(picture, axes))
        back = tuple(axis + 1 for axis in axes)
        assert close(np.flip(scores_of(other, procedure), back), scores_of(picture, procedure))


MANY = Procedure(
    "custom", FLOATS, scales=(1.0, 0.8, 1.3), windows=Windows((48, 40), (30, 33)), mirror="both"
)


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("batch", [1, 2, 3, 7, 64])
def test_the_size_of_a_batch_changes_no_score_and_no_label(merge: Merge, batch: int) -> None:
    picture, procedure = noise(101, 87), replace(MANY, merge=merge)
    assert close(scores_of(picture, procedure, batch), scores_of(picture, procedure))
    (one,) = segment([picture], model_of(), Slanted(), procedure=procedure)
    (other,) = segment([picture], model_of(), Slanted(), procedure=procedure, batch=batch)
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_of_views_changes_no_score(merge: Merge, seed: int) -> None:
    picture, procedure = noise(101, 87), replace(MANY, merge=merge)
    job = Job([picture], model_of(), procedure=procedure)
    outputs = computed(job, Slanted())
    order = list(range(len(job.views[0])))
    random.Random(seed).shuffle(order)
    assert order != sorted(order)
    shuffled = Scores(
        [job.views[0][index] for index in order],
        [outputs[index] for index in order],
        job.sizes[0],
        procedure,
        align_corners=False,
    )
    whole = (slice(0, 101), slice(0, 87))
    expected = job.scores(0, outputs).tile(*whole)
    assert close(shuffled.tile(*whole), expected)
    labels = shuffled.labels()
    chosen = np.take_along_axis(expected, labels[None].astype(int), 0)[0]
    assert (expected.max(0) - chosen).max() <= EQUAL * np.abs(expected).max()


@pytest.mark.parametrize("procedure", [MANY, replace(MANY, scales=(0.8,))])
@pytest.mark.parametrize("batch", [5, 100])
def test_pictures_of_a_batch_do_not_mix(procedure: Procedure, batch: int) -> None:
    pictures = [noise(*size) for size in ((60, 90), (60, 90), (101, 87), (33, 140))]
    pictures[1] = 255 - pictures[1]
    together = segment(pictures, model_of(), Slanted(), procedure=procedure, batch=batch)
    for picture, labels in zip(pictures, together, strict=True):
        (alone,) = segment([picture], model_of(), Slanted(), procedure=procedure)
        np.testing.assert_array_equal(labels, alone)


def test_threads_do_not_mix_their_pictures_and_procedures() -> None:
    """What is kept from one call to the next belongs to its sizes, or to its call."""
    tasks = [
        (
            noise(40 + 7 * index, 150 - 9 * index),
            replace(MANY, mirror=MIRRORS[index % 4], merge=MERGES[index % 3]),
        )
        for index in range(12)
    ]

    def run(task: tuple[NDArray[np.uint8], Procedure]) -> NDArray[Any]:
        (labels,) = segment([task[0]], model_of(), Slanted(), procedure=task[1])
        return labels

    expected = [run(task) for task in tasks]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for labels, alone in zip(pool.map(run, tasks), expected, strict=True):
                np.testing.assert_array_equal(labels, alone)


@pytest.mark.parametrize(
    ("name", "size", "views", "pixels"),
    [
        ("whole", (512, 683), 1, 512 * 683),
        # Windows start at 0, 320, 640, 960, 1280 and, moved back, 1568; and at 0, 320 and 544.
        ("tiles", (1024, 2048), 18, 18 * 480 * 480),
        ("paddleseg-slide", (480, 480), 1, 480 * 480),
        ("paddleseg-slide", (481, 300), 2, 2 * 480 * 300),
        ("paddleseg-ms-flip", (400, 600), 6, 2 * (300 * 450 + 400 * 600 + 500 * 750)),
        # Long sides of 260, 390, 520, 650, 780 and 910 pixels: 1, 1, 2, 2, 2 and 3 windows a side.
        ("fastfcn", (520, 520), 4, 4 * 480 * 480),
        ("fastfcn-ms", (520, 520), 2 * (1 + 1 + 4 + 4 + 4 + 9), 46 * 480 * 480),
        # Short sides of 195, 292, 390, 487, 584 and 682: 1, 1, 1, 2, 2 and 2.
        ("fastfcn-ms", (512, 683), 2 * (1 + 1 + 2 + 4 + 4 + 6), 36 * 480 * 480),
        ("mmseg", (512, 683), 1, 512 * 683),
        ("mmseg-slide", (512, 1024), 3, 3 * 512 * 512),
        (
            "mmseg-tta",
            (200, 400),
            12,
            2 * sum(int(200 * s) * int(400 * s) for s in (0.5, 0.75, 1, 1.25, 1.5, 1.75)),
        ),
    ],
)
def test_the_views_and_pixels_of_presets_can_be_counted_by_hand(
    name: str, size: Size, views: int, pixels: int
) -> None:
    found = plan(PRESETS[name], (None, None), size)
    assert len(found) == views
    assert sum(view.canvas[0] * view.canvas[1] for view in found) == pixels


@pytest.mark.parametrize(
    ("name", "size", "tops", "lefts"),
    [
        ("tiles", (700, 1400), {0, 220}, {0, 320, 640, 920}),
        ("paddleseg-slide", (700, 1400), {0, 220}, {0, 320, 640, 920}),
        # The long side becomes 520; a window that reaches beyond the picture is not moved back.
        ("fastfcn", (700, 1400), {0}, {0, 320}),
        ("mmseg-slide", (512, 1400), {0}, {0, 341, 682, 888}),
    ],
)
def test_the_windows_of_presets_start_where_their_authors_start_them(
    name: str, size: Size, tops: set[int], lefts: set[int]
) -> None:
    found = [view.window for view in plan(PRESETS[name], (None, None), size)]
    assert {window.top for window in found if window is not None} == tops
    assert {window.left for window in found if window is not None} == lefts
