import shutil
from pathlib import Path

import numpy as np
import pytest

from dataset_trees import numbers, write_labels, write_list, write_picture
from fastfcn_infer.data.dataset import open_dataset
from fastfcn_infer.errors import DatasetError

MAT = Path(__file__).parents[3] / "data" / "sbd" / "labels.mat"
LISTS = "ImageSets/Segmentation"


def make(base: Path) -> None:
    for part, names in {"train": ("2007_2", "2007_1"), "val": ("2007_3",)}.items():
        for name in names:
            write_picture(base / f"JPEGImages/{name}.jpg")
            write_labels(base / f"SegmentationClass/{name}.png", numbers(0, 20, 255), palette=True)
        write_list(base / LISTS / f"{part}.txt", names)
    write_list(base / LISTS / "trainval.txt", ["2007_1", "2007_2", "2007_3"])
    write_picture(base / "JPEGImages/2008_9.jpg")  # most pictures of VOC are in no list


def make_sbd(base: Path) -> None:
    for name in ("2007_1", "2007_3", "2008_9", "2008_8"):
        write_picture(base / f"img/{name}.jpg", (3, 5))
        (base / "cls").mkdir(exist_ok=True)
        shutil.copy(MAT, base / f"cls/{name}.mat")
    write_list(base / "train.txt", ["2008_9", "2007_1"])
    write_list(base / "val.txt", ["2007_3", "2008_8"])


def names(root: Path, split: str) -> list[str]:
    return [sample.name for sample in open_dataset("voc", root, split).samples]


@pytest.mark.parametrize("below", ["VOCdevkit/VOC2012", "VOC2012", ""])
def test_train_is_the_official_train_and_trainval_is_train_and_val(
    below: str, tmp_path: Path
) -> None:
    make(tmp_path / below)
    assert names(tmp_path, "train") == ["2007_2", "2007_1"]
    assert names(tmp_path, "val") == ["2007_3"]
    assert names(tmp_path, "trainval") == ["2007_2", "2007_1", "2007_3"]


def test_labels_are_the_indices_of_the_palette_and_never_its_colours(tmp_path: Path) -> None:
    make(tmp_path)
    dataset = open_dataset("voc", tmp_path, "val")
    assert np.array_equal(dataset.read_labels(dataset.samples[0]), numbers(0, 20, 255))
    write_labels(tmp_path / "SegmentationClass/2007_3.png", numbers(21), palette=True)
    with pytest.raises(DatasetError, match=r"2007_3\.png holds 21 \(24 pixels\)"):
        dataset.read_labels(dataset.samples[0])


def test_trainaug_is_train_with_its_labels_and_aug_with_the_augmented_ones(tmp_path: Path) -> None:
    make(tmp_path)
    write_list(tmp_path / LISTS / "aug.txt", ["2008_9"])
    write_labels(tmp_path / "SegmentationClassAug/2008_9.png", numbers(5))
    dataset = open_dataset("voc", tmp_path, "trainaug")
    assert [sample.name for sample in dataset.samples] == ["2007_2", "2007_1", "2008_9"]
    labels = [dataset.read_labels(sample)[0, 1] for sample in dataset.samples]
    assert labels == [20, 20, 5]


@pytest.mark.parametrize("sbd", ["VOCaug/dataset", "benchmark_RELEASE/dataset"])
def test_trainaug_takes_from_sbd_what_is_in_neither_train_nor_val(
    sbd: str, tmp_path: Path
) -> None:
    make(tmp_path / "VOC2012")
    make_sbd(tmp_path / sbd)
    dataset = open_dataset("voc", tmp_path, "trainaug")
    assert [sample.name for sample in dataset.samples] == ["2007_2", "2007_1", "2008_8", "2008_9"]
    picture, labels = dataset.read(dataset.samples[3])
    assert picture.shape == (3, 5, 3)
    assert labels.tolist() == [[0, 0, 0, 0, 0], [0, 1, 20, 20, 0], [0, 1, 15, 20, 7]]


def test_trainaug_without_the_augmentation_says_what_it_needs(tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(DatasetError) as caught:
        open_dataset("voc", tmp_path, "trainaug")
    message = str(caught.value)
    assert "needs ImageSets/Segmentation/aug.txt with SegmentationClassAug, or SBD" in message
    assert "voc_augment.py" in message


def test_listed_pictures_and_labels_that_are_missing_are_told_at_once(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "JPEGImages/2007_1.jpg").unlink()
    (tmp_path / "SegmentationClass/2007_2.png").unlink()
    with pytest.raises(DatasetError) as caught:
        open_dataset("voc", tmp_path, "train")
    assert "1 of 2 pictures are missing: JPEGImages/2007_1.jpg" in str(caught.value)
    assert "label maps are missing: SegmentationClass/2007_2.png" in str(caught.value)
