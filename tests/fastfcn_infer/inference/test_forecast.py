"""The text and the numbers of a plan."""

import json
from dataclasses import replace

import pytest

from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.artifact.procedure import PRESETS, Frame, Procedure
from fastfcn_infer.inference.cost import Calls, cost
from fastfcn_infer.inference.forecast import Plan, Rate, duration, forecast, most_frequent
from models import tiny_model

RATE = Rate((480, 480), 2, 0.5)


def counted(multiply_adds: int = 1_000_000_000) -> Model:
    model = tiny_model(5)
    return replace(model, network=replace(model.network, multiply_adds=multiply_adds))


def planned(
    size: tuple[int, int], procedure: Procedure, model: Model | None = None, rate: Rate = RATE
) -> Plan:
    model = model or counted()
    found = cost(model, [size], procedure, batch=4)
    return forecast(model, size, procedure, found, batch=4, memory=found.memory.total, rate=rate)


def test_windows_and_mirrors_are_counted_for_each_scale() -> None:
    plan = planned((512, 683), PRESETS["fastfcn-ms"])
    # The figures of the original protocol: long side 520, crop 480, stride 320.
    assert [one.size for one in plan.scales] == [
        (195, 260), (292, 390), (390, 520), (487, 650), (585, 780), (682, 910),
    ]  # fmt: skip
    assert [one.windows for one in plan.scales] == [1, 1, 2, 4, 4, 6]
    assert {one.mirrors for one in plan.scales} == {2}
    assert plan.views == 2 * (1 + 1 + 2 + 4 + 4 + 6)
    assert plan.calls == (Calls((480, 480), 4, 9),)


def test_the_time_is_that_of_all_pixels_at_the_measured_rate() -> None:
    plan = planned((960, 480), Procedure())
    # Two views of 480 x 480 took half a second, and this is one of twice that size.
    assert plan.seconds == pytest.approx(0.5)


def test_a_plan_is_text_and_json() -> None:
    plan = planned((960, 480), PRESETS["tiles"])
    text = str(plan)
    assert "picture        960 x 480, procedure tiles" in text
    assert "scale 1: 960 x 480, 3 windows, fed as 480 x 480" in text
    assert "3.0 G" in text
    assert "(measured here: 2 x 480 x 480 in 0.5 s)" in text
    data = json.loads(json.dumps(plan.to_data()))
    assert data["views"] == 3
    assert data["seconds"] == pytest.approx(0.75)
    assert data["multiply_adds"] == 3_000_000_000


def test_what_the_manifest_does_not_count_is_said_to_be_unknown() -> None:
    text = str(planned((480, 480), Procedure(), counted(0)))
    assert "multiply-adds  not counted in the model's manifest" in text
    assert "the memory is that of ResNet-50 at stride 8" in text


@pytest.mark.parametrize(
    ("size", "procedure", "share"),
    [
        ((480, 480), PRESETS["fastfcn"], None),
        ((240, 480), Procedure(canvas=Frame(480, 480)), "50.0%"),
        ((240, 480), Procedure(frame=Frame(480, 480)), "50.0%"),
        ((480, 480), Procedure(), None),
    ],
)
def test_padding_is_noted(size: tuple[int, int], procedure: Procedure, share: str | None) -> None:
    notes = [note for note in planned(size, procedure).notes if "padding" in note]
    if share is None:
        assert notes == [] or procedure.kind == "fastfcn"
    else:
        (note,) = notes
        assert note.startswith(share)


def test_it_is_noted_where_the_input_depends_on_the_picture() -> None:
    assert any("depends" in note for note in planned((480, 480), Procedure()).notes)
    assert not any("depends" in note for note in planned((960, 960), PRESETS["tiles"]).notes)


def test_what_a_new_size_cost_is_noted_unless_it_is_lost_in_the_noise() -> None:
    def says(new_size: float) -> bool:
        rate = replace(RATE, new_size=new_size)  # a view takes 0.25 s
        text = str(planned((480, 480), Procedure(), rate=rate))
        return "the first of a size took 0.04 s longer here" in text

    assert says(0.04)
    assert not says(0.005)
    assert not says(0.0)


def test_the_canvas_with_the_most_views_is_the_usual_one() -> None:
    small, large = Calls((64, 64), 2, 1), Calls((480, 480), 8, 2)
    assert most_frequent([small, large, Calls((480, 480), 1, 1)]) == large


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0012, "0.0012 s"), (90, "90 s"), (150, "2.5 min"), (9000, "2.5 h")],
)
def test_times_are_written_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text
