from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Input, Resize
from fastfcn_infer.inference.preprocess import prepare, resize_align_corners
from fastfcn_infer.inference.views import View
from judge import normalised, upsampled

GIVEN = Input("image", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (0.0, 0.5, 1.0))
PIXELS = replace(GIVEN, name="pixels")
LONG = Resize("long_side", 520, align_corners=True)
SHORT = Resize("short_side", 480, align_corners=False)

# float32 keeps 24 bits; values up to 3, a few operations.
NORMALISED = 5e-6
# The same on the scale 0..255.
ON_BYTES = 2e-4


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng((height, width)).integers(0, 256, (height, width, 3), np.uint8)


def view(picture: NDArray[Any], size: tuple[int, int], canvas: tuple[int, int]) -> View:
    return View(0, 0, picture.shape[0], picture.shape[1], size, canvas)


def test_every_byte_is_normalised_as_in_float64() -> None:
    picture = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    batch = prepare([(picture, view(picture, (16, 16), (16, 16)))], GIVEN, None)
    assert batch.dtype == np.float32
    assert batch.flags.c_contiguous
    expected = normalised(picture, GIVEN, (16, 16))
    np.testing.assert_allclose(batch, expected, rtol=0, atol=NORMALISED)


@pytest.mark.parametrize("size", [(20, 70), (1, 1), (200, 33), (64, 64)])
def test_half_pixel_resizing_is_opencvs_on_bytes_as_mmcv_calls_it(size: tuple[int, int]) -> None:
    picture = noise(50, 64)
    small = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR)
    for resize in (SHORT, None):
        batch = prepare([(picture, view(picture, size, size))], GIVEN, resize)
        expected = normalised(small, GIVEN, size)
        np.testing.assert_allclose(batch, expected, rtol=0, atol=NORMALISED)


@pytest.mark.parametrize("size", [(20, 70), (1, 1), (200, 33), (1, 64), (50, 7)])
def test_align_corners_resizing_is_that_of_the_definition_on_normalised_pixels(
    size: tuple[int, int],
) -> None:
    picture = noise(50, 64)
    (planes,) = normalised(picture, GIVEN, (50, 64))
    batch = prepare([(picture, view(picture, size, size))], GIVEN, LONG)
    expected = upsampled(planes, size, align_corners=True)
    np.testing.assert_allclose(batch[0], expected, rtol=0, atol=NORMALISED)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 90), st.integers(1, 90))
def test_align_corners_resizing_agrees_with_float64_for_any_sizes(
    height: int, width: int, new_height: int, new_width: int
) -> None:
    picture = noise(height, width)
    expected = upsampled(
        picture.transpose(2, 0, 1), (new_height, new_width), align_corners=True
    ).transpose(1, 2, 0)
    found = resize_align_corners(picture, (new_height, new_width))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=ON_BYTES)


@pytest.mark.parametrize("size", [(20, 70), (99, 33), (2, 2), (1, 5)])
def test_align_corners_resizing_is_torchs(size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    picture = noise(50, 64)
    planes = torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float64))
    resize = torch.nn.functional.interpolate
    expected = resize(planes, size=size, mode="bilinear", align_corners=True)[0].numpy()
    found = resize_align_corners(picture, size).transpose(2, 0, 1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=ON_BYTES)


def test_what_a_picture_does_not_cover_has_the_padding_colour() -> None:
    picture = noise(5, 7)
    batch = prepare([(picture, view(picture, (5, 7), (33, 40)))], GIVEN, None)
    expected = normalised(picture, GIVEN, (33, 40))
    np.testing.assert_allclose(batch, expected, rtol=0, atol=NORMALISED)
    fed = prepare([(picture, view(picture, (5, 7), (33, 40)))], PIXELS, None)
    assert fed.dtype == np.uint8
    assert fed.shape == (1, 33, 40, 3)
    np.testing.assert_array_equal(fed[0, :5, :7], picture)
    assert np.unique(fed[0, 5:].reshape(-1, 3), axis=0).tolist() == [[0, 128, 255]]


def test_resized_pixels_are_rounded_to_the_nearest_byte() -> None:
    picture = noise(50, 64)
    fed = prepare([(picture, view(picture, (33, 90), (33, 90)))], PIXELS, LONG)
    exact = upsampled(picture.transpose(2, 0, 1), (33, 90), align_corners=True)
    assert np.abs(fed[0] - exact.transpose(1, 2, 0)).max() <= 0.5 + ON_BYTES


def test_a_view_shows_its_part_of_the_picture_mirrored_where_it_says_so() -> None:
    picture = noise(50, 64)
    part = View(10, 20, 16, 24, (16, 24), (16, 24))
    batch = prepare([(picture, part), (picture, replace(part, mirrored=True))], PIXELS, None)
    np.testing.assert_array_equal(batch[0], picture[10:26, 20:44])
    np.testing.assert_array_equal(batch[1], picture[10:26, 43:19:-1])


@pytest.mark.parametrize("given", [GIVEN, PIXELS], ids=["image", "pixels"])
def test_a_graph_that_wants_four_pictures_gets_three_of_padding(given: Input) -> None:
    picture = noise(40, 40)
    batch = prepare(
        [(picture, view(picture, (40, 40), (40, 40)))], replace(given, shape=(4, None, None)), None
    )
    assert len(batch) == 4
    empty = normalised(np.empty((0, 0, 3)), GIVEN, (40, 40))
    rest: NDArray[Any] = batch[1:]
    if given.name == "pixels":
        empty = np.full((1, 40, 40, 3), [0.0, 128.0, 255.0])
    np.testing.assert_allclose(rest, empty.repeat(3, 0), rtol=0, atol=NORMALISED)


def test_the_picture_is_not_changed() -> None:
    picture = noise(40, 40)
    before = picture.copy()
    for resize in (None, LONG):
        prepare([(picture, view(picture, (50, 50), (60, 60)))], GIVEN, resize)
    np.testing.assert_array_equal(picture, before)
