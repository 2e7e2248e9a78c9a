"""What a model's graph cannot give is refused before any picture is read."""

from dataclasses import replace
from typing import Any

import pytest

from fastfcn_infer.artifact.manifest import Output
from fastfcn_infer.artifact.procedure import PRESETS, Procedure, Windows
from fastfcn_infer.inference.conventions import choose_procedure
from models import tiny_model


@pytest.mark.parametrize("shape", [(None, 64, 96), (1, 96, 64), (None, 64, None), (2, None, 64)])
def test_windows_that_are_larger_than_the_graphs_input_are_refused(
    shape: tuple[int | None, int | None, int | None],
) -> None:
    model = tiny_model(5)
    fixed = replace(model, input=replace(model.input, shape=shape))
    with pytest.raises(ValueError, match=r"480 x 480 pixels.*exported for .*without --shape"):
        choose_procedure("tiles", fixed)
    with pytest.raises(ValueError, match="windows of 65 x 65"):
        choose_procedure(Procedure(windows=Windows(65)), fixed)
    fitting = Procedure(windows=Windows(64))
    assert choose_procedure(fitting, fixed) == fitting


@pytest.mark.parametrize("output", ["labels", "probabilities"])
def test_logits_that_a_graph_does_not_give_are_not_resized_twice(output: Any) -> None:
    model = tiny_model(5)
    model = replace(model, output=Output(output, 1))
    with pytest.raises(
        ValueError,
        match=f"twice, .*--output {output}. .*--output logits, or .*own procedure, whole",
    ):
        choose_procedure("mmseg", model)
    assert choose_procedure("whole", model).is_whole


def test_one_view_is_one_view_however_its_logits_are_resized() -> None:
    found = {name for name, preset in PRESETS.items() if preset.is_one_view}
    assert found == {"whole", "paddleseg", "mmseg"}
    assert not PRESETS["mmseg"].is_whole


def test_windows_of_any_size_go_with_a_free_input() -> None:
    assert choose_procedure("tiles", tiny_model(5)) == PRESETS["tiles"]


@pytest.mark.parametrize(
    "wanted", [3, {"windows": 480}, Windows(480), Procedure, b"tiles", ["tiles"]]
)
def test_what_is_neither_a_procedure_nor_a_name_is_refused_as_such(wanted: Any) -> None:
    with pytest.raises(TypeError, match=r"procedure is .*; a Procedure, the name of one, or None"):
        choose_procedure(wanted, tiny_model(5))
