"""What a model was trained on is recognised by name or by content, and nothing else is."""

import hashlib
import shutil
from pathlib import Path

import pytest

from camvid_tree import camvid_tree
from dataset_trees import write_list
from fastfcn_infer.artifact.manifest import TrainedOn
from fastfcn_infer.data.dataset import Dataset, open_dataset
from fastfcn_infer.data.trained_on import (
    SAMPLE,
    describe_training,
    fingerprint,
    known_parts,
    recognised,
)


def listed(root: Path, pictures: list[Path]) -> Dataset:
    """Make the user's own data set of some pictures, under other names."""
    root.mkdir()
    (root / "classes.json").write_text('[{"name": "a", "color": [0, 0, 0]}]')
    names = [f"{number}.png" for number in range(len(pictures))]
    for name, picture in zip(names, pictures, strict=True):
        shutil.copy(picture, root / name)
    write_list(root / "all.txt", names)
    return open_dataset("listed", root, "all")


@pytest.mark.parametrize(
    ("trained", "split", "expected"),
    [
        (("train",), "train", ("train",)),
        (("train",), "val", ()),
        (("train",), "trainval", ("train",)),
        (("trainval",), "val", ("val",)),
        (("train", "val"), "test", ()),
        (("trainaug",), "train", ("train",)),
        (("trainaug",), "val", ()),
        (("train",), "trainaug", ("train",)),
    ],
)
def test_joined_parts_are_the_parts_that_they_are_made_of(
    trained: tuple[str, ...], split: str, expected: tuple[str, ...]
) -> None:
    assert known_parts([TrainedOn("voc", trained)], "voc", split) == expected
    assert known_parts([TrainedOn("voc", trained)], "camvid", split) == ()


def test_data_sets_of_the_same_pictures_are_recognised_by_name() -> None:
    trained = [TrainedOn("pascal_context_59", ("train",))]
    assert known_parts(trained, "pascal_context_60", "train") == ("train",)


def test_parts_that_users_name_are_not_recognised_by_name() -> None:
    assert known_parts([TrainedOn("listed", ("train",))], "listed", "train") == ()
    assert known_parts([TrainedOn("of somebody", ("train",))], "camvid", "train") == ()


def test_pictures_are_recognised_in_another_folder_under_other_names(tmp_path: Path) -> None:
    root = camvid_tree(tmp_path / "camvid", split="train", pictures=5)
    trained = describe_training(open_dataset("camvid", root, "train"))
    assert trained == (TrainedOn("camvid", ("train",), 5, trained[0].sample),)
    copies = [root / f"images/train/p{index}.png" for index in (3, 1)]
    assert recognised(trained, listed(tmp_path / "mine", copies).samples) == ("0", "1")


def test_other_pictures_of_the_same_names_are_not_recognised(tmp_path: Path) -> None:
    one = camvid_tree(tmp_path / "one", split="train", pictures=2)
    other = camvid_tree(tmp_path / "other", split="train", pictures=2, size=(20, 30))
    trained = describe_training(open_dataset("camvid", one, "train"))
    assert recognised(trained, open_dataset("camvid", other, "train").samples) == ()


def test_of_many_pictures_the_sample_has_the_smallest_fingerprints(tmp_path: Path) -> None:
    files = []
    for number in range(2 * SAMPLE):
        files.append(tmp_path / f"{number}.png")
        files[-1].write_bytes(b"%d" % number)
    (trained,) = describe_training(listed(tmp_path / "mine", files))
    marks = sorted(str(fingerprint(file)) for file in files)
    assert trained.sample == tuple(marks[:SAMPLE])
    assert trained.pictures == 2 * SAMPLE


def test_a_fingerprint_depends_on_the_first_bytes_and_on_the_size(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100_000)
    expected = hashlib.sha256(b"100000:" + b"x" * 65536).hexdigest()[:16]
    assert fingerprint(path) == expected
    path.write_bytes(b"x" * 100_001)
    assert fingerprint(path) != expected
    assert fingerprint(tmp_path / "missing") is None


def test_what_earlier_trainings_learned_from_is_kept(tmp_path: Path) -> None:
    root = camvid_tree(tmp_path / "camvid", split="train", pictures=2)
    before = TrainedOn("ade20k", ("train",), 20210)
    dataset = open_dataset("camvid", root, "train")
    both = describe_training(dataset, [before])
    assert [entry.dataset for entry in both] == ["ade20k", "camvid"]
    assert describe_training(dataset, both) == both
