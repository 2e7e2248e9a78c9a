from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.artifact.artifact import Artifact, open_artifact
from fastfcn_infer.benchmark.tune import BATCHES, Setting, Tuner, backends_to_try
from fastfcn_infer.errors import BackendError
from fastfcn_infer.runtime.backend import RuntimeFacts
from fastfcn_infer.runtime.tuned_profile import TunedProfile
from models import tiny_artifact, tiny_model, tiny_output

SIZE = (64, 96)


class Machine:
    """A machine whose time passes only while a graph runs; backends `a`, `b` and `broken`.

    Args:
        seconds: of a view, by backend, precision and threads; of others a second.
        call: seconds of every call besides, which larger batches share.
        views: seconds that a view takes longer in batches over a size.
    """

    def __init__(
        self,
        seconds: Mapping[tuple[str, str, int], float],
        *,
        call: float = 0.0,
        too_large: int = 99,
    ) -> None:
        self.now, self._seconds, self._call, self._too_large = 0.0, seconds, call, too_large
        self.open = 0

    def clock(self) -> float:
        return self.now

    def open_graph(self, setting: Setting) -> "Graph":
        if setting.backend == "broken":
            raise BackendError("it is broken\nin two lines")
        key = (setting.backend, setting.precision, setting.threads)
        self.open += 1
        return Graph(self, lambda count: self._takes(key, count), setting)

    def _takes(self, key: tuple[str, str, int], count: int) -> float:
        slow = 2.0 if count > self._too_large else 1.0
        return self._call + slow * count * self._seconds.get(key, 1.0)


class Graph:
    def __init__(self, machine: Machine, takes: Callable[[int], float], setting: Setting) -> None:
        self._machine, self._takes, self._setting = machine, takes, setting
        self.facts = RuntimeFacts(setting.backend, "", "cpu", setting.threads, {})

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        self._machine.now += self._takes(len(batch))
        found = tiny_output(batch, 3)
        # In int8 a tenth of the columns of logits has other labels.
        if self._setting.precision == "int8":
            found[..., : found.shape[-1] // 10] *= -1
        return found

    def close(self) -> None:
        self._machine.open -= 1


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    tiny_artifact(tmp_path / "tiny")
    return open_artifact(tmp_path / "tiny")


def tuned(
    artifact: Artifact, machine: Machine, allowed: tuple[str, ...] = (), threads: int = 4
) -> TunedProfile:
    tuner = Tuner(
        artifact,
        SIZE,
        0.01,
        open_graph=machine.open_graph,
        clock=machine.clock,
        sleep=lambda seconds: None,
    )
    found = tuner.tune(allowed, ("a", "b", "broken"), threads)
    assert machine.open == 0
    return found


def test_the_fastest_backend_is_chosen_and_what_auto_takes_anyway_if_nothing_is_clearly_faster(
    artifact: Artifact,
) -> None:
    for second, chosen in ((0.5, "b"), (0.985, "a"), (1.5, "a")):
        found = tuned(artifact, Machine({("b", "fp32", 4): second}))
        assert found.choice.backend == chosen
        assert found.choice.seconds == pytest.approx(second if chosen == "b" else 1.0)
        (broken,) = [each for each in found.measured if each.backend == "broken"]
        assert (broken.seconds, broken.note) == (None, "it is broken")


def test_a_lower_precision_is_tried_and_chosen_only_if_it_is_allowed(artifact: Artifact) -> None:
    machine = Machine({("b", "int8", 4): 0.25, ("a", "bf16", 4): 0.5})
    own = tuned(artifact, machine)
    assert own.allowed == ("fp32",)
    assert {each.precision for each in own.measured} == {"fp32"}
    assert own.precision == "fp32"
    some = tuned(artifact, machine, ("bf16",))
    assert (some.precision, some.choice.backend) == ("bf16", "a")
    every = tuned(artifact, machine, ("bf16", "int8"))
    assert (every.precision, every.choice.backend) == ("int8", "b")
    assert {name: choice.backend for name, choice in every.choices.items()} == {
        "fp32": "a",
        "bf16": "a",
        "int8": "b",
    }
    agreed = {each.precision: each.agreement for each in every.measured if each.agreement}
    assert agreed["bf16"] == 1.0
    assert 0.5 < agreed["int8"] < 1.0


def test_no_gain_keeps_the_precision_of_the_model(artifact: Artifact) -> None:
    assert tuned(artifact, Machine({("a", "int8", 4): 0.99}), ("int8",)).precision == "fp32"


@pytest.mark.parametrize(("half", "threads"), [(0.5, 2), (0.99, 4), (2.0, 4)])
def test_half_of_the_threads_are_used_where_they_are_clearly_faster(
    artifact: Artifact, half: float, threads: int
) -> None:
    found = tuned(artifact, Machine({("a", "fp32", 2): half})).choice
    assert found.threads == threads
    assert found.seconds == pytest.approx(half if threads == 2 else 1.0)


@pytest.mark.parametrize(
    ("machine", "batch"),
    [
        (Machine({}), 1),  # a call costs nothing, so that larger batches gain nothing
        (Machine({}, call=1.0), max(BATCHES)),
        (Machine({}, call=1.0, too_large=4), 4),
        (Machine(dict.fromkeys([("a", "fp32", 4), ("a", "fp32", 2)], 5.0), call=5.0), 1),
    ],
)
def test_the_batch_gives_the_most_views_a_second_and_is_no_larger_than_that_takes(
    artifact: Artifact, machine: Machine, batch: int
) -> None:
    assert tuned(artifact, machine).choice.batch == batch


def test_a_graph_of_a_fixed_batch_keeps_it(tmp_path: Path) -> None:
    model = tiny_model()
    fixed = replace(model, input=replace(model.input, shape=(2, None, None)))
    tiny_artifact(tmp_path / "fixed", fixed)
    found = tuned(open_artifact(tmp_path / "fixed"), Machine({}, call=1.0))
    assert {each.batch for each in found.measured} == {1}


def test_a_model_that_no_backend_runs_is_an_error_with_the_reasons(artifact: Artifact) -> None:
    tuner = Tuner(artifact, SIZE, 0.01, open_graph=Machine({}).open_graph)
    with pytest.raises(BackendError, match=r"measured in fp32\. broken: it is broken"):
        tuner.tune((), ("broken",), 1)


def test_only_backends_that_read_the_model_are_tried(artifact: Artifact) -> None:
    assert "onnx_runtime" in backends_to_try(artifact)
    assert "paddle_inference" not in backends_to_try(artifact)
