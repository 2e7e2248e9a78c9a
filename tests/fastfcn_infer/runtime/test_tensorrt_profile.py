from dataclasses import replace
from typing import Any

import pytest

from fastfcn_infer.artifact.procedure import Procedure, Resize, Windows
from fastfcn_infer.inference.views import plan
from fastfcn_infer.runtime.tensorrt_profile import Profile, planned_profile
from models import tiny_model

EXACT = Resize("exact", 360, False, width=480, arithmetic="paddleseg")
SHORT = Resize("short_side", 360, False)


@pytest.mark.parametrize(
    ("procedure", "canvas"),
    [
        (Procedure("custom", None, windows=Windows((512, 384), (340, 256), "pad")), (512, 384)),
        (Procedure("custom", None, windows=Windows((512, 384), (340, 256), "shift")), (512, 384)),
        (Procedure("whole", EXACT), (360, 480)),
        (Procedure("whole", None), None),
        (Procedure("whole", SHORT), None),
        (Procedure("custom", None, scales=(0.25, 1.0), windows=Windows((512, 384))), None),
    ],
)  # fmt: skip
def test_a_profile_is_planned_where_every_large_picture_is_fed_in_one_size(
    procedure: Procedure, canvas: tuple[int, int] | None
) -> None:
    found = planned_profile(replace(tiny_model(), procedure=procedure))
    if canvas is None:
        assert found is None
        return
    assert found == Profile("image", (1, 3, *canvas), (8, 3, *canvas))
    for picture in ((700, 900), (3000, 800), (800, 799)):
        views = plan(procedure, (None, None), picture)
        assert all(found.holds((1, 3, *view.canvas)) for view in views)
    assert not found.holds((9, 3, *canvas))
    assert not found.holds((1, 3, canvas[0] - 1, canvas[1]))


@pytest.mark.parametrize(
    ("shape", "profile"),
    [
        ((1, 360, 480), None),
        ((None, 360, 480), Profile("image", (1, 3, 360, 480), (8, 3, 360, 480))),
        ((2, None, None), Profile("image", (2, 3, 360, 480), (2, 3, 360, 480))),
    ],
)
def test_what_the_graph_fixes_needs_no_range(shape: Any, profile: Profile | None) -> None:
    model = replace(tiny_model(), procedure=Procedure("whole", EXACT))
    model = replace(model, input=replace(model.input, shape=shape))
    assert planned_profile(model) == profile


def test_a_graph_of_bytes_has_its_channels_last() -> None:
    model = replace(tiny_model(input_name="pixels"), procedure=Procedure("whole", EXACT))
    assert planned_profile(model) == Profile("pixels", (1, 360, 480, 3), (8, 360, 480, 3))


def test_a_profile_is_written_as_both_providers_read_it() -> None:
    profile = Profile("image", (1, 3, 4, 5), (8, 3, 4, 5))
    for prefix in ("trt", "nv"):
        assert profile.options(prefix) == {
            f"{prefix}_profile_min_shapes": "image:1x3x4x5",
            f"{prefix}_profile_opt_shapes": "image:8x3x4x5",
            f"{prefix}_profile_max_shapes": "image:8x3x4x5",
        }
