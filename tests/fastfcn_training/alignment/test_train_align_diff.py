"""Training follows the textbook, and is found not to where anything in it is another."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("paddle")

from camvid_tree import camvid_tree
from fastfcn_infer.errors import DatasetError
from fastfcn_training.alignment.check import Comparison, Setting
from fastfcn_training.alignment.checks import train_align_diff
from fastfcn_training.loop.optimisers import NamedOptimiser
from fastfcn_training.network import losses, paddle_network
from fastfcn_training.network.paddle_network import PaddleOps, TrainingNetwork

Patch = pytest.MonkeyPatch
GENERATED = Setting(None, None)  # type: ignore[arg-type]  # nothing recorded is needed


@pytest.fixture(scope="module")
def textbook() -> list[float]:
    """The textbook's losses, which no mistake of ours changes."""
    return train_align_diff._textbook(train_align_diff._weights(), train_align_diff._generated())


def compare(textbook: list[float], monkeypatch: Patch) -> Comparison:
    monkeypatch.setattr(train_align_diff, "_textbook", lambda weights, drawn: textbook)
    return train_align_diff.compare(GENERATED)


def test_twenty_steps_and_an_evaluation_are_the_textbooks(
    textbook: list[float], monkeypatch: Patch
) -> None:
    found = compare(textbook, monkeypatch)
    assert found.passed
    assert len(found.figures) == 21
    # In float64 ten thousand times closer than what is asked for.
    assert max(figure.difference for figure in found.figures) < 1e-6
    # Something was learned, or a training that does nothing would pass.
    assert textbook[19] < 0.98 * textbook[0]


def optimiser(**change: Any) -> Callable[[Patch], None]:
    def make(wanted: Any, tensors: Any) -> NamedOptimiser:
        return NamedOptimiser(replace(wanted, **change), tensors)

    return lambda monkeypatch: monkeypatch.setattr(train_align_diff, "NamedOptimiser", make)


def network(**change: Any) -> Callable[[Patch], None]:
    def make(architecture: Any, weights: Any, **options: Any) -> TrainingNetwork:
        return TrainingNetwork(architecture, weights, **(options | change))

    return lambda monkeypatch: monkeypatch.setattr(train_align_diff, "TrainingNetwork", make)


def constant(name: str, **change: Any) -> Callable[[Patch], None]:
    wrong = replace(getattr(train_align_diff, name), **change)
    return lambda monkeypatch: monkeypatch.setattr(train_align_diff, name, wrong)


def primitive(name: str, wrong: Any) -> Callable[[Patch], None]:
    return lambda monkeypatch: monkeypatch.setattr(PaddleOps, name, wrong)


def statistics_too_slow(monkeypatch: Patch) -> None:
    monkeypatch.setattr(paddle_network, "MOMENTUM", 0.99)


def every_class_shown(monkeypatch: Patch) -> None:
    def presence(labels: Any, classes: int) -> Any:
        return np.ones((len(labels), classes), np.float32)

    monkeypatch.setattr(losses, "presence", presence)


def ungated(self: PaddleOps, x: Any, vector: Any) -> Any:
    return x


right_resize = PaddleOps.resize


def half_pixel(self: PaddleOps, x: Any, like: Any, *, align_corners: bool) -> Any:
    return right_resize(self, x, like, align_corners=False)


MISTAKES = {
    "momentum": optimiser(momentum=0.8),
    "no weight decay": optimiser(weight_decay=0.0),
    "the head as slow as the backbone": optimiser(head_factor=1.0),
    "gradients clipped": optimiser(clip_norm=1.0),
    "another optimiser": optimiser(kind="adamw"),
    "power of the schedule": constant("SCHEDULE", power=1.0),
    "weight of the auxiliary loss": constant("LOSSES", auxiliary=0.2),
    "weight of the semantic loss": constant("LOSSES", semantic=0.1),
    "average over all pixels": constant("LOSSES", average="all"),
    "dropout": network(dropout=True),
    "frozen norms": network(freeze_norms=True),
    "running statistics": statistics_too_slow,
    "presence of classes": every_class_shown,
    "gate": primitive("gate", ungated),
    "corners of the resize inside the network": primitive("resize", half_pixel),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_found(mistake: str, textbook: list[float], monkeypatch: Patch) -> None:
    MISTAKES[mistake](monkeypatch)
    assert not compare(textbook, monkeypatch).passed


def test_running_statistics_show_in_the_evaluation_alone(
    textbook: list[float], monkeypatch: Patch
) -> None:
    statistics_too_slow(monkeypatch)
    found = compare(textbook, monkeypatch)
    assert [figure.name for figure in found.figures if not figure.passed] == [
        "loss after the last, in evaluation mode"
    ]


def test_crops_of_camvid_are_learned_where_it_is_given(tmp_path: Path, monkeypatch: Patch) -> None:
    camvid_tree(tmp_path, pictures=9, split="train")
    drawn = train_align_diff._camvid(tmp_path)
    assert len(drawn) == train_align_diff.STEPS + 1
    for pixels, labels in drawn:
        assert pixels.shape == (4, 3, *train_align_diff.CROP)
        assert labels.shape == (4, *train_align_diff.CROP)
        assert set(np.unique(labels)) <= {*range(10), 255}
    assert not np.array_equal(drawn[0][0], drawn[1][0])
    again = train_align_diff._camvid(tmp_path)
    np.testing.assert_array_equal(drawn[7][0], again[7][0])

    monkeypatch.setattr(train_align_diff, "_textbook", lambda weights, given: [0.0] * 21)
    monkeypatch.setattr(train_align_diff, "_ours", lambda weights, given: [0.0] * 21)
    found = train_align_diff.compare(Setting(None, tmp_path))  # type: ignore[arg-type]
    assert "CamVid" in found.ours
    assert "generated" in compare([0.0] * 21, monkeypatch).ours


def test_a_root_without_camvid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="camvid"):
        train_align_diff.compare(Setting(None, tmp_path))  # type: ignore[arg-type]
