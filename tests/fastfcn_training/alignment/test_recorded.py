"""The comparisons with recorded values pass, and each fails where what it looks at is wrong.

PyTorch and the NumPy judge answered for a small network; the original's values for ResNet-50 take
longer and are compared once.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("paddle")

import alignment_reference
from fastfcn_infer.evaluation import metrics
from fastfcn_training.alignment import recorded_batch
from fastfcn_training.alignment.check import (
    Comparison,
    Setting,
    check_names,
    load_check,
)
from fastfcn_training.alignment.reference import Reference, read_reference
from fastfcn_training.loop.optimisers import NamedOptimiser
from fastfcn_training.network import losses
from fastfcn_training.network.paddle_network import PaddleOps, TrainingNetwork

Patch = pytest.MonkeyPatch
RECORDED = ("bp_align_diff", "forward_diff", "loss_diff", "metric_diff")


def compare(name: str) -> Comparison:
    small = read_reference(alignment_reference.SMALL)
    return load_check(name).compare(Setting(small, None))


def test_every_comparison_has_a_summary() -> None:
    assert set(check_names()) >= {*RECORDED, "train_align_diff"}
    assert all(load_check(name).SUMMARY for name in check_names())


@pytest.mark.parametrize("name", RECORDED)
def test_the_small_network_is_aligned(name: str) -> None:
    found = compare(name)
    assert found.passed, found.ranked[:3]


def test_every_gradient_is_compared_in_both_precisions() -> None:
    small = read_reference(alignment_reference.SMALL)
    names = {figure.name for figure in compare("bp_align_diff").figures}
    for precision in ("float32", "float64"):
        for tensor in small.training.steps[0].gradient_norms:
            assert f"{precision}: gradient of {tensor}" in names
        for step in (1, 2, 3):
            assert f"{precision}: loss before step {step}" in names


def weight_moved(monkeypatch: Patch) -> None:
    """A hundredth more in one tensor of many."""
    right = Reference.weights

    def wrong(self: Reference, classes: int) -> Any:
        weights = dict(right(self, classes))
        weights["head.classifier.weight"] *= np.float32(1.01)
        return weights

    monkeypatch.setattr(Reference, "weights", wrong)


def maps_in_another_order(monkeypatch: Patch) -> None:
    right = PaddleOps.concat
    monkeypatch.setattr(PaddleOps, "concat", lambda self, maps: right(self, list(maps)[::-1]))


def optimiser(**change: Any) -> Callable[[Patch], None]:
    def make(wanted: Any, tensors: Any) -> NamedOptimiser:
        return NamedOptimiser(replace(wanted, **change), tensors)

    return lambda monkeypatch: monkeypatch.setattr(recorded_batch, "NamedOptimiser", make)


def network(**change: Any) -> Callable[[Patch], None]:
    def make(architecture: Any, weights: Any, **options: Any) -> TrainingNetwork:
        return TrainingNetwork(architecture, weights, **(options | change))

    return lambda monkeypatch: monkeypatch.setattr(recorded_batch, "TrainingNetwork", make)


def corners_elsewhere(monkeypatch: Patch) -> None:
    right = losses.parts

    def wrong(outputs: Any, labels: Any, wanted: Any, *, align_corners: bool) -> Any:
        return right(outputs, labels, wanted, align_corners=False)

    monkeypatch.setattr(losses, "parts", wrong)


def auxiliary_twice(monkeypatch: Patch) -> None:
    right = losses.total

    def wrong(found: Any, wanted: Any) -> Any:
        return right(found, replace(wanted, auxiliary=2 * wanted.auxiliary))

    monkeypatch.setattr(losses, "total", wrong)


def no_gradient_through_the_gate(monkeypatch: Patch) -> None:
    right = PaddleOps.gate
    monkeypatch.setattr(PaddleOps, "gate", lambda self, x, v: right(self, x, v.detach()))


def two_classes_swapped(monkeypatch: Patch) -> None:
    right = metrics.scores

    def wrong(confusion: metrics.Confusion, convention: Any) -> metrics.Scores:
        order = [1, 0, *range(2, confusion.classes)]
        counts = confusion.counts[:, order]
        return right(metrics.Confusion.from_counts(counts), convention)

    monkeypatch.setattr(metrics, "scores", wrong)


def one_pixel_more(monkeypatch: Patch) -> None:
    right = metrics.scores

    def wrong(confusion: metrics.Confusion, convention: Any) -> metrics.Scores:
        counts = confusion.counts
        counts[4, 7] += 1
        return right(metrics.Confusion.from_counts(counts), convention)

    monkeypatch.setattr(metrics, "scores", wrong)


MISTAKES: list[tuple[str, Callable[[Patch], None]]] = [
    ("forward_diff", weight_moved),
    ("forward_diff", maps_in_another_order),
    ("loss_diff", weight_moved),
    ("loss_diff", corners_elsewhere),
    ("loss_diff", auxiliary_twice),
    ("bp_align_diff", weight_moved),
    ("bp_align_diff", no_gradient_through_the_gate),
    ("bp_align_diff", optimiser(momentum=0.8)),
    ("bp_align_diff", optimiser(head_factor=1.0)),
    ("bp_align_diff", optimiser(clip_norm=1.0)),
    ("bp_align_diff", network(dropout=True)),
    ("bp_align_diff", network(freeze_norms=True)),
    ("metric_diff", two_classes_swapped),
    ("metric_diff", one_pixel_more),
]


@pytest.mark.parametrize(("name", "mistake"), MISTAKES)
def test_every_mistake_is_found(
    name: str, mistake: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    mistake(monkeypatch)
    assert not compare(name).passed


def test_a_wrong_gradient_is_no_matter_of_the_loss(monkeypatch: Patch) -> None:
    no_gradient_through_the_gate(monkeypatch)
    assert compare("loss_diff").passed
    failed = {figure.name for figure in compare("bp_align_diff").figures if not figure.passed}
    assert "float64: gradient of head.gate.weight" in failed
    assert "float64: loss before step 1" not in failed


def test_logits_of_another_size_fail_without_being_compared(monkeypatch: Patch) -> None:
    right = TrainingNetwork.logits
    monkeypatch.setattr(TrainingNetwork, "logits", lambda self, x: right(self, x)[:, :, 1:])
    found = compare("forward_diff")
    assert [figure.name for figure in found.figures if not figure.passed] == [
        "height of the logits"
    ]


def test_what_is_not_a_number_fails(monkeypatch: Patch) -> None:
    right = TrainingNetwork.logits

    def wrong(self: TrainingNetwork, image: Any) -> Any:
        return right(self, image) * float("nan")

    monkeypatch.setattr(TrainingNetwork, "logits", wrong)
    assert not compare("forward_diff").passed


@pytest.mark.slow  # ResNet-50 in full: seven passes forward, six backward, three in float64
@pytest.mark.parametrize("name", RECORDED)
def test_resnet_50_is_aligned_with_the_original(name: str) -> None:
    found = load_check(name).compare(Setting(read_reference(), None))
    assert found.passed, found.ranked[:5]
