from pathlib import Path

import numpy as np
import pytest

from dataset_trees import numbers, write_labels, write_list, write_picture
from fastfcn_infer.data.dataset import open_dataset
from fastfcn_infer.errors import DatasetError

LAYOUTS = {
    "Context": "ImageSets/Segmentation/{}_context.txt",
    "SegmentationClassContext": "ImageSets/SegmentationContext/{}.txt",
}
EVERY = np.array([[*range(60), 255]], np.uint8)


def make(base: Path, labels: str) -> None:
    for part, names in {"train": ("2008_2", "2008_1"), "val": ("2008_3",)}.items():
        for name in names:
            write_picture(base / f"JPEGImages/{name}.jpg")
            write_labels(base / f"{labels}/{name}.png", EVERY)
        write_list(base / LAYOUTS[labels].format(part), names)
    write_picture(base / "JPEGImages/2008_9.jpg")  # of VOC 2010, but not of Context


@pytest.mark.parametrize("below", ["VOCdevkit/VOC2010", "VOC2010", ""])
@pytest.mark.parametrize("labels", LAYOUTS)
def test_both_conversions_are_found_below_each_root(
    labels: str, below: str, tmp_path: Path
) -> None:
    make(tmp_path / below, labels)
    for name in ("pascal_context_59", "pascal_context_60"):
        parts = {
            split: [sample.name for sample in open_dataset(name, tmp_path, split).samples]
            for split in ("train", "val", "trainval")
        }
        assert parts == {
            "train": ["2008_2", "2008_1"],
            "val": ["2008_3"],
            "trainval": ["2008_2", "2008_1", "2008_3"],
        }


def test_60_classes_keep_the_background_and_59_ignore_it(tmp_path: Path) -> None:
    make(tmp_path, "Context")
    sixty = open_dataset("pascal_context_60", tmp_path, "val")
    assert np.array_equal(sixty.read_labels(sixty.samples[0]), EVERY)
    nine = open_dataset("pascal_context_59", tmp_path, "val")
    labels = nine.read_labels(nine.samples[0])
    assert labels.tolist() == [[255, *range(59), 255]]
    for stored in range(1, 60):
        assert nine.classes[labels[0, stored]] == sixty.classes[stored]


def test_60_is_in_neither(tmp_path: Path) -> None:
    make(tmp_path, "Context")
    write_labels(tmp_path / "Context/2008_3.png", numbers(60))
    for name in ("pascal_context_59", "pascal_context_60"):
        dataset = open_dataset(name, tmp_path, "val")
        with pytest.raises(DatasetError, match=r"2008_3\.png holds 60 \(24 pixels\)"):
            dataset.read_labels(dataset.samples[0])


def test_annotations_that_were_never_converted_are_refused_with_the_ways_to_convert_them(
    tmp_path: Path,
) -> None:
    write_picture(tmp_path / "VOC2010/JPEGImages/2008_1.jpg")
    with pytest.raises(DatasetError, match="there is no VOC2010/Context and no VOC2010/Seg"):
        open_dataset("pascal_context_59", tmp_path, "val")
    for file in ("trainval_merged.json", "train.pth"):
        (tmp_path / "VOC2010" / file).write_bytes(b"{}")
    with pytest.raises(DatasetError) as caught:
        open_dataset("pascal_context_59", tmp_path, "val")
    message = str(caught.value)
    assert "trainval_merged.json, train.pth cannot be read directly" in message
    assert "convert_voc2010.py" in message
    assert "dataset_converters/pascal_context.py" in message


def test_a_list_that_is_missing_is_named(tmp_path: Path) -> None:
    make(tmp_path, "Context")
    (tmp_path / "ImageSets/Segmentation/val_context.txt").unlink()
    with pytest.raises(DatasetError, match=r"list ImageSets/Segmentation/val_context\.txt cannot"):
        open_dataset("pascal_context_60", tmp_path, "val")
