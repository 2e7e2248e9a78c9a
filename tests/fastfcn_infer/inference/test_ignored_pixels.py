"""Pixels without a class in everything that a result draws, counts and writes."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.picture.label_map import read_label_file

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
COLORS = np.array([(255, 0, 0), (0, 0, 255)], np.uint8)


def result() -> Segmentation:
    """A quarter of class 0, a quarter of class 1, a half without a class."""
    labels = np.full((40, 60), 255, np.uint8)
    labels[:20, :30], labels[:20, 30:] = 0, 1
    return Segmentation(labels, ("a", "b"), COLORS, PICTURE, ignore_label=255)


def test_areas_are_shares_of_the_pixels_that_have_a_class() -> None:
    assert result().areas() == {"a": 0.5, "b": 0.5}
    assert not result().mask("a")[20:].any()


def test_an_overlay_leaves_them_as_they_are_and_the_colours_are_those_of_pascal_voc() -> None:
    drawn = np.asarray(result().overlay(legend=False).array)
    np.testing.assert_array_equal(drawn[20:], PICTURE[20:])
    assert (drawn[:20] != PICTURE[:20]).any()
    only = np.asarray(result().overlay(legend=False, classes="b").array)
    np.testing.assert_array_equal(only[20:], PICTURE[20:])
    np.testing.assert_array_equal(only[:18, :28], PICTURE[:18, :28])
    assert (np.asarray(result().colorize().array)[20:] == (224, 224, 192)).all()
    result().overlay(legend="right")


def test_files_hold_the_ignore_label_and_say_it(tmp_path: Path) -> None:
    found = result()
    for name, kind in (("a.png", "labels"), ("b.png", "labels-raw")):
        found.save(tmp_path / name, kind=kind)  # type: ignore[arg-type]
        np.testing.assert_array_equal(read_label_file(tmp_path / name), found.labels)
    shown = cv2.imread(str(tmp_path / "a.png"))
    assert shown is not None
    assert shown[30, 30].tolist() == [192, 224, 224]
    found.save(tmp_path / "d.npz")
    assert np.load(tmp_path / "d.npz")["ignore_label"] == 255
    found.save(tmp_path / "c.json")
    facts = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    assert (facts["ignore_label"], facts["ignored"]) == (255, 0.5)
    assert [row["fraction"] for row in facts["areas"]] == [0.5, 0.5]


def test_a_picture_without_any_certain_pixel_can_be_drawn_and_saved(tmp_path: Path) -> None:
    labels = np.full((40, 60), 65535, np.uint16)
    nothing = Segmentation(labels, ("a", "b"), COLORS, PICTURE, ignore_label=65535)
    assert nothing.areas() == {}
    np.testing.assert_array_equal(np.asarray(nothing.overlay().array), PICTURE)
    for name in ("a.png", "b.json", "c.npz", "d.jpg"):
        nothing.save(tmp_path / name)
    assert "0 of 2 classes" in repr(nothing)


def test_a_label_that_is_neither_a_class_nor_ignored_is_refused() -> None:
    labels = np.full((40, 60), 254, np.uint8)
    with pytest.raises(ValueError, match="label 254 has no name"):
        Segmentation(labels, ("a", "b"), COLORS, PICTURE, ignore_label=255)
    with pytest.raises(ValueError, match="ignore_label 1 is that of a class"):
        Segmentation(labels * 0, ("a", "b"), COLORS, PICTURE, ignore_label=1)
