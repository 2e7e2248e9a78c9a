"""Pairs of pictures and label maps: sizes, and which way labels are turned with EXIF pictures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from dataset_trees import write_labels, write_list
from fastfcn_infer.data.dataset import Dataset, open_dataset
from fastfcn_infer.data.pairs import check_pairs, with_orientation
from fastfcn_infer.errors import DatasetError

ORIENTATION = 274  # the EXIF tag
STORED = (np.arange(24) % 3).astype(np.uint8).reshape(4, 6)
TURNS = range(2, 9)


def upright(labels: Any, turn: int) -> Any:
    """Turn labels as Pillow turns the picture."""
    image = Image.fromarray(labels)
    image.getexif()[ORIENTATION] = turn
    return np.asarray(ImageOps.exif_transpose(image))


def data_set(root: Path, turns: dict[str, int], labels: dict[str, Any]) -> Dataset:
    """Write pictures whose pixels are their labels as stored, times 100, turned by EXIF."""
    root.mkdir(exist_ok=True)
    (root / "classes.json").write_text(
        '[{"name": "a", "color": [0, 0, 0]}, {"name": "b", "color": [1, 0, 0]},'
        '{"name": "c", "color": [2, 0, 0]}]'
    )
    for name, turn in turns.items():
        pixels = STORED if labels[name].size == STORED.size else np.zeros((5, 5), np.uint8)
        image = Image.fromarray(np.dstack([pixels * 100] * 3))
        exif = image.getexif()
        exif[ORIENTATION] = turn
        image.save(root / f"{name}.png", exif=exif)
        write_labels(root / f"{name}_labels.png", labels[name])
    write_list(root / "train.txt", [f"{name}.png {name}_labels.png" for name in turns])
    return open_dataset("listed", root, "train")


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("drawn", ["stored", "upright"])
def test_labels_lie_on_their_picture_if_the_orientation_is_said(
    tmp_path: Path, turn: int, drawn: Any
) -> None:
    labels = STORED if drawn == "stored" else upright(STORED, turn)
    dataset = data_set(tmp_path / "d", {"p": turn}, {"p": labels})
    picture, found = replace(dataset, label_orientation=drawn).read(dataset.samples[0])
    assert (picture[..., 0] == 100 * found).all()
    assert picture.shape[:2] == upright(STORED, turn).shape


@pytest.mark.parametrize("turn", [5, 6, 7, 8])
@pytest.mark.parametrize("drawn", ["stored", "upright"])
def test_sizes_tell_the_orientation_where_height_and_width_are_exchanged(
    tmp_path: Path, turn: int, drawn: str
) -> None:
    labels = STORED if drawn == "stored" else upright(STORED, turn)
    dataset = data_set(tmp_path / "d", {"p": turn}, {"p": labels})
    picture, found = dataset.read(dataset.samples[0])
    assert (picture[..., 0] == 100 * found).all()
    pairs = check_pairs(dataset)
    assert (pairs.stored, pairs.upright) == ((("p",), ()) if drawn == "stored" else ((), ("p",)))
    (note,) = pairs.notes
    assert "1 picture (p) is turned by EXIF" in note
    assert ("they are turned with the pictures" in note) == (drawn == "stored")


@pytest.mark.parametrize("turn", [2, 3, 4])
def test_where_sizes_do_not_tell_the_other_pictures_do_and_it_is_said(
    tmp_path: Path, turn: int
) -> None:
    alone = data_set(tmp_path / "alone", {"p": turn}, {"p": STORED})
    pairs = check_pairs(alone)
    assert (pairs.unclear, pairs.assumed) == (("p",), "upright")
    (note,) = pairs.notes
    assert "assumed upright, so they are not turned" in note
    assert note.endswith("give --label-orientation stored")
    assert (with_orientation(alone, pairs).read(alone.samples[0])[1] == STORED).all()

    both = data_set(tmp_path / "both", {"p": turn, "q": 6}, {"p": STORED, "q": STORED})
    pairs = check_pairs(both)
    assert pairs.assumed == "stored"
    assert "assumed stored, as with the other pictures" in pairs.notes[1]
    for sample in both.samples:
        picture, found = with_orientation(both, pairs).read(sample)
        assert (picture[..., 0] == 100 * found).all()


def test_what_the_user_says_is_repeated_and_what_contradicts_the_sizes_is_a_fault(
    tmp_path: Path,
) -> None:
    dataset = data_set(tmp_path / "d", {"p": 3, "q": 6}, {"p": STORED, "q": STORED})
    said = check_pairs(replace(dataset, label_orientation="upright"))
    assert "as --label-orientation upright says" in said.notes[0]
    (fault,) = said.faults
    assert "q.png has 4 x 6 pixels" in fault
    assert "EXIF orientation 6; see --label-orientation" in fault
    with pytest.raises(DatasetError, match="see --label-orientation"):
        replace(dataset, label_orientation="upright").read(dataset.samples[1])


def test_other_sizes_and_files_that_cannot_be_read_are_all_named(tmp_path: Path) -> None:
    turns = dict.fromkeys("abcd", 1)
    labels: dict[str, Any] = {
        "a": STORED,
        "b": STORED.T,
        "c": STORED,
        "d": np.zeros((2, 2), np.uint8),
    }
    dataset = data_set(tmp_path / "d", turns, labels)
    (tmp_path / "d/c.png").write_bytes(b"")
    pairs = check_pairs(dataset)
    assert len(pairs.faults) == 3
    for fault, words in zip(
        pairs.faults,
        ("b.png has 6 x 4 pixels", "c.png is empty", "d_labels.png has 2 x 2"),
        strict=True,
    ):
        assert words in fault
    assert pairs.notes == ()
    assert check_pairs(dataset, dataset.samples[:1]).faults == ()


def test_mixed_orientations_are_each_read_as_their_sizes_say(tmp_path: Path) -> None:
    dataset = data_set(tmp_path / "d", {"p": 6, "q": 6}, {"p": STORED, "q": upright(STORED, 6)})
    pairs = check_pairs(dataset)
    assert (pairs.stored, pairs.upright, pairs.faults) == (("p",), ("q",), ())
    assert len(pairs.notes) == 2
    for sample in dataset.samples:
        picture, found = with_orientation(dataset, pairs).read(sample)
        assert (picture[..., 0] == 100 * found).all()
