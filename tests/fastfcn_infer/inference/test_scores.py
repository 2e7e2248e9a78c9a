"""Procedures against plain NumPy written from the authors' definitions, nothing of ours in it."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Model, Output
from fastfcn_infer.artifact.procedure import PRESETS, Merge, Mirror, Procedure, Resize, Windows
from fastfcn_infer.errors import BackendError, ImageError
from fastfcn_infer.inference.conventions import choose_procedure
from fastfcn_infer.inference.pipeline import Job, segment
from fastfcn_infer.inference.scores import TILE
from fastfcn_infer.inference.views import View, plan
from models import tiny_model, tiny_output
from tiny_reference import upsampled

Floats = NDArray[Any]
Size = tuple[int, int]

CLASSES = 5
SCORES = 1e-5  # of the largest
FLIPS: dict[Mirror, list[tuple[int, ...]]] = {  # axes of (3, H, W)
    "none": [()],
    "horizontal": [(), (2,)],
    "vertical": [(), (1,)],
    "both": [(), (2,), (1,), (1, 2)],
}


class Network:
    """The tiny network in NumPy: every eighth pixel, times a matrix."""

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        return tiny_output(batch, CLASSES)


def model_of(*, align_corners: bool = False) -> Model:
    return replace(tiny_model(CLASSES), align_corners=align_corners)


def photograph(height: int, width: int) -> NDArray[np.uint8]:
    """A smooth picture, in which neighbouring pixels have the same class now and then."""
    small = np.random.default_rng((height, width)).integers(0, 256, (9, 9, 3), np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def normal(pixels: Floats) -> Floats:
    """Normalise as `tiny_model` says: mean and deviation of a half; (3, H, W)."""
    return np.asarray(((pixels / 255 - 0.5) / 0.5).transpose(2, 0, 1), np.float64)


def logits_of(image: Floats, *, align_corners: bool) -> Floats:
    """Run the network on (3, h, w) and upsample its logits to that size."""
    answer = tiny_output(image[None], CLASSES)[0]
    size = (image.shape[1], image.shape[2])
    return np.asarray(upsampled(answer, size, align_corners=align_corners), np.float64)


def slide(image: Floats, crop: Size, stride: Size, run: Callable[[Floats], Floats]) -> Floats:
    """PaddleSeg's and mmsegmentation's windows: shifted back at the border, mean by coverage."""
    height, width = image.shape[1:]
    total, count = np.zeros((CLASSES, height, width)), np.zeros((height, width))
    rows = 1 if height <= crop[0] else math.ceil((height - crop[0]) / stride[0]) + 1
    columns = 1 if width <= crop[1] else math.ceil((width - crop[1]) / stride[1]) + 1
    for i in range(rows):
        for j in range(columns):
            bottom, right = (
                min(i * stride[0] + crop[0], height),
                min(j * stride[1] + crop[1], width),
            )
            top, left = max(bottom - crop[0], 0), max(right - crop[1], 0)
            total[:, top:bottom, left:right] += run(image[:, top:bottom, left:right])
            count[top:bottom, left:right] += 1
    return np.asarray(total / count)


def original(
    picture: NDArray[np.uint8], base: int, crop: int, scales: tuple[float, ...], *, flip: bool
) -> Floats:
    """The original code's evaluation of several scales: everything is added up as exp."""
    image = normal(picture)
    height, width = picture.shape[:2]
    scores = np.zeros((CLASSES, height, width))
    stride = int(crop * 2 / 3)
    blank = -1.0  # of a black pixel, normalised

    def run(part: Floats) -> Floats:
        padded = np.full((3, crop, crop), blank)
        padded[:, : part.shape[1], : part.shape[2]] = part
        total = logits_of(padded, align_corners=True)
        if flip:
            total = total + logits_of(padded[:, :, ::-1], align_corners=True)[:, :, ::-1]
        return np.exp(total)[:, : part.shape[1], : part.shape[2]]

    for scale in scales:
        long = math.ceil(base * scale)
        if height > width:
            size = (long, int(width * long / height + 0.5))
        else:
            size = (int(height * long / width + 0.5), long)
        resized = upsampled(image, size, align_corners=True).astype(np.float64)
        if long <= crop:
            found = run(resized)
        else:
            full = tuple(max(side, crop) for side in size)
            padded = np.full((3, *full), blank)
            padded[:, : size[0], : size[1]] = resized
            rows, columns = (math.ceil((side - crop) / stride) + 1 for side in full)
            total, count = np.zeros((CLASSES, *full)), np.zeros(full)
            for i in range(rows):
                for j in range(columns):
                    place = (
                        slice(i * stride, min(i * stride + crop, full[0])),
                        slice(j * stride, min(j * stride + crop, full[1])),
                    )
                    total[:, place[0], place[1]] += run(padded[:, place[0], place[1]])
                    count[place] += 1
            found = (total / count)[:, : size[0], : size[1]]
        scores += upsampled(found, (height, width), align_corners=True)
    return scores


def merged(picture: NDArray[np.uint8], model: Model, procedure: Procedure) -> tuple[Floats, Any]:
    return merged_by(Network(), picture, model, procedure)


def merged_by(
    network: Any, picture: NDArray[np.uint8], model: Model, procedure: Procedure
) -> tuple[Floats, Any]:
    job = Job([picture], model, procedure=procedure)
    outputs: dict[int, NDArray[Any]] = {}
    for call in job.calls:
        for part, output in job.split(call, network.run(job.batch(call))):
            outputs[part.view] = output
    height, width = picture.shape[:2]
    return job.scores(0, outputs).tile(slice(0, height), slice(0, width)), job.label(0, outputs)


def check(found: tuple[Floats, Any], expected: Floats) -> None:
    scores, labels = found
    largest = np.abs(expected).max()
    np.testing.assert_allclose(scores, expected, rtol=0, atol=SCORES * largest)
    chosen = np.take_along_axis(expected, labels[None].astype(int), 0)[0]
    # Where the label differs from the arg max, the two classes tie within rounding.
    assert (expected.max(0) - chosen).max() <= SCORES * largest


@pytest.mark.parametrize("size", [(70, 90), (133, 257), (40, 300)])
@pytest.mark.parametrize(("crop", "stride"), [((64, 80), (48, 64)), ((40, 40), (40, 27))])
@pytest.mark.parametrize("align_corners", [False, True])
def test_sliding_windows_are_paddleseg_s(
    size: Size, crop: Size, stride: Size, align_corners: bool
) -> None:
    picture, model = photograph(*size), model_of(align_corners=align_corners)
    procedure = Procedure.preset("paddleseg-slide", windows=Windows(crop, stride))
    expected = slide(
        normal(picture), crop, stride, lambda part: logits_of(part, align_corners=align_corners)
    )
    check(merged(picture, model, procedure), expected)


@pytest.mark.parametrize("mirror", ["none", "horizontal", "vertical", "both"])
def test_scales_and_mirrors_are_paddleseg_s(mirror: Mirror) -> None:
    picture, scales = photograph(97, 141), (0.5, 1.0, 1.75)
    procedure = Procedure.preset("paddleseg-ms-flip", scales=scales, mirror=mirror)
    total = np.zeros((CLASSES, 97, 141))
    flips = FLIPS[mirror]
    for scale in scales:
        size = (int(97 * scale + 0.5), int(141 * scale + 0.5))
        image = upsampled(normal(picture), size, align_corners=False).astype(np.float64)
        for axes in flips:
            found = np.flip(logits_of(np.flip(image, axes), align_corners=False), axes)
            total += upsampled(found, (97, 141), align_corners=False)
    check(merged(picture, model_of(), procedure), total / (len(scales) * len(flips)))


@pytest.mark.parametrize("mirror", ["none", "horizontal", "vertical", "both"])
@pytest.mark.parametrize("size", [(97, 141), (50, 211), (64, 64)])
def test_windows_of_several_scales_are_cut_from_the_mirrored_picture_as_paddleseg_does(
    mirror: Mirror, size: Size
) -> None:
    picture, scales, crop, stride = photograph(*size), (0.75, 1.0, 1.5), (64, 56), (40, 48)
    procedure = Procedure.preset(
        "paddleseg-ms-flip", scales=scales, mirror=mirror, windows=Windows(crop, stride)
    )
    total = np.zeros((CLASSES, *size))
    for scale in scales:
        scaled = (int(size[0] * scale + 0.5), int(size[1] * scale + 0.5))
        image = upsampled(normal(picture), scaled, align_corners=False).astype(np.float64)
        for axes in FLIPS[mirror]:
            found = slide(
                np.flip(image, axes),
                crop,
                stride,
                lambda part: logits_of(part, align_corners=False),
            )
            total += upsampled(np.flip(found, axes), size, align_corners=False)
    check(merged(picture, model_of(), procedure), total / (len(scales) * len(FLIPS[mirror])))


@pytest.mark.parametrize("size", [(120, 90), (90, 120), (60, 200)])
@pytest.mark.parametrize("flip", [False, True])
def test_scales_windows_and_mirrors_are_those_of_the_original_code(size: Size, flip: bool) -> None:
    picture, scales = photograph(*size), (0.5, 1.0, 1.75)
    procedure = Procedure.preset(
        "fastfcn-ms",
        resize=Resize("long_side", 104, align_corners=True),
        windows=Windows(96, 64, "pad"),
        scales=scales,
        mirror="horizontal" if flip else "none",
    )
    model = model_of(align_corners=True)
    model = replace(model, input=replace(model.input, padding=(0.0, 0.0, 0.0)))
    check(merged(picture, model, procedure), original(picture, 104, 96, scales, flip=flip))


def test_probabilities_are_averaged_as_mmsegmentation_s_test_time_augmentation_does() -> None:
    picture, scales = photograph(97, 141), (0.5, 1.0, 1.25)
    procedure = Procedure.preset("mmseg-tta", scales=scales)
    total = np.zeros((CLASSES, 97, 141))
    for scale in scales:
        size = (int(97 * scale + 0.5), int(141 * scale + 0.5))
        resized = picture if size == (97, 141) else cv2.resize(picture, size[::-1])
        for step in (1, -1):
            image = normal(resized)[:, :, ::step]
            z = logits_of(image, align_corners=False)[:, :, ::step]
            z = upsampled(z, (97, 141), align_corners=False)
            share = np.exp(z - z.max(0))
            total += share / share.sum(0)
    check(merged(picture, model_of(), procedure), total / 6)


def test_a_preset_reduced_to_its_first_view_sees_the_picture_at_its_own_size() -> None:
    picture = photograph(50, 70)
    procedure = Procedure.preset("paddleseg-ms-flip", scales=(1.0,), mirror="none")
    (found,) = segment([picture], model_of(), Network(), procedure=procedure)
    (whole,) = segment([picture], model_of(), Network())
    np.testing.assert_array_equal(found, whole)


def test_outputs_that_together_are_too_large_are_refused_before_any_is_computed() -> None:
    many = replace(tiny_model(60_000), align_corners=False)
    picture = np.zeros((2000, 2000, 3), np.uint8)
    windows = Windows(64, 64)
    with pytest.raises(ImageError, match=r"outputs .* a picture of 2000 x 2000.*GiB"):
        Job([picture], many, procedure=Procedure(windows=windows, scales=(1.0, 1.0)))
    # At one scale only the windows that some rows depend on are held at a time.
    Job([picture], many, procedure=Procedure(windows=windows))


def test_two_scales_of_one_size_count_twice() -> None:
    picture, procedure = photograph(40, 60), Procedure(scales=(1.0, 1.001), merge="exp")
    logits = logits_of(normal(picture), align_corners=False)
    check(merged(picture, model_of(), procedure), 2 * np.exp(logits))


def test_the_two_resizes_of_mmsegmentation_are_two() -> None:
    picture = photograph(50, 90)
    procedure = Procedure.preset("mmseg", resize=Resize("fit", 300, False, limit=80))
    resized = cv2.resize(picture, (144, 80))
    once = logits_of(normal(resized), align_corners=False)
    check(merged(picture, model_of(), procedure), upsampled(once, (50, 90), align_corners=False))


# compute_importance_map((64, 40), mode="gaussian", sigma_scale=0.125) of MONAI 1.6.1.
MONAI = {
    (0, 0): 0.001,
    (4, 4): 0.001,
    (8, 12): 0.0043419,
    (16, 10): 0.025174,
    (20, 6): 0.0092957,
    (31, 19): 0.99307,
    (31, 0): 0.001,
    (31, 4): 0.0081727,
    (63, 39): 0.001,
}


def importance(crop: Size) -> Floats:
    """MONAI's importance map."""
    down, across = (
        np.exp(-((np.arange(side) - (side - 1) / 2) ** 2) / (2 * (0.125 * side) ** 2))
        for side in crop
    )
    return np.maximum(np.outer(down, across), 1e-3)


def test_the_importance_map_is_monai_s() -> None:
    for place, weight in MONAI.items():
        assert importance((64, 40))[place] == pytest.approx(weight, rel=1e-4)


@pytest.mark.parametrize(
    ("size", "crop", "stride", "tops", "lefts"),
    [
        ((80, 200), (64, 64), (40, 40), (0, 16), (0, 40, 80, 120, 136)),
        ((128, 80), (64, 40), (64, 40), (0, 64), (0, 40)),
        ((120, 75), (64, 40), (56, 35), (0, 56), (0, 35)),
    ],
)
def test_gaussian_windows_are_weighted_as_monai_does(
    size: Size, crop: Size, stride: Size, tops: tuple[int, ...], lefts: tuple[int, ...]
) -> None:
    picture, weight = photograph(*size), importance(crop)
    procedure = Procedure(windows=Windows(crop, stride, weight="gaussian"))
    image = normal(picture)
    total, count = np.zeros((CLASSES, *size)), np.zeros(size)
    for top in tops:
        for left in lefts:
            place = (slice(top, top + crop[0]), slice(left, left + crop[1]))
            part = logits_of(image[:, place[0], place[1]], align_corners=False)
            total[:, place[0], place[1]] += weight * part
            count[place] += weight
    check(merged(picture, model_of(), procedure), total / count)


def test_a_picture_lower_than_a_gaussian_window_lies_in_its_middle() -> None:
    picture, crop, height = photograph(40, 160), 96, 40
    procedure = Procedure(windows=Windows(crop, 64, weight="gaussian"))
    image, weight = normal(picture), importance((crop, crop))[28 : 28 + height]
    total, count = np.zeros((CLASSES, height, 160)), np.zeros((height, 160))
    for left in (0, 64):
        place = slice(left, left + crop)
        total[:, :, place] += weight * logits_of(image[:, :, place], align_corners=False)
        count[:, place] += weight
    check(merged(picture, model_of(), procedure), total / count)


@pytest.mark.parametrize("name", PRESETS)
def test_a_picture_of_one_colour_gets_one_label(name: str) -> None:
    model = model_of()
    picture = np.full((71, 95, 3), 200, np.uint8)
    (found,) = segment([picture], model, Network(), procedure=Procedure.preset(name))
    padded = name.startswith("fastfcn")  # padding is another colour, and near it labels may differ
    assert padded or len(np.unique(found)) == 1
    assert found.shape == (71, 95)


@pytest.mark.parametrize("merge", ["logits", "probabilities", "exp"])
@pytest.mark.parametrize(("mirror", "axes"), [("horizontal", (1,)), ("both", (0, 1))])
def test_a_mirrored_picture_gets_mirrored_scores_where_the_procedure_mirrors(
    merge: Merge, mirror: Mirror, axes: tuple[int, ...]
) -> None:
    picture = photograph(80, 136)
    procedure = Procedure(mirror=mirror, merge=merge)
    scores, _ = merged(picture, model_of(), procedure)
    mirrored, _ = merged(np.ascontiguousarray(np.flip(picture, axes)), model_of(), procedure)
    back = np.flip(mirrored, tuple(axis + 1 for axis in axes))
    np.testing.assert_allclose(back, scores, rtol=0, atol=SCORES * np.abs(scores).max())


def test_labels_do_not_depend_on_where_the_tiles_lie() -> None:
    """The classes left out of a tile cannot have won there."""
    size = (2 * TILE[0] + 5, TILE[1] + 9)
    picture, procedure = photograph(*size), Procedure(mirror="horizontal", scales=(1.0, 0.5))
    scores, labels = merged(picture, model_of(), procedure)
    best = np.take_along_axis(scores, labels[None].astype(int), 0)[0]
    assert (scores.max(0) - best).max() <= SCORES * np.abs(scores).max()


def test_exp_of_large_logits_does_not_overflow() -> None:
    """Where exp would be infinite for several classes, the larger logit still wins."""

    class Loud:
        def run(self, batch: NDArray[Any]) -> NDArray[Any]:
            return np.asarray(tiny_output(batch, CLASSES) * np.float32(200))

    picture, procedure = photograph(64, 64), Procedure(merge="exp")
    logits = 200 * logits_of(normal(picture), align_corners=False)
    _, labels = merged_by(Loud(), picture, model_of(), procedure)
    assert logits.max() > 200  # far more than float32 can take the exp of
    best = np.take_along_axis(logits, labels[None].astype(int), 0)[0]
    # Also where all classes are so small beside the tile's largest that their exp is zero.
    assert logits.max(0).min() < logits.max() - 200
    assert (logits.max(0) - best).max() <= 1e-3


def test_outputs_that_are_not_finite_are_an_error() -> None:
    class Broken:
        def run(self, batch: NDArray[Any]) -> NDArray[Any]:
            return np.full_like(tiny_output(batch, CLASSES), np.nan)

    with pytest.raises(BackendError, match="not a number"):
        segment([photograph(40, 40)], model_of(), Broken(), procedure=Procedure(mirror="both"))


@pytest.mark.parametrize(
    ("output", "procedure", "said"),
    [
        ("labels", "tiles", "--output logits"),
        ("labels", Procedure(mirror="horizontal"), "--output logits"),
        ("probabilities", "paddleseg-ms-flip", "merge probabilities"),
        ("probabilities", "fastfcn", "merge probabilities"),
    ],
)
def test_a_merge_that_the_output_cannot_give_is_refused(
    output: Any, procedure: str | Procedure, said: str
) -> None:
    model = replace(model_of(), output=Output(output, 1))
    with pytest.raises(ValueError, match=said):
        choose_procedure(procedure, model)


def test_probabilities_of_a_graph_are_averaged_as_they_are() -> None:
    class Shares:
        def run(self, batch: NDArray[Any]) -> NDArray[Any]:
            z = np.stack(
                [
                    upsampled(one, batch.shape[2:], align_corners=False)
                    for one in tiny_output(batch, CLASSES)
                ]
            )
            share = np.exp(z - z.max(1, keepdims=True))
            return np.asarray(share / share.sum(1, keepdims=True), np.float32)

    model = replace(model_of(), output=Output("probabilities", 1))
    procedure = Procedure(mirror="horizontal", merge="probabilities")
    picture = photograph(64, 88)
    (found,) = segment([picture], model, Shares(), procedure=procedure)
    (expected,) = segment([picture], model_of(), Network(), procedure=procedure)
    assert (found == expected).mean() > 0.999


def test_views_of_a_fixed_graph_must_fit_into_it() -> None:
    model = model_of()
    fixed = replace(model, input=replace(model.input, shape=(None, 64, 64)))
    picture = photograph(100, 100)
    (found,) = segment([picture], fixed, Network(), procedure=Procedure(windows=Windows(64, 48)))
    (free,) = segment([picture], model, Network(), procedure=Procedure(windows=Windows(64, 48)))
    np.testing.assert_array_equal(found, free)
    with pytest.raises(ValueError, match=r"64 x 64"):
        segment([picture], fixed, Network(), procedure=Procedure.preset("tiles"))


def test_plain_views_are_planned_as_before() -> None:
    assert plan(Procedure("whole"), (None, None), (50, 60)) == (
        View(0, 0, 50, 60, (50, 60), (50, 60)),
    )
