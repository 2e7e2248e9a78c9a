from typing import Any

import numpy as np
import pytest

from fastfcn_infer.artifact.procedure import (
    PRESETS,
    SMALLEST,
    Frame,
    Procedure,
    Resize,
    Windows,
)
from fastfcn_infer.system import record


def test_a_procedure_is_built_in_a_line() -> None:
    found = Procedure(
        windows=Windows(480, stride=320),
        scales=(0.75, 1, 1.25),
        mirror="horizontal",
        merge="probabilities",
    )
    assert not found.is_whole
    assert found.windows == Windows((480, 480), (320, 320), "shift", "coverage")
    assert found.kind == "custom"


def test_the_stride_is_two_thirds_of_the_crop_unless_it_is_given() -> None:
    assert Windows(480).stride == (320, 320)
    assert Windows((300, 600)).stride == (200, 400)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_being_written_and_read(name: str) -> None:
    preset = Procedure.preset(name)
    assert preset.kind == name
    assert record.from_json(Procedure, record.to_json(preset)) == preset


def test_a_procedure_without_views_is_written_as_it_was_before_views_were_added() -> None:
    assert record.to_data(Procedure("whole")) == {"kind": "whole", "resize": None}


def test_a_preset_takes_changes_and_is_no_preset_then() -> None:
    found = Procedure.preset("paddleseg-ms-flip", scales=(0.75, 1, 1.5))
    assert list(found.scales) == [0.75, 1, 1.5]
    assert record.to_data(found)["mirror"] == "horizontal"
    assert record.to_data(found)["kind"] == "custom"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"scales": (0.0,)}, "scales must be more than 0"),
        ({"scales": (float("nan"),)}, "scales must be more than 0"),
        ({"scales": ()}, "1 to 64 scales"),
        ({"scales": (1.0,) * 65}, "1 to 64 scales"),
        ({"mirror": "sideways"}, "none, horizontal, vertical, both"),
        ({"merge": "votes"}, "logits, probabilities, exp"),
        ({"frame": Frame(50, 50), "mirror": "both"}, "one view of the whole picture"),
        (
            {
                "resize": Resize("exact", 50, False, width=60, arithmetic="paddleseg"),
                "scales": (1.0, 2.0),
            },
            "keeps the aspect ratio",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Procedure(**settings)


@pytest.mark.parametrize(
    ("crop", "stride", "said"),
    [
        (SMALLEST - 1, 10, f"at least {SMALLEST}"),
        (480, 481, "pixels between windows would be missed"),
        (480, 0, "pixels between windows would be missed"),
        ((480, 100), (320, 101), "480 x 100"),
    ],
)
def test_windows_that_would_miss_pixels_are_refused(crop: Any, stride: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Windows(crop, stride)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"scales must be.*mirror 'x' is none of.*merge 'y'"):
        Procedure(scales=(-1.0,), mirror="x", merge="y")  # type: ignore[arg-type]


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'fastfcn-xl' is not a procedure.*fastfcn-ms"):
        Procedure.preset("fastfcn-xl")
    with pytest.raises(ValueError, match="a procedure has no setting 'scale'"):
        Procedure.preset("tiles", scale=2)


def refusal(*build: Any, **settings: Any) -> str:
    kind, *values = build
    with pytest.raises(ValueError) as found:
        kind(*values, **settings)
    return str(found.value)


@pytest.mark.parametrize(
    "crop", [480.0, True, "480", None, (480,), (1, 2, 3), (480, 5.5), (480, "4"), [], {}]
)
def test_what_is_no_crop_is_refused_with_what_is_expected(crop: Any) -> None:
    assert "must be a whole number of pixels, or two: (height, width)" in refusal(Windows, crop)


@pytest.mark.parametrize("crop", [0, 32, -5, (480, 32), 1 << 40, 10**30])
def test_a_crop_out_of_range_is_refused_with_the_range_and_nothing_that_follows(crop: Any) -> None:
    said = refusal(Windows, crop)
    assert ("at least 33 pixels a side" in said) != ("at most 2147483647 pixels a side" in said)
    assert "stride" not in said


def test_a_stride_over_a_crop_that_is_too_small_is_told_beside_it() -> None:
    said = refusal(Windows, 20, 40)
    assert "the crop 20 x 20 must have at least 33" in said
    assert "the stride 40 x 40 must be from 1 to the crop 20 x 20" in said


def test_all_faults_of_windows_are_told_at_once() -> None:
    said = refusal(Windows, 20, 0, border="pads", weight="bell")
    assert "the crop 20 x 20" in said
    assert "the stride 0 x 0 must be from 1 to the crop 20 x 20, or pixels" in said
    assert "border 'pads' is none of shift, pad (did you mean 'pad'?)" in said
    assert "weight 'bell' is none of coverage, gaussian" in said


def test_sides_and_scales_may_come_from_numpy_and_lists() -> None:
    assert Windows([np.int64(480), 96], np.int32(64)) == Windows((480, 96), (64, 64))  # type: ignore[arg-type]
    listed = Procedure(scales=[1, np.float32(0.5)])  # type: ignore[arg-type]
    assert listed == Procedure(scales=(1.0, 0.5))
    assert hash(listed) == hash(Procedure(scales=(1.0, 0.5)))


@pytest.mark.parametrize(
    "scales", [1.5, None, "1", ("1",), (True,), (None,), (1, "x"), (1j,), (10**400,)]
)
def test_scales_that_are_no_numbers_are_refused(scales: Any) -> None:
    assert "numbers were expected, such as (0.75, 1.0)" in refusal(Procedure, scales=scales)


@pytest.mark.parametrize("scale", [-1, 0.0, 65, 1e300, float("inf"), float("nan")])
def test_scales_out_of_range_are_refused(scale: float) -> None:
    assert "more than 0 and at most 64" in refusal(Procedure, scales=(1, scale))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"windows": 480}, "windows is 480; a Windows or None was expected"),
        ({"resize": "short"}, "resize is 'short'; a Resize or None was expected"),
        ({"canvas": (3, 4)}, "a Frame or None was expected"),
        ({"twice": 1}, "twice is 1; True or False was expected"),
        ({"kind": "mine"}, "kind 'mine' is none of whole"),
        ({"mirror": "Horizontal"}, "did you mean 'horizontal'?"),
        ({"mirror": ["none"]}, "is none of none, horizontal"),
        ({"merge": "logit"}, "did you mean 'logits'?"),
    ],
)
def test_settings_of_another_kind_are_refused(settings: dict[str, Any], said: str) -> None:
    assert said in refusal(Procedure, **settings)


def test_a_preset_tells_a_wrong_name_and_wrong_settings_at_once_with_suggestions() -> None:
    said = refusal(Procedure.preset, "fastfnc-ms", scales=(0,), mirrors="both")
    assert "did you mean 'fastfcn-ms'?" in said
    assert "has no setting 'mirrors' (did you mean 'mirror'?)" in said
    assert "more than 0" in said
    assert "did you mean 'tiles'?" in refusal(Procedure.preset, "TILES")
