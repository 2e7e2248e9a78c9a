"""Plans: what is told is what is done, wrong sizes are refused, and batches change no label."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.procedure import PRESETS, Procedure, Windows
from fastfcn_infer.errors import BackendError, ImageError
from fastfcn_infer.runtime import pace
from fastfcn_infer.runtime.backend import Backend, open_backend
from fastfcn_infer.segmenter import Segmenter
from fastfcn_infer.system.machine import MemoryBudget
from models import tiny_artifact, tiny_model

WINDOWS = Procedure(windows=Windows(64, 48), scales=(1, 1.5), mirror="horizontal")


class Spy:
    """A backend that remembers the shapes it was fed."""

    def __init__(self, backend: Backend) -> None:
        self.facts, self.close, self._run = backend.facts, backend.close, backend.run
        self.shapes: list[tuple[int, ...]] = []

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        self.shapes.append(batch.shape)
        return self._run(batch)


@pytest.fixture
def spied(tmp_path: Path) -> Iterator[tuple[Segmenter, Spy]]:
    tiny_artifact(tmp_path / "tiny", tiny_model(5))
    artifact = open_artifact(tmp_path / "tiny")
    spy = Spy(open_backend("auto", artifact, device="cpu", threads=1))
    with Segmenter(artifact, spy) as segmenter:
        yield segmenter, spy


def picture(size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.random.default_rng(size).integers(0, 256, (*size, 3), np.uint8)


@pytest.mark.parametrize("procedure", [None, "tiles", "fastfcn", "paddleseg-ms-flip", WINDOWS])
def test_the_calls_of_a_plan_are_those_of_the_run(
    spied: tuple[Segmenter, Spy], procedure: str | Procedure | None
) -> None:
    segmenter, spy = spied
    plan = segmenter.plan((130, 170), procedure)
    spy.shapes.clear()
    segmenter.predict(picture((130, 170)), procedure)
    told = sorted((c.views, 3, *c.canvas) for c in plan.calls for _ in range(c.count))
    assert sorted(spy.shapes) == told
    assert plan.views == sum(shape[0] for shape in spy.shapes)


@pytest.mark.parametrize("memory", [0, 1, 1 << 40, None])
def test_batches_follow_the_memory_and_change_no_label(
    spied: tuple[Segmenter, Spy], memory: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter, spy = spied
    usual = segmenter.predict(picture((130, 170)), WINDOWS).labels
    spy.shapes.clear()
    monkeypatch.setattr(pace, "available_memory", lambda: memory)
    np.testing.assert_array_equal(segmenter.predict(picture((130, 170)), WINDOWS).labels, usual)
    largest = max(shape[0] for shape in spy.shapes)
    assert largest == segmenter.plan((130, 170), WINDOWS).batch
    assert (largest == 8) == (memory is None or memory > 1 << 30)
    assert (largest == 1) == (memory is not None and memory < 2)


@pytest.mark.parametrize(
    "size", [(0, 5), (5, -1), (5,), (5, 6, 3), (5.0, 6), "56", ("5", "6"), 5, None, (True, 0), []]
)
def test_what_is_no_size_is_refused(spied: tuple[Segmenter, Spy], size: Any) -> None:
    segmenter, spy = spied
    with pytest.raises(ValueError, match=r"not the size of a picture.*\(720, 1280\)"):
        segmenter.plan(size)
    assert spy.shapes == []


def test_a_size_may_come_from_numpy(spied: tuple[Segmenter, Spy]) -> None:
    segmenter, _ = spied
    assert segmenter.plan(np.array([40, 50])).size == (40, 50)  # type: ignore[arg-type]


def test_what_a_run_would_refuse_a_plan_refuses(spied: tuple[Segmenter, Spy]) -> None:
    segmenter, spy = spied
    with pytest.raises(ImageError, match="too long"):
        segmenter.plan((1, 1 << 21))
    with pytest.raises(ImageError, match="windows would cover"):
        segmenter.plan((40_000, 40_000), Procedure(windows=Windows(33, 33)))
    with pytest.raises(ValueError, match="not a procedure"):
        segmenter.plan((40, 40), "fastest")
    assert spy.shapes == []


def test_the_network_is_timed_once_for_a_size(spied: tuple[Segmenter, Spy]) -> None:
    segmenter, spy = spied
    first = segmenter.plan((100, 100))
    spy.shapes.clear()
    assert segmenter.plan((100, 100)) == first
    assert segmenter.plan((101, 99)).rate == first.rate
    assert spy.shapes == []


def test_scores_that_are_kept_count_and_are_refused_before_the_network_runs(
    spied: tuple[Segmenter, Spy], monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter, spy = spied
    size, tiles = (2000, 200), Procedure(windows=Windows(64, 48))  # bands hold few of the windows
    without, kept = (segmenter.plan(size, tiles, keep=keep) for keep in (None, "scores"))
    scores = segmenter.predict(picture(size), tiles, keep="scores").scores
    assert scores is not None
    assert scores.nbytes / 2 < kept.memory - without.memory <= scores.nbytes
    with pytest.raises(ValueError, match="keep is 'labels'"):
        segmenter.plan(size, tiles, keep="labels")  # type: ignore[arg-type]
    planner = segmenter._planner
    budget = MemoryBudget(planner._needed(size, tiles, 1, keep=True) - 1, "this machine has")
    monkeypatch.setattr(planner, "_budget", budget)
    spy.shapes.clear()
    for options in ({"keep": "scores"}, {"min_confidence": 0.5}):
        with pytest.raises(ImageError, match="with its scores, more than this machine has"):
            segmenter.predict(picture(size), tiles, **options)
    assert spy.shapes == []
    segmenter.predict(picture(size), tiles)


def test_a_closed_segmenter_plans_nothing(spied: tuple[Segmenter, Spy]) -> None:
    segmenter, _ = spied
    segmenter.close()
    with pytest.raises(BackendError, match="closed"):
        segmenter.plan((100, 100))


def test_every_preset_is_planned(spied: tuple[Segmenter, Spy]) -> None:
    segmenter, _ = spied
    for name in PRESETS:
        plan = segmenter.plan((97, 131), name)
        assert plan.seconds > 0
        assert plan.memory > 0
        assert name in str(plan)
