from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset_trees import ADE20K, numbers, write_labels, write_picture
from fastfcn_infer.data.dataset import open_dataset
from fastfcn_infer.errors import DatasetError


def make(base: Path) -> None:
    for folder, names in {"training": ("t1", "t2"), "validation": ("v1",)}.items():
        for name in names:
            write_picture(base / "images" / folder / f"{name}.jpg")
            write_labels(base / "annotations" / folder / f"{name}.png", numbers(0, 1, 75, 150))


@pytest.mark.parametrize("below", ["", "ADEChallengeData2016"])
def test_the_root_is_the_release_or_the_folder_that_holds_it(below: str, tmp_path: Path) -> None:
    make(tmp_path / below)
    names = {
        split: [sample.name for sample in open_dataset("ade20k", tmp_path, split).samples]
        for split in ("train", "val", "trainval")
    }
    assert names == {"train": ["t1", "t2"], "val": ["v1"], "trainval": ["t1", "t2", "v1"]}


def test_labels_are_one_less_in_eight_bits_so_that_zero_is_ignored(tmp_path: Path) -> None:
    make(tmp_path)
    every = np.arange(151, dtype=np.uint8).reshape(1, 151)
    write_labels(tmp_path / "annotations/validation/v1.png", every)
    dataset = open_dataset("ade20k", tmp_path, "val")
    assert np.array_equal(dataset.read_labels(dataset.samples[0]), every - np.uint8(1))
    assert len(dataset.classes) == 150


@pytest.mark.parametrize("number", [151, 200, 255])
def test_a_number_beyond_150_is_refused_by_file_number_and_pixels(
    number: int, tmp_path: Path
) -> None:
    make(tmp_path)
    labels = numbers(1)
    labels[0, :3] = number
    write_labels(tmp_path / "annotations/validation/v1.png", labels)
    dataset = open_dataset("ade20k", tmp_path, "val")
    with pytest.raises(DatasetError) as caught:
        dataset.read_labels(dataset.samples[0])
    message = str(caught.value)
    assert "v1.png" in message
    assert f"{number} (3 pixels)" in message
    assert "Expected 0..150" in message


def test_the_test_part_has_pictures_without_labels(tmp_path: Path) -> None:
    make(tmp_path / "ADEChallengeData2016")
    write_picture(tmp_path / "release_test/testing/ADE_test_1.jpg")
    dataset = open_dataset("ade20k", tmp_path, "test")
    (sample,) = dataset.samples
    assert (sample.name, sample.label) == ("ADE_test_1", None)
    with pytest.raises(DatasetError, match="the part 'test' has no labels"):
        dataset.read_labels(sample)


def test_both_folders_of_a_part_that_is_missing_are_named(tmp_path: Path) -> None:
    make(tmp_path)
    for folder in ("images", "annotations"):
        (tmp_path / folder / "training").rename(tmp_path / folder / "training2")
    with pytest.raises(DatasetError) as caught:
        open_dataset("ade20k", tmp_path, "train")
    assert "the folder images/training cannot be read" in str(caught.value)
    assert "the folder annotations/training cannot be read" in str(caught.value)
    assert len(open_dataset("ade20k", tmp_path, "val").samples) == 1


@pytest.mark.skipif(not ADE20K.is_dir(), reason="the sample of ADE20K is not on this machine")
def test_the_real_sample_is_read_as_pillow_reads_it() -> None:
    dataset = open_dataset("ade20k", ADE20K, "val")
    assert [sample.name[-1] for sample in dataset.samples] == ["1", "2", "3"]
    for sample in dataset.samples:
        picture, labels = dataset.read(sample)
        assert sample.label is not None
        assert np.array_equal(labels, np.asarray(Image.open(sample.label)) - np.uint8(1))
        assert np.array_equal(picture, np.asarray(Image.open(sample.picture).convert("RGB")))
