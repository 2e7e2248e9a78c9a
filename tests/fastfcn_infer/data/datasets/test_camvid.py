from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset_trees import CAMVID, numbers, write_labels, write_list, write_picture
from fastfcn_infer.data.dataset import open_dataset
from fastfcn_infer.errors import DatasetError

ALL = tuple(range(12))


def make(root: Path, pictures: str = "images/{}", labels: str = "labels/{}") -> None:
    for part, names in {"train": ("b", "a"), "val": ("c",), "test": ("d",)}.items():
        for name in names:
            write_picture(root / pictures.format(part) / f"{name}.png")
            write_labels(root / labels.format(part) / f"{name}.png", numbers(*ALL))


@pytest.mark.parametrize("folders", [("images/{}", "labels/{}"), ("{}", "{}annot")])
def test_both_layouts_are_found_and_trainval_is_train_and_val(
    folders: tuple[str, str], tmp_path: Path
) -> None:
    make(tmp_path, *folders)
    found = {
        split: [sample.name for sample in open_dataset("camvid", tmp_path, split).samples]
        for split in ("train", "val", "test", "trainval")
    }
    assert found == {
        "train": ["a", "b"],
        "val": ["c"],
        "test": ["d"],
        "trainval": ["a", "b", "c"],
    }


def test_eleven_classes_stay_as_they_are_and_void_is_ignored(tmp_path: Path) -> None:
    make(tmp_path)
    dataset = open_dataset("camvid", tmp_path, "val")
    (sample,) = dataset.samples
    assert np.array_equal(dataset.read_labels(sample), numbers(*range(11), 255))
    assert [entry.name for entry in dataset.classes][::10] == ["sky", "bicyclist"]


def test_the_lists_of_the_tutorial_change_nothing(tmp_path: Path) -> None:
    make(tmp_path, "{}", "{}annot")
    write_list(tmp_path / "val.txt", ["/SegNet/CamVid/val/x.png /SegNet/CamVid/valannot/x.png;"])
    assert [sample.name for sample in open_dataset("camvid", tmp_path, "val").samples] == ["c"]


def test_all_label_maps_that_are_missing_are_counted_and_the_first_are_named(
    tmp_path: Path,
) -> None:
    for name in "abcde":
        write_picture(tmp_path / f"images/train/{name}.jpg")
    write_labels(tmp_path / "labels/train/b.png", numbers(1))
    with pytest.raises(DatasetError) as caught:
        open_dataset("camvid", tmp_path, "train")
    assert (
        "4 of 5 label maps are missing: labels/train/a.png, labels/train/c.png, "
        "labels/train/d.png, ..." in str(caught.value)
    )


def test_a_picture_of_both_train_and_val_is_a_fault_of_trainval_only(tmp_path: Path) -> None:
    make(tmp_path)
    write_picture(tmp_path / "images/val/a.png")
    write_labels(tmp_path / "labels/val/a.png", numbers(0))
    assert len(open_dataset("camvid", tmp_path, "val").samples) == 2
    with pytest.raises(
        DatasetError, match=r"names of pictures occur more than once: a \(1 in all\)"
    ):
        open_dataset("camvid", tmp_path, "trainval")


def test_a_root_with_neither_layout_is_refused_with_both_and_with_what_is_there(
    tmp_path: Path,
) -> None:
    write_picture(tmp_path / "pictures/01 first.jpg")
    with pytest.raises(DatasetError) as caught:
        open_dataset("camvid", tmp_path, "train")
    message = str(caught.value)
    assert "there is no images and no train" in message
    assert "{train,val,test}annot/NAME.png" in message
    assert "pictures/\n      01 first.jpg" in message


@pytest.mark.skipif(not CAMVID.is_dir(), reason="CamVid is not on this machine")
def test_the_real_camvid_has_its_published_parts_and_labels_as_pillow_reads_them() -> None:
    sizes = {"train": 367, "val": 101, "test": 233, "trainval": 468}
    for split, size in sizes.items():
        assert len(open_dataset("camvid", CAMVID, split).samples) == size
    dataset = open_dataset("camvid", CAMVID, "test")
    for sample in dataset.samples[::50]:
        picture, labels = dataset.read(sample)
        assert sample.label is not None
        stored = np.asarray(Image.open(sample.label))
        assert picture.shape == (360, 480, 3)
        assert np.array_equal(labels, np.where(stored == 11, 255, stored))
