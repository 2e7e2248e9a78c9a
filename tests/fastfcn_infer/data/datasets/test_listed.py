import json
from pathlib import Path

import numpy as np
import pytest

from dataset_trees import numbers, write_labels, write_list, write_picture
from fastfcn_infer.data.dataset import open_dataset
from fastfcn_infer.errors import DatasetError

CLASSES = [{"name": "floor", "color": [1, 2, 3]}, {"name": "crack", "color": [250, 0, 0]}]


def make(root: Path, names: tuple[str, ...] = ("a", "b")) -> None:
    (root / "classes.json").write_text(json.dumps(CLASSES))
    for name in names:
        write_picture(root / f"images/{name}.jpg")
        write_labels(root / f"masks/{name}.png", numbers(0, 1, 255))


@pytest.mark.parametrize("separator", [" ", "   ", "\t", ",", ", ", ";", "|"])
def test_lists_with_any_of_the_separators_give_pictures_and_labels(
    separator: str, tmp_path: Path
) -> None:
    make(tmp_path)
    lines = [f"images/{name}.jpg{separator}./masks/{name}.png" for name in ("b", "a")]
    write_list(tmp_path / "train.txt", [*lines, ""])
    dataset = open_dataset("listed", tmp_path, "train")
    assert [sample.name for sample in dataset.samples] == ["images/b", "images/a"]
    assert [entry.name for entry in dataset.classes] == ["floor", "crack"]
    assert np.array_equal(dataset.read_labels(dataset.samples[1]), numbers(0, 1, 255))


def test_names_with_blanks_are_read_where_another_separator_stands_between(tmp_path: Path) -> None:
    make(tmp_path, ("my first", "my 2nd picture"))
    lines = [f"images/{name}.jpg,masks/{name}.png" for name in ("my first", "my 2nd picture")]
    write_list(tmp_path / "val.txt", lines)
    dataset = open_dataset("listed", tmp_path, "val")
    assert [sample.name for sample in dataset.samples] == [
        "images/my first",
        "images/my 2nd picture",
    ]


def test_a_list_made_on_windows_is_read(tmp_path: Path) -> None:
    make(tmp_path)
    text = "\ufeffimages/a.jpg masks/a.png\r\nimages/b.jpg masks/b.png\r\n"
    (tmp_path / "odd name.txt").write_bytes(text.encode())
    assert len(open_dataset("listed", tmp_path, "odd name").samples) == 2


def test_a_list_of_pictures_alone_is_a_part_without_labels(tmp_path: Path) -> None:
    make(tmp_path, ("a", "b c"))
    write_list(tmp_path / "test.txt", ["images/a.jpg", "images/b c.jpg"])
    dataset = open_dataset("listed", tmp_path, "test")
    assert [sample.label for sample in dataset.samples] == [None, None]


def test_a_line_unlike_the_others_is_shown(tmp_path: Path) -> None:
    make(tmp_path)
    write_list(tmp_path / "train.txt", ["images/a.jpg masks/a.png", "images/b.jpg"])
    with pytest.raises(DatasetError, match=r"train\.txt, entry 2: .* found 'images/b\.jpg'"):
        open_dataset("listed", tmp_path, "train")


@pytest.mark.parametrize(
    "line", ["/etc/hosts masks/a.png", "images/a.jpg ../../secret.png", ". masks/a.png"]
)
def test_a_list_that_leads_out_of_the_root_is_refused(line: str, tmp_path: Path) -> None:
    make(tmp_path)
    write_list(tmp_path / "train.txt", [line])
    with pytest.raises(DatasetError, match="lead out of the root"):
        open_dataset("listed", tmp_path, "train")


def test_a_part_without_a_list_is_refused_with_the_lists_there_are(tmp_path: Path) -> None:
    make(tmp_path)
    for part in ("train", "val"):
        write_list(tmp_path / f"{part}.txt", ["images/a.jpg masks/a.png"])
    for part in ("test", "../train", ""):
        with pytest.raises(DatasetError, match="found lists: train, val"):
            open_dataset("listed", tmp_path, part)


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "classes.json").write_text('[{"name": "floor"}]')
    write_list(tmp_path / "train.txt", [f"images/{x}.jpg masks/{x}.png" for x in "abcd"])
    with pytest.raises(DatasetError) as caught:
        open_dataset("listed", tmp_path, "train")
    message = str(caught.value)
    assert "classes.json is not a class table" in message
    assert "2 of 4 pictures are missing: images/c.jpg, images/d.jpg" in message
    assert "2 of 4 label maps are missing: masks/c.png, masks/d.png" in message


def test_more_classes_than_labels_of_eight_bits_are_refused(tmp_path: Path) -> None:
    make(tmp_path)
    write_list(tmp_path / "train.txt", ["images/a.jpg masks/a.png"])
    table = [{"name": str(number), "color": [0, 0, 0]} for number in range(256)]
    (tmp_path / "classes.json").write_text(json.dumps(table))
    with pytest.raises(DatasetError, match="256 classes; at most 255 were expected"):
        open_dataset("listed", tmp_path, "train")
    (tmp_path / "classes.json").write_text(json.dumps(table[:-1]))
    assert len(open_dataset("listed", tmp_path, "train").classes) == 255


def test_a_picture_that_is_listed_twice_is_named(tmp_path: Path) -> None:
    make(tmp_path)
    write_list(tmp_path / "train.txt", ["images/a.jpg masks/a.png", "images/a.jpg masks/b.png"])
    with pytest.raises(DatasetError, match="names of pictures occur more than once: images/a"):
        open_dataset("listed", tmp_path, "train")


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\x00x"])
def test_an_empty_list_and_one_that_is_no_text_are_refused(content: bytes, tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "train.txt").write_bytes(content)
    with pytest.raises(DatasetError, match=r"the list train\.txt is (empty|not text)"):
        open_dataset("listed", tmp_path, "train")
