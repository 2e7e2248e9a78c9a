"""Weights of classes by how often they are seen."""

import math
from pathlib import Path

import numpy as np
import pytest

from fastfcn_infer.data.dataset import IGNORE
from fastfcn_infer.errors import DatasetError
from fastfcn_training.cli.recipe_sources.recipe_file import read_recipe
from fastfcn_training.data.class_weights import balanced, counted_weights
from small_trainings import pictures

# Pixels of each class in CamVid's train and val together.
CAMVID = (
    *(12284387, 19281259, 721848, 25130056, 4366836, 9017887),
    *(899583, 1251792, 4024593, 518916, 571977),
)


def test_the_formula_is_enet_s_with_its_constant_lowered_to_1_1() -> None:
    wanted = [1 / math.log(1.85), 1 / math.log(1.1), 1 / math.log(1.35)]
    assert balanced([300, 0, 100]) == pytest.approx(wanted, abs=5e-5)


def test_no_pixels_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="no class has any pixels"):
        balanced([0, 0])


def test_weights_are_counted_over_every_label_file(tmp_path: Path) -> None:
    dataset = pictures(tmp_path, 3)
    labels = np.concatenate([dataset.read_labels(s).reshape(-1) for s in dataset.samples])
    assert (labels == IGNORE).any()
    assert counted_weights(dataset) == balanced([int((labels == n).sum()) for n in range(3)])


def test_all_bad_label_files_are_named(tmp_path: Path) -> None:
    dataset = pictures(tmp_path, 3)
    for number in (0, 2):
        (tmp_path / f"labels{number}.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"(?s)2 label files.*labels0\.png.*labels2\.png"):
        counted_weights(dataset)


def test_the_embedded_model_s_recipe_has_the_weights_of_what_it_learns_from() -> None:
    recipe = read_recipe("fastfcn-resnet18-camvid")
    assert recipe.data.split == "trainval"
    assert recipe.losses.class_weights == balanced(CAMVID)
