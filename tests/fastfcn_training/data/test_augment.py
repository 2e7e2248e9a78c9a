"""How augmentation changes geometry and labels, compared with Pillow, which the original uses."""

from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastfcn_infer.data.dataset import IGNORE
from fastfcn_infer.errors import ImageError
from fastfcn_training.data import augment as steps
from fastfcn_training.data.augment import augment
from fastfcn_training.recipe.recipe import Augmentation
from small_pictures import UNCHANGED, noise, photograph

# Colours far apart, so that a mixture of two is not taken for a third.
COLOURS = np.array(
    [(0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 0), (0, 255, 255), (255, 0, 255)], np.uint8
)


def patchwork(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Labels (height, width) in blocks of 32 pixels."""
    small = np.random.default_rng(seed).integers(len(COLOURS), size=(40, 40), dtype=np.uint8)
    return small.repeat(32, axis=0).repeat(32, axis=1)[:height, :width].copy()


def inner(labels: NDArray[np.uint8], reach: int) -> NDArray[np.bool_]:
    """Pixels whose neighbours up to `reach` away exist and have their label."""
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    alike = np.zeros(labels.shape, np.bool_)
    for label in np.unique(labels):
        same = (labels == label).astype(np.uint8)
        whole = cv2.erode(same, window, borderType=cv2.BORDER_CONSTANT, borderValue=0)
        alike[np.asarray(whole) > 0] = True
    return alike


@given(
    resize=st.sampled_from([None, "short_side", "long_side", "scale"]),
    size=st.tuples(st.integers(100, 300), st.integers(100, 300)),
    rotation=st.sampled_from([0.0, 10.0, 45.0]),
    mirror_last=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_every_pixel_has_the_colour_of_its_label_after_every_geometric_step(
    resize: Literal["short_side", "long_side", "scale"] | None,
    size: tuple[int, int],
    rotation: float,
    mirror_last: bool,
    seed: int,
) -> None:
    labels = patchwork(*size, seed)
    plan = Augmentation(
        resize=resize,
        base_size=150,
        scales=(0.7, 2.0),
        rotation=rotation,
        crop=(140, 160),
        padding=(0.5, 0.5, 0.5),
        mirror_last=mirror_last,
        blur=0,
    )
    picture, moved = augment(COLOURS[labels], labels, plan, np.random.default_rng(seed))
    colours = np.full((256, 3), 127, np.uint8)
    colours[: len(COLOURS)] = COLOURS
    sure = inner(moved, 3)
    assert sure.mean() > 0.1
    assert np.array_equal(picture[sure], colours[moved[sure]])


@given(
    crop=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    resize=st.sampled_from([None, "short_side", "long_side", "scale"]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=80, deadline=None)
def test_the_result_has_the_size_of_the_crop_whatever_the_size_of_the_picture(
    crop: tuple[int, int],
    size: tuple[int, int],
    resize: Literal["short_side", "long_side", "scale"] | None,
    seed: int,
) -> None:
    plan = Augmentation(resize=resize, base_size=40, crop=crop, hue=20, contrast=0.4)
    picture, labels = augment(
        noise(*size), np.zeros(size, np.uint8), plan, np.random.default_rng(seed)
    )
    assert picture.shape == (*crop, 3)
    assert labels.shape == crop
    assert picture.dtype == labels.dtype == np.uint8


def test_the_same_generator_gives_the_same_example_and_another_one_another() -> None:
    plan = Augmentation(base_size=80, crop=(50, 50), rotation=10, brightness=0.4, hue=20)
    labels = patchwork(120, 160, 0)
    first, again, other = (
        augment(photograph(), labels, plan, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_the_arrays_that_were_given_stay_as_they_are() -> None:
    picture, labels = photograph(), patchwork(120, 160, 0)
    plan = replace(
        UNCHANGED, crop=(120, 160), mirror=1, blur=1, brightness=0.4, hue=20, saturation=0.4
    )
    for seed in range(5):
        augment(picture, labels, plan, np.random.default_rng(seed))
    assert np.array_equal(picture, photograph())
    assert np.array_equal(labels, patchwork(120, 160, 0))


@pytest.mark.parametrize("size", [(375, 500), (500, 375), (333, 333)])
def test_the_short_side_is_any_whole_number_from_half_to_twice_the_base(
    size: tuple[int, int],
) -> None:
    plan = Augmentation(base_size=13)
    random = np.random.default_rng(0)
    drawn = {steps.drawn_size(size, plan, random) for _ in range(1000)}
    assert {min(pair) for pair in drawn} == set(range(6, 27))
    for height, width in drawn:
        if size[0] > size[1]:
            assert height == int(1.0 * size[0] * width / size[1])
        else:
            assert width == int(1.0 * size[1] * height / size[0])


def test_the_factors_of_paddleseg_are_seven_from_a_half_to_two() -> None:
    plan = Augmentation(resize="scale", scale_step=0.25)
    random = np.random.default_rng(0)
    drawn = [steps.drawn_size((100, 201), plan, random) for _ in range(700)]
    assert {height for height, _ in drawn} == {50, 75, 100, 125, 150, 175, 200}
    # Python's round, as PaddleSeg's: half to even.
    assert {width for _, width in drawn} == {100, 151, 201, 251, 302, 352, 402}
    counts = np.unique([height for height, _ in drawn], return_counts=True)[1]
    assert counts.min() > 60


@pytest.mark.parametrize(
    ("scales", "step", "expected"),
    [
        ((0.75, 1.25), 0.2, [0.75, 1.0, 1.25]),
        ((0.7, 1.0), 0.1, [0.7, 0.8, 0.9, 1.0]),
        ((1.5, 1.5), 0.25, [1.5]),
        ((1.0, 2.0), 3.0, [1.0]),
    ],
)
def test_steps_that_do_not_divide_the_range_are_spread_evenly_over_it(
    scales: tuple[float, float], step: float, expected: list[float]
) -> None:
    plan = Augmentation(resize="scale", scales=scales, scale_step=step)
    random = np.random.default_rng(0)
    drawn = sorted({steps.drawn_factor(plan, random) for _ in range(200)})
    assert drawn == pytest.approx(expected)


def test_without_steps_factors_fill_their_range() -> None:
    plan = Augmentation(resize="scale", scales=(0.5, 2.0))
    random = np.random.default_rng(0)
    drawn = np.array([steps.drawn_factor(plan, random) for _ in range(2000)])
    assert 0.5 <= drawn.min() < 0.51
    assert 1.99 < drawn.max() <= 2.0
    assert drawn.mean() == pytest.approx(1.25, abs=0.04)


@pytest.mark.parametrize("target", [(60, 80), (90, 101), (240, 320), (119, 160)])
def test_labels_are_resized_as_pillow_does(target: tuple[int, int]) -> None:
    image = pytest.importorskip("PIL.Image")
    labels = noise(120, 160, 1)[..., 0]
    for smooth in (True, False):
        _, ours = steps.resized(photograph(), labels, target, smooth=smooth)
        theirs = image.fromarray(labels).resize(target[::-1], image.Resampling.NEAREST)
        assert np.array_equal(ours, np.asarray(theirs))


@pytest.mark.parametrize("target", [(70, 93), (90, 120)])
def test_smaller_pictures_of_the_original_are_nearer_to_pillow_s_than_opencv_s(
    target: tuple[int, int],
) -> None:
    image = pytest.importorskip("PIL.Image")
    picture, labels = noise(120, 160), patchwork(120, 160, 0)
    theirs = image.fromarray(picture).resize(target[::-1], image.Resampling.BILINEAR)
    far = {
        smooth: float(
            np.abs(
                steps.resized(picture, labels, target, smooth=smooth)[0].astype(int)
                - np.asarray(theirs)
            ).mean()
        )
        for smooth in (True, False)
    }
    assert far[True] < far[False]


def test_larger_pictures_are_pillow_s_to_one_level() -> None:
    image = pytest.importorskip("PIL.Image")
    ours, _ = steps.resized(noise(60, 80), patchwork(60, 80, 0), (100, 170), smooth=True)
    theirs = image.fromarray(noise(60, 80)).resize((170, 100), image.Resampling.BILINEAR)
    assert np.abs(ours.astype(int) - np.asarray(theirs)).max() <= 1


@pytest.mark.parametrize("angle", [-10.0, 3.3, 10.0])
def test_turning_is_pillow_s(angle: float) -> None:
    image = pytest.importorskip("PIL.Image")
    labels = patchwork(120, 160, 1)
    plan = Augmentation(padding_label=0)
    picture, turned = steps.rotated(photograph(), labels, angle, plan)
    theirs = image.fromarray(labels).rotate(angle, resample=image.Resampling.NEAREST)
    assert (turned == np.asarray(theirs)).mean() > 0.995
    theirs = image.fromarray(photograph()).rotate(angle, resample=image.Resampling.BILINEAR)
    assert np.abs(picture.astype(int) - np.asarray(theirs)).mean() < 1


def test_padding_is_ignored_and_of_the_colour_that_was_asked_for() -> None:
    plan = replace(UNCHANGED, padding=(0.5, 0.0, 1.0))
    picture, labels = augment(noise(30, 50), patchwork(30, 50, 0), plan, np.random.default_rng(0))
    assert np.array_equal(picture[:30, :50], noise(30, 50))
    assert np.array_equal(labels[:30, :50], patchwork(30, 50, 0))
    for pixels, marks in ((picture[30:], labels[30:]), (picture[:, 50:], labels[:, 50:])):
        assert np.unique(marks).tolist() == [IGNORE]
        assert np.unique(pixels.reshape(-1, 3), axis=0).tolist() == [[127, 0, 255]]


def test_padding_may_be_a_class_as_the_original_s_is_for_voc() -> None:
    plan = replace(UNCHANGED, padding_label=0)
    labels = np.full((30, 50), 7, np.uint8)
    _, padded = augment(noise(30, 50), labels, plan, np.random.default_rng(0))
    assert np.unique(padded[30:]).tolist() == [0]


@pytest.mark.parametrize("last", [False, True])
def test_padding_is_at_the_right_unless_the_mirror_comes_last(last: bool) -> None:
    plan = replace(UNCHANGED, crop=(30, 60), mirror=1, mirror_last=last)
    picture, labels = augment(noise(30, 50), patchwork(30, 50, 0), plan, np.random.default_rng(0))
    inside = slice(10, 60) if last else slice(0, 50)
    assert np.array_equal(picture[:, inside], noise(30, 50)[:, ::-1])
    assert np.array_equal(labels[:, inside], patchwork(30, 50, 0)[:, ::-1])
    outside = slice(0, 10) if last else slice(50, 60)
    assert np.unique(labels[:, outside]).tolist() == [IGNORE]


def test_half_of_the_pictures_are_mirrored() -> None:
    plan = replace(UNCHANGED, crop=(4, 5), mirror=0.5)
    picture, random = noise(4, 5), np.random.default_rng(0)
    labels = np.zeros((4, 5), np.uint8)
    results = [augment(picture, labels, plan, random)[0] for _ in range(400)]
    mirrored = [np.array_equal(result, picture[:, ::-1]) for result in results]
    assert 150 < sum(mirrored) < 250
    kept = [np.array_equal(result, picture) for result in results]
    assert sum(kept) + sum(mirrored) == 400


def test_every_place_is_cut_equally_often() -> None:
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    random = np.random.default_rng(0)
    plan = replace(UNCHANGED, crop=(2, 2))
    corners = [int(augment(noise(3, 4), labels, plan, random)[1][0, 0]) for _ in range(1200)]
    places, counts = np.unique(corners, return_counts=True)
    assert places.tolist() == [0, 1, 2, 4, 5, 6]
    assert counts.min() > 150


@pytest.mark.parametrize(
    ("size", "plan"),
    [
        ((1, 100_000), Augmentation()),
        ((100_000, 1), Augmentation()),
        ((300, 300), Augmentation(resize="scale", scales=(50.0, 50.0))),
        ((1, 1_000_000), Augmentation(resize=None)),
    ],
    ids=["wide", "tall", "scaled", "padded"],
)
def test_a_picture_that_would_become_enormous_is_refused_before_memory_is_asked_for(
    size: tuple[int, int], plan: Augmentation
) -> None:
    picture, labels = np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)
    shown = f"the picture of {size[1]} x {size[0]} would be (resized|padded) to .*pixels"
    with pytest.raises(ImageError, match=shown):
        augment(picture, labels, plan, np.random.default_rng(0))
