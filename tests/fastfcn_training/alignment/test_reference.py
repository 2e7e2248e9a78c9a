"""The recorded values are the golden ones, and a file that does not fit its network is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import alignment_reference
from fastfcn_infer.errors import ArtifactError
from fastfcn_infer.system import record
from fastfcn_training.alignment.reference import Reference, read_reference


def test_the_package_carries_the_golden_values() -> None:
    found, golden = read_reference(), alignment_reference.golden()
    first, second = found.training.steps
    bare = replace(first, loss_spreads=(), norm_spreads={})
    assert replace(found, training=replace(found.training, steps=(bare,))) == golden
    assert (first.precision, second.precision) == ("float32", "float64")


def test_golden_and_exact_numbers_agree_as_far_as_rounding_lets_them() -> None:
    rough, exact = read_reference().training.steps
    # Sharp where little lies between the number and the loss.
    assert rough.losses[0] == pytest.approx(exact.losses[0], rel=1e-6)
    name = "head.classifier.weight"
    assert rough.gradient_norms[name] == pytest.approx(exact.gradient_norms[name], rel=1e-6)
    shares = [
        abs(rough.gradient_norms[name] - norm) / rough.norm_spreads[name]
        for name, norm in exact.gradient_norms.items()
    ]
    # What a normal distribution leaves within one standard deviation, roughly.
    assert 0.5 < np.mean(np.array(shares) < 1) < 0.9


def test_exact_numbers_are_those_of_torch() -> None:
    pytest.importorskip("torch")
    small = read_reference(alignment_reference.SMALL)
    _, exact = small.training.steps
    again = alignment_reference.torch_steps(small, small.weights(7), np.float64, count=2)
    assert again.losses == pytest.approx(exact.losses[:2], rel=1e-8)
    assert again.gradient_norms == pytest.approx(exact.gradient_norms, rel=1e-6, abs=1e-12)


def changed(change: Callable[[Any], None], folder: Path) -> Path:
    data = record.to_data(read_reference(alignment_reference.SMALL))
    change(data)
    path = folder / "reference.json"
    path.write_text(json.dumps(data))
    return path


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = changed(lambda data: None, tmp_path)
    assert read_reference(path) == read_reference(alignment_reference.SMALL)
    assert isinstance(read_reference(path), Reference)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["names"].pop("head.gate.bias"), r"names lacks head\.gate\.bias"),
        (lambda data: data["names"].update(x="y"), "names has x, which the network does not have"),
        (
            lambda data: data["training"]["steps"][1]["gradient_norms"].pop("head.gate.bias"),
            r"steps\[1\]\.gradient_norms lacks head\.gate\.bias",
        ),
        (
            lambda data: data["training"]["steps"][0]["norm_spreads"].pop("head.gate.bias"),
            r"steps\[0\]\.norm_spreads lacks",
        ),
        (
            lambda data: data["training"]["steps"][0]["loss_spreads"].pop(),
            "3 losses and 2 spreads",
        ),
        (lambda data: data["training"]["steps"][1]["losses"].clear(), "0 losses"),
        (lambda data: data.update(network={"backbone": "vgg16"}), r"network\.backbone: .*vgg16"),
        (lambda data: data.pop("forward"), "forward: missing"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_reason(
    change: Callable[[Any], None], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match=message):
        read_reference(changed(change, tmp_path))


def test_a_file_that_is_no_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    path.write_text("no JSON")
    with pytest.raises(
        ArtifactError, match=r"reference\.json is not a file of recorded values: not JSON"
    ):
        read_reference(path)
