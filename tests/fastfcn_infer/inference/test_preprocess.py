import sys
import tracemalloc
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from command_line import python
from fastfcn_infer.artifact.manifest import Input
from fastfcn_infer.artifact.procedure import PRESETS, Resize
from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.preprocess import prepare, resize_align_corners
from fastfcn_infer.inference.views import View, plan
from tiny_reference import normalised, upsampled

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


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        (GIVEN.mean, GIVEN.std),
        ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),  # pixels as they are
        ((0.408, 1 / 3, -2.0), (1.0, 1e-3, 17.0)),
    ],
)
@pytest.mark.parametrize("shape", [(16, 16), (1, 256), (256, 1), (5, 77), (33, 8)])
def test_bytes_are_normalised_to_the_float32_nearest_to_the_textbook_formula(
    mean: tuple[float, float, float], std: tuple[float, float, float], shape: tuple[int, int]
) -> None:
    """(pixel / 255 - mean) / std in float64, rounded once; equal to the last bit."""
    given = replace(GIVEN, mean=mean, std=std)
    values = np.arange(shape[0] * shape[1]) % 256
    picture = np.stack([values, values[::-1], values ^ 85], 1).astype(np.uint8)
    picture = picture.reshape(*shape, 3)
    canvas = (shape[0] + 3, shape[1] + 6)
    padded = [(colour - m) / s for colour, m, s in zip(given.padding, mean, std, strict=True)]
    expected = np.array(
        [
            [
                [
                    (int(picture[y, x, c]) / 255 - mean[c]) / std[c]
                    if y < shape[0] and x < shape[1]
                    else padded[c]
                    for x in range(canvas[1])
                ]
                for y in range(canvas[0])
            ]
            for c in range(3)
        ]
    ).astype(np.float32)
    for size in (shape, canvas):
        batch = prepare([(picture, view(picture, shape, size))], given, None)
        assert batch.tobytes() == expected[None, :, : size[0], : size[1]].tobytes()


def test_pictures_of_any_memory_layout_are_the_same_to_the_last_bit() -> None:
    picture = noise(37, 51)
    wide = np.zeros((80, 120, 4), np.uint8)
    wide[1:75:2, 3:54, 2::-1] = picture
    layouts = [
        wide[1:75:2, 3:54, 2::-1],
        np.asfortranarray(picture),
        np.ascontiguousarray(picture[::-1, ::-1])[::-1, ::-1],
        np.ascontiguousarray(picture.transpose(1, 0, 2)).transpose(1, 0, 2),
    ]
    for fed in (GIVEN, PIXELS):
        for mirrored in (False, True):
            look = replace(view(picture, (37, 51), (40, 60)), mirrored=mirrored)
            expected = prepare([(picture, look)], fed, None)
            for layout in layouts:
                np.testing.assert_array_equal(layout, picture)
                assert not layout.flags.c_contiguous
                found = prepare([(layout, look)], fed, None)
                np.testing.assert_array_equal(found, expected)


@given(st.data())
def test_resized_pixels_are_normalised_as_in_float64(data: st.DataObject) -> None:
    side = st.integers(1, 40)
    shape, size = data.draw(st.tuples(side, side)), data.draw(st.tuples(side, side))
    picture = noise(*shape)
    paddleseg = Resize("exact", 1, False, width=1, arithmetic="paddleseg")
    batch = prepare([(picture, view(picture, size, size))], GIVEN, paddleseg)
    floats = cv2.resize(picture.astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(batch, normalised(floats, GIVEN, size), rtol=0, atol=NORMALISED)


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


@pytest.mark.parametrize("interpolation", ["cubic", "lanczos4"])
@pytest.mark.parametrize("arithmetic", ["authors", "paddleseg"])
def test_interpolation_that_overshoots_is_clipped_to_bytes_and_does_not_wrap(
    arithmetic: Any, interpolation: Any
) -> None:
    picture = np.zeros((12, 12, 3), np.uint8)
    picture[:, 6:] = 255
    resize = replace(SHORT, arithmetic=arithmetic, interpolation=interpolation)
    fed = prepare([(picture, view(picture, (40, 40), (40, 40)))], PIXELS, resize)[0]
    mode = {"cubic": cv2.INTER_CUBIC, "lanczos4": cv2.INTER_LANCZOS4}[interpolation]
    exact = cv2.resize(picture.astype(np.float64), (40, 40), interpolation=mode)
    assert exact.min() < -1
    assert exact.max() > 256
    # OpenCV's own fixed-point arithmetic for bytes is up to one level off.
    allowed = 1 if arithmetic == "authors" else 0.5 + ON_BYTES
    assert np.abs(fed - exact.clip(0, 255)).max() <= allowed
    assert (fed[:, :15] <= 20).all()
    assert (fed[:, 25:] >= 235).all()


def test_a_resize_of_bytes_sees_its_frame_as_bytes() -> None:
    picture = noise(20, 30)
    framed = View(0, 0, 20, 30, (15, 15), (15, 15), frame=(30, 30))
    whole = np.full((30, 30, 3), [0, 128, 255], np.uint8)  # 127.5 to even
    whole[:20] = picture
    expected = cv2.resize(whole, (15, 15), interpolation=cv2.INTER_LINEAR)
    fed = prepare([(picture, framed)], PIXELS, SHORT)
    np.testing.assert_array_equal(fed[0], expected)


def test_a_view_is_its_part_of_the_picture_mirrored_if_it_says_so() -> None:
    picture = noise(50, 64)
    part = View(10, 20, 16, 24, (16, 24), (16, 24))
    batch = prepare([(picture, part), (picture, replace(part, mirrored=True))], PIXELS, None)
    np.testing.assert_array_equal(batch[0], picture[10:26, 20:44])
    np.testing.assert_array_equal(batch[1], picture[10:26, 43:19:-1])


@pytest.mark.parametrize("given", [GIVEN, PIXELS], ids=["image", "pixels"])
def test_a_graph_of_four_pictures_gets_one_and_three_of_padding(given: Input) -> None:
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


@pytest.mark.parametrize("given", [GIVEN, PIXELS], ids=["image", "pixels"])
def test_views_of_several_pictures_are_each_what_they_are_alone(given: Input) -> None:
    pictures = [noise(20, 30), noise(33, 10), noise(40, 40)]
    looks = [(p, view(p, p.shape[:2], (40, 40))) for p in pictures]
    batch = prepare(looks, given, None)
    for index, look in enumerate(looks):
        np.testing.assert_array_equal(batch[index], prepare([look], given, None)[0])


def test_views_that_do_not_fit_together_are_refused() -> None:
    picture = noise(20, 30)
    looks = [(picture, view(picture, (20, 30), canvas)) for canvas in ((33, 33), (33, 34))]
    with pytest.raises(ValueError, match="one canvas"):
        prepare(looks, GIVEN, None)
    with pytest.raises(ValueError, match="2 views; the graph takes 1"):
        prepare(looks[:1] * 2, replace(GIVEN, shape=(1, None, None)), None)


@pytest.mark.parametrize("given", [GIVEN, PIXELS], ids=["image", "pixels"])
def test_a_batch_too_large_for_memory_is_refused_before_it_is_made(given: Input) -> None:
    picture = noise(40, 40)
    many = replace(given, shape=(10**7, None, None))
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=r"10000000 x .*GiB; at most 8 GiB"):
            prepare([(picture, view(picture, (40, 40), (40, 40)))], many, None)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
@pytest.mark.parametrize("kind", ["image", "pixels"])
def test_a_batch_too_large_for_this_machine_is_an_error_about_the_picture(kind: str) -> None:
    child = f"""
import resource
import numpy as np
from fastfcn_infer.artifact.manifest import Input
from fastfcn_infer.artifact.procedure import Resize
from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.preprocess import prepare
from fastfcn_infer.inference.views import View

used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 28), -1))
picture = np.zeros((40, 40, 3), np.uint8)
SHORT = Resize("short_side", 8000, align_corners=False)
for count, side, resize in ((100, 2000, None), (1, 8000, SHORT)):
    given = Input({kind!r}, (0, 0, 0), (1, 1, 1), (0, 0, 0), (count, None, None))
    view = View(0, 0, 40, 40, (side, side), (side, side))
    try:
        prepare([(picture, view)], given, resize)
    except ImageError as error:
        print(error)
"""
    said = python("-c", child).stdout.splitlines()
    for line, size in zip(said, ("100 x 2000 x 2000", "1 x 8000 x 8000"), strict=True):
        assert line.startswith(f"There is not enough memory to prepare a batch of {size} pixels. ")


@given(st.integers(1, 30), st.integers(1, 4000), st.integers(1, 30), st.integers(1, 300))
def test_aligned_corners_need_no_memory_beyond_the_result_however_odd_the_sizes(
    height: int, width: int, new_height: int, new_width: int
) -> None:
    picture = np.zeros((height, width, 3), np.uint8)
    size = (new_height * 50, new_width)
    tracemalloc.start()
    try:
        resize_align_corners(picture, size)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Whole rows at once would be up to 1500 x 4000 x 3 float32, 72 MB, three times.
    assert peak < 12 * size[0] * size[1] + (8 << 20)


def test_the_picture_is_not_changed() -> None:
    picture = noise(40, 40)
    before = picture.copy()
    for resize in (None, LONG):
        prepare([(picture, view(picture, (50, 50), (60, 60)))], GIVEN, resize)
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("given", [GIVEN, PIXELS], ids=["image", "pixels"])
@pytest.mark.parametrize("name", ["fastfcn-ms", "paddleseg-slide", "mmseg-slide", "mmseg-tta"])
def test_views_that_share_a_batch_are_what_each_is_alone(given: Input, name: str) -> None:
    picture, procedure = noise(500, 700), PRESETS[name]
    views = plan(procedure, (None, None), (500, 700))
    canvas = views[-1].canvas
    alike = [(picture, one) for one in views if one.canvas == canvas][:6]
    together = prepare(alike, given, procedure.resize)
    for look, found in zip(alike, together, strict=True):
        (alone,) = prepare([look], given, procedure.resize)
        np.testing.assert_array_equal(found, alone)
        plain = replace(look[1], mirrored=False, flipped=False)
        (unturned,) = prepare([(picture, plain)], given, procedure.resize)
        axis = 2 if given is GIVEN else 1
        expected = np.flip(unturned, axis) if look[1].mirrored else unturned
        np.testing.assert_array_equal(found, expected)
