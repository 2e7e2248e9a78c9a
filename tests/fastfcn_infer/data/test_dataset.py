import os
import pickle
import re
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from dataset_trees import numbers, write_labels, write_picture
from fastfcn_infer.artifact.class_table import class_table
from fastfcn_infer.artifact.manifest import ClassInfo
from fastfcn_infer.data.dataset import IGNORE, Dataset, Sample, dataset_names, layout, open_dataset
from fastfcn_infer.errors import DatasetError, ImageError

TWO = (ClassInfo("floor", (0, 0, 0)), ClassInfo("crack", (255, 0, 0)))


def two_classes(folder: Path, *samples: Sample) -> Dataset:
    values = {10: 0, 20: 1, 300: 1, 0: IGNORE}
    write_picture(folder / "a.jpg")
    return Dataset("cracks", "train", TWO, samples, values)


def test_the_data_sets_of_all_dialects_are_there() -> None:
    expected = {"ade20k", "cityscapes", "pascal_context_59", "pascal_context_60", "voc"}
    assert {*dataset_names()} >= expected | {"camvid", "listed"}


@pytest.mark.parametrize("name", dataset_names())
def test_a_data_set_says_what_it_is_and_where_it_is_to_be_had(name: str) -> None:
    described = layout(name)
    assert described.LAYOUT.strip()
    assert described.__doc__
    assert name == "listed" or described.PAGE.startswith("http")
    assert name == "listed" or {"train", "val"} <= set(described.SPLITS)


@pytest.mark.parametrize("name", dataset_names())
def test_an_empty_root_is_refused_with_the_expected_layout(name: str, tmp_path: Path) -> None:
    described = layout(name)
    for split in described.SPLITS or ("train",):
        with pytest.raises(DatasetError) as caught:
            open_dataset(name, tmp_path, split)
        for line in described.LAYOUT.split("\n"):
            assert line in str(caught.value)
        assert "(empty)" in str(caught.value)


@pytest.mark.parametrize("name", dataset_names())
def test_a_root_that_is_no_folder_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    split = next(iter(layout(name).SPLITS), "train")
    for root in ("file", "nothing"):
        with pytest.raises(DatasetError, match=rf"{root} cannot be opened: .*; a folder was expe"):
            open_dataset(name, tmp_path / root, split)


def test_folders_that_may_not_be_searched_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "images").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", refuse)
        with pytest.raises(DatasetError, match=r"cannot be searched: .*Permission denied"):
            open_dataset("camvid", tmp_path, "train")
    monkeypatch.setattr(os, "scandir", refuse)
    # Which of our calls meets it first is a matter of the version of pathlib.
    with pytest.raises(DatasetError, match=r"cannot be (opened|searched): .*Permission denied"):
        open_dataset("camvid", tmp_path, "train")


def test_unknown_data_sets_and_parts_are_refused_with_those_that_there_are(tmp_path: Path) -> None:
    for name in ("camvid2", "", "../errors"):
        with pytest.raises(DatasetError, match=f"expected {', '.join(dataset_names())}"):
            open_dataset(name, tmp_path, "train")
    with pytest.raises(DatasetError, match="no part 'training'; expected one of train, val, tr"):
        open_dataset("ade20k", tmp_path, "training")


def test_numbers_become_labels_and_others_are_named_with_their_pixels(tmp_path: Path) -> None:
    sample = Sample("a", tmp_path / "a.jpg", tmp_path / "a.png")
    dataset = two_classes(tmp_path, sample)
    write_labels(tmp_path / "a.png", numbers(0, 10, 20))
    labels = dataset.read_labels(sample)
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, numbers(255, 0, 1))
    write_labels(tmp_path / "a.png", numbers(0, 10, 20, 7, 9, 255))
    message = (
        r"cracks: the label map .*a\.png holds 7 \(4 pixels\), 9 \(4 pixels\), 255 \(4 pixels\); "
        r"these values belong to none of the 2 classes\. Expected 0, 10, 20, 300"
    )
    with pytest.raises(DatasetError, match=message):
        dataset.read_labels(sample)


def test_only_the_first_of_many_strange_numbers_are_named(tmp_path: Path) -> None:
    sample = Sample("a", tmp_path / "a.jpg", tmp_path / "a.png")
    dataset = two_classes(tmp_path, sample)
    write_labels(tmp_path / "a.png", np.arange(256, dtype=np.uint8).reshape(16, 16))
    with pytest.raises(DatasetError) as caught:
        dataset.read_labels(sample)
    assert len(re.findall(r"\(1 pixels\)", str(caught.value))) == 8


def test_labels_of_another_size_than_the_picture_are_refused_with_both(tmp_path: Path) -> None:
    sample = Sample("a", tmp_path / "a.jpg", tmp_path / "a.png")
    dataset = two_classes(tmp_path, sample)
    write_labels(tmp_path / "a.png", numbers(10).T.copy())
    with pytest.raises(
        DatasetError, match=r"a\.jpg has 6 x 4 pixels, but its label map .* has 4 x 6"
    ):
        dataset.read(sample)
    write_labels(tmp_path / "a.png", numbers(10))
    picture, labels = dataset.read(sample)
    assert (picture.shape, labels.shape) == ((4, 6, 3), (4, 6))


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    sample = Sample("a", tmp_path / "a.jpg", tmp_path / "a.png")
    dataset = two_classes(tmp_path, sample)
    with pytest.raises(DatasetError, match=r"cracks: the labels .*a\.png cannot be opened"):
        dataset.read_labels(sample)
    write_labels(tmp_path / "a.png", numbers(10))
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(ImageError, match=r"a\.jpg is empty"):
        dataset.read(sample)


def test_a_data_set_goes_to_another_process(tmp_path: Path) -> None:
    sample = Sample("a", tmp_path / "a.jpg", tmp_path / "a.png")
    dataset = two_classes(tmp_path, sample)
    write_labels(tmp_path / "a.png", numbers(0, 10, 20))
    before = dataset.read_labels(sample)
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy == dataset
    assert np.array_equal(copy.read_labels(sample), before)


def test_the_classes_are_those_of_the_table_of_the_same_name(tmp_path: Path) -> None:
    write_picture(tmp_path / "images/val/a.jpg")
    write_labels(tmp_path / "labels/val/a.png", numbers(0))
    assert open_dataset("camvid", str(tmp_path), "val").classes == class_table("camvid")
