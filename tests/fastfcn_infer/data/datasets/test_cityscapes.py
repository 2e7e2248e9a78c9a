from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dataset_trees import numbers, write_labels, write_picture
from fastfcn_infer.data.dataset import open_dataset
from fastfcn_infer.errors import DatasetError

# Label ids of the classes that are evaluated, from the data set's own description; the others,
# up to 33, are such as "ego vehicle" or "guard rail".
IDS = {
    **{"road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17},
    **{"traffic light": 19, "traffic sign": 20, "vegetation": 21, "terrain": 22, "sky": 23},
    **{"person": 24, "rider": 25, "car": 26, "truck": 27, "bus": 28, "train": 31},
    **{"motorcycle": 32, "bicycle": 33},
}
CITIES = {"train": ("ulm", "bonn"), "val": ("munster",), "test": ("berlin",)}
ENDINGS = ("labelTrainIds", "labelIds")


def make(root: Path, endings: Sequence[str]) -> None:
    for part, cities in CITIES.items():
        for city in cities:
            write_picture(root / f"leftImg8bit/{part}/{city}/{city}_0_leftImg8bit.png")
            for ending in endings:
                labels = numbers(0, 18, 255) if ending == "labelTrainIds" else numbers(7, 33, 0)
                write_labels(root / f"gtFine/{part}/{city}/{city}_0_gtFine_{ending}.png", labels)
            write_labels(root / f"gtFine/{part}/{city}/{city}_0_gtFine_color.png", numbers(200))


@pytest.mark.parametrize("endings", [ENDINGS[:1], ENDINGS[1:], ENDINGS])
def test_either_kind_of_label_files_gives_the_same_labels(
    endings: Sequence[str], tmp_path: Path
) -> None:
    make(tmp_path, endings)
    for split, names in {
        "train": ["bonn/bonn_0", "ulm/ulm_0"],
        "val": ["munster/munster_0"],
        "trainval": ["bonn/bonn_0", "ulm/ulm_0", "munster/munster_0"],
    }.items():
        dataset = open_dataset("cityscapes", tmp_path, split)
        assert [sample.name for sample in dataset.samples] == names
        for sample in dataset.samples:
            assert np.array_equal(dataset.read_labels(sample), numbers(0, 18, 255))


def test_every_label_id_becomes_the_class_of_its_name_or_is_ignored(tmp_path: Path) -> None:
    make(tmp_path, ["labelIds"])
    every = np.array([[*range(34), 255]], np.uint8)
    write_labels(tmp_path / "gtFine/val/munster/munster_0_gtFine_labelIds.png", every)
    dataset = open_dataset("cityscapes", tmp_path, "val")
    (labels,) = dataset.read_labels(dataset.samples[0]).tolist()
    named = {dataset.classes[label].name: at for at, label in enumerate(labels) if label != 255}
    assert named == IDS


@pytest.mark.parametrize(("ending", "number"), [("labelIds", 34), ("labelTrainIds", 19)])
def test_a_number_beyond_the_ids_is_refused(ending: str, number: int, tmp_path: Path) -> None:
    make(tmp_path, [ending])
    path = tmp_path / f"gtFine/val/munster/munster_0_gtFine_{ending}.png"
    write_labels(path, numbers(number))
    dataset = open_dataset("cityscapes", tmp_path, "val")
    with pytest.raises(DatasetError, match=rf"{ending}\.png holds {number} \(24 pixels\)"):
        dataset.read_labels(dataset.samples[0])


def test_train_ids_that_were_made_for_some_pictures_only_are_left_aside(tmp_path: Path) -> None:
    make(tmp_path, ENDINGS)
    (tmp_path / "gtFine/train/ulm/ulm_0_gtFine_labelTrainIds.png").unlink()
    dataset = open_dataset("cityscapes", tmp_path, "train")
    assert {str(sample.label).rpartition("_")[2] for sample in dataset.samples} == {"labelIds.png"}


def test_the_dummy_labels_of_the_test_part_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, ["labelIds"])
    (sample,) = open_dataset("cityscapes", tmp_path, "test").samples
    assert (sample.name, sample.label) == ("berlin/berlin_0", None)


def test_a_city_without_annotations_is_named(tmp_path: Path) -> None:
    make(tmp_path, ["labelIds"])
    write_picture(tmp_path / "leftImg8bit/train/jena/jena_7_leftImg8bit.png")
    with pytest.raises(DatasetError) as caught:
        open_dataset("cityscapes", tmp_path, "train")
    assert "gtFine/train/jena cannot be read" in str(caught.value)
    assert "1 of 3 label maps are missing: gtFine/train/jena/jena_7_gtFine_labelIds.png" in str(
        caught.value
    )
