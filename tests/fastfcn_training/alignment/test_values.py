"""Weights, pictures and labels are those that the recorded values were made of."""

import json
from pathlib import Path

import numpy as np

import fill
from fastfcn_infer.data.dataset import IGNORE
from fastfcn_training.alignment import values
from fastfcn_training.alignment.reference import read_reference

GOLDEN = Path(__file__).parents[2] / "data" / "golden"


def test_tensors_are_those_of_the_golden_case() -> None:
    case = json.loads((GOLDEN / "align_wuhuikai_encnet_r50_jpu.json").read_text())
    kinds = {name: (tuple(shape), kind) for name, shape, kind in case["tensors"]}
    names = read_reference().names
    seen = set()
    for ours, theirs in names.items():
        shape, kind = kinds[theirs]
        if kind in seen and np.prod(shape) > 1e5:
            continue  # one large tensor of a kind is enough
        seen.add(kind)
        found = values.tensor(ours, theirs, shape)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, fill.tensor(theirs, shape, kind))
    unused = {
        name
        for name, (_, kind) in kinds.items()
        if kind == "count" or name.startswith("pretrained.fc.")
    }
    assert set(names.values()) == kinds.keys() - unused
    assert seen == {kind for _, kind in kinds.values()} - {"count"}


def test_pictures_are_those_of_the_golden_case() -> None:
    np.testing.assert_array_equal(
        values.network_input(901, 97, 129), fill.network_input(901, 97, 129)
    )


def test_labels_follow_the_rule_of_the_golden_case() -> None:
    # "RandomState(903).randint(-1,19,(2,13,17)), each cell repeated 8x8, cut to 97x129; -1 is
    # ignored"
    cells = np.random.RandomState(903).randint(-1, 19, (2, 13, 17))
    found = values.label_maps(903, 19, 2, 97, 129)
    assert found.shape == (2, 97, 129)
    for row, column in ((0, 0), (7, 8), (8, 7), (96, 128), (50, 77)):
        expected = cells[:, row // 8, column // 8]
        np.testing.assert_array_equal(
            found[:, row, column], np.where(expected < 0, IGNORE, expected)
        )


def test_the_last_class_is_predicted_but_never_true() -> None:
    labels, truth = values.predicted_and_true(5, 19, (4, 60, 80))
    assert 18 not in truth
    assert 18 in labels
    assert 0.05 < (truth == IGNORE).mean() < 0.15
