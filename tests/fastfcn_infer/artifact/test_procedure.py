from typing import Any

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
    with pytest.raises(ValueError, match=r"'fastfcn-xl' is no procedure.*fastfcn-ms"):
        Procedure.preset("fastfcn-xl")
    with pytest.raises(ValueError, match="a procedure has no scale"):
        Procedure.preset("tiles", scale=2)
