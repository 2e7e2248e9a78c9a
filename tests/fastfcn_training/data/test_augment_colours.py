"""How augmentation blurs and changes colours, compared with Pillow, which both originals use."""

import colorsys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_training.data import augment as steps
from small_pictures import UNCHANGED, noise, photograph


@pytest.mark.parametrize("radius", [0.0, 1e-9, 0.3, 0.7, 1.0])
def test_the_blur_is_pillow_s(radius: float) -> None:
    image = pytest.importorskip("PIL.Image")
    kernel = pytest.importorskip("PIL.ImageFilter").GaussianBlur(radius)
    theirs = np.asarray(image.fromarray(noise(50, 60)).filter(kernel))
    far = np.abs(steps.blurred(noise(50, 60), radius).astype(int) - theirs)
    # Pillow rounds after each of six passes, and continues the picture anew before each.
    assert far[3:-3, 3:-3].max() <= 3
    assert far.max() <= 15
    assert (np.abs(noise(50, 60).astype(int) - theirs).max() > 15) == (radius > 0.1)


@pytest.mark.parametrize("change", [-1.0, -0.4, -0.1, 0.0, 0.2, 0.4])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("brightened", "Brightness"), ("contrasted", "Contrast"), ("saturated", "Color")],
)
def test_light_and_colour_change_as_pillow_changes_them(
    ours: str, theirs: str, change: float
) -> None:
    image, enhance = pytest.importorskip("PIL.Image"), pytest.importorskip("PIL.ImageEnhance")
    for picture in (photograph(), noise(30, 40)):
        result = getattr(steps, ours)(picture, change)
        expected = getattr(enhance, theirs)(image.fromarray(picture)).enhance(1 + change)
        # Pillow cuts to whole numbers, OpenCV rounds; and the grey may be one off.
        assert np.abs(result.astype(int) - np.asarray(expected)).max() <= 2


@pytest.mark.parametrize("degrees", [-25.3, -5.0, 0.0, 12.0, 120.0, 359.0])
def test_hues_turn_as_colorsys_says(degrees: float) -> None:
    picture = photograph()[::7, ::7]
    expected = np.empty(picture.shape)
    for place in np.ndindex(picture.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*(picture[place] / 255))
        expected[place] = colorsys.hsv_to_rgb((hue + degrees / 360) % 1, saturation, value)
    far = np.abs(steps.hue_turned(picture, degrees) - 255 * expected)
    # A step of hue and one of saturation in 256 move a channel by up to 6 and 1.
    assert far.max() < 8
    assert far.mean() < 1.5


@pytest.mark.parametrize(
    ("fields", "changed"),
    [
        ({}, 0.0),
        ({"brightness": 0.4}, 0.5),
        ({"hue": 20.0}, 0.5),
        ({"brightness": 0.4, "contrast": 0.4}, 0.75),
        ({"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 25.0}, 0.9375),
    ],
)
def test_each_change_of_colour_happens_half_of_the_time(
    fields: Mapping[str, Any], changed: float
) -> None:
    plan, random = replace(UNCHANGED, **fields), np.random.default_rng(0)
    picture = photograph()[::10, ::10]
    results = [steps.distorted(picture, plan, random) for _ in range(600)]
    share = np.mean([not np.array_equal(result, picture) for result in results])
    assert share == pytest.approx(changed, abs=0.07)


def test_changes_of_colour_come_in_any_order() -> None:
    plan = replace(UNCHANGED, brightness=0.4, contrast=0.4)
    seen: list[str] = []

    def noted(name: str) -> Any:
        def change(picture: NDArray[np.uint8], _: float) -> NDArray[np.uint8]:
            seen.append(name)
            return picture

        return change

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "brightened", noted("b"))
        patch.setattr(steps, "contrasted", noted("c"))
        orders = set()
        random = np.random.default_rng(0)
        for _ in range(60):
            seen.clear()
            steps.distorted(noise(2, 2), plan, random)
            orders.add("".join(seen))
    assert orders == {"", "b", "c", "bc", "cb"}
