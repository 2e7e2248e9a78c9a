import os
from pathlib import Path

import pytest

from dataset_trees import write_list
from fastfcn_infer.data.dataset import Sample
from fastfcn_infer.data.tree import DatasetTree, draw_folder
from fastfcn_infer.errors import DatasetError


def tree(root: Path) -> DatasetTree:
    return DatasetTree("mine", root, "pictures/NAME.jpg")


def fill(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_files_are_found_whatever_the_case_of_their_endings_and_in_one_order(
    tmp_path: Path,
) -> None:
    fill(tmp_path, "b.JPG", "a.jpeg", "c d.Png", "Z.jpg", "notes.txt", "._b.JPG", ".x.jpg")
    assert list(tree(tmp_path).files(tmp_path)) == ["Z", "a", "b", "c d"]
    (tmp_path / "a.jpeg").unlink()
    endings = ("_left.png",)
    fill(tmp_path, "bonn_1_LEFT.png", "bonn_1_right.png")
    assert list(tree(tmp_path).files(tmp_path, endings)) == ["bonn_1"]


def test_two_files_of_one_name_are_a_fault(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "a.png")
    found = tree(tmp_path)
    found.files(tmp_path)
    assert r"a.png and a.jpg have the same name" in str(found.error())


def test_folders_and_links_to_nothing_are_faults_and_links_to_files_are_files(
    tmp_path: Path,
) -> None:
    fill(tmp_path / "store", "real.jpg")
    fill(tmp_path / "pictures")
    (tmp_path / "pictures/folder.jpg").mkdir()
    try:
        (tmp_path / "pictures/good.jpg").symlink_to(tmp_path / "store/real.jpg")
        (tmp_path / "pictures/gone.jpg").symlink_to(tmp_path / "store/missing.jpg")
    except OSError:
        pytest.skip("links cannot be made here")
    found = tree(tmp_path)
    assert list(found.files(tmp_path / "pictures")) == ["good"]
    message = str(found.error())
    for name in ("folder", "gone"):
        assert f"pictures/{name}.jpg is not a file, or is a broken link" in message
    assert "good.jpg (link)" in message


def test_a_folder_that_links_to_itself_is_drawn_once(tmp_path: Path) -> None:
    fill(tmp_path / "pictures", "a.jpg")
    try:
        (tmp_path / "pictures/again").symlink_to(tmp_path, target_is_directory=True)
    except OSError:
        pytest.skip("links cannot be made here")
    assert draw_folder(tmp_path).splitlines()[1:] == [
        "  pictures/",
        "    a.jpg",
        "    again (link)",
    ]


def test_a_folder_of_very_many_files_is_drawn_in_a_few_lines(tmp_path: Path) -> None:
    for number in range(30):
        fill(tmp_path / f"folder {number:02}", *(f"{name:03}.jpg" for name in range(20)))
    lines = draw_folder(tmp_path).splitlines()
    assert len(lines) <= 50
    assert lines[1:4] == ["  folder 00/", "    000.jpg", "    001.jpg"]
    assert lines[8] == "    ... 14 more"


def test_a_folder_is_drawn_three_levels_deep(tmp_path: Path) -> None:
    fill(tmp_path / "one/two/three/four", "a.jpg")
    assert draw_folder(tmp_path).split() == [f"{tmp_path}/", "one/", "two/", "three/"]


def test_no_file_name_rewrites_the_terminal(tmp_path: Path) -> None:
    try:
        fill(tmp_path, "red\x1b[31m\x07.jpg", os.fsdecode(b"\xff\xfe.jpg"))
    except OSError:
        pytest.skip("such names cannot be made here")
    message = str(tree(tmp_path).error())
    assert "red?[31m?.jpg" in message
    message.encode()  # an undecodable name would not be encodable either


def test_missing_files_are_counted_and_the_first_three_are_named(tmp_path: Path) -> None:
    found = tree(tmp_path)
    found.missing([], 5, "pictures")
    found.missing(["a", "b", "c", "d"], 5, "pictures")
    found.missing(["x"], 5, "label maps")
    lines = str(found.error("train")).splitlines()
    assert lines[0] == f"mine, part 'train': {tmp_path} is not laid out as expected."
    assert lines[1:3] == [
        "- 4 of 5 pictures are missing: a, b, c, ...",
        "- 1 of 5 label maps are missing: x",
    ]
    assert lines[3:5] == ["Expected:", "  pictures/NAME.jpg"]


def test_labels_without_a_picture_are_left_out(tmp_path: Path) -> None:
    label = tmp_path / "a.png"
    found = tree(tmp_path)
    (sample,) = found.pair({"a": tmp_path / "a.jpg"}, {"a": label, "b": label}, "{}.png")
    assert found.finish([sample], "train") == (Sample("a", tmp_path / "a.jpg", label),)


def test_a_part_without_a_picture_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there are no pictures"):
        tree(tmp_path).finish([], "train")


def test_a_list_loses_blanks_empty_lines_and_the_mark_of_windows_editors(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf a b \r\n\r\nc\n")
    assert tree(tmp_path).lines(tmp_path / "list.txt") == ["a b", "c"]


def test_a_list_that_names_files_outside_its_folder_finds_none(tmp_path: Path) -> None:
    fill(tmp_path / "pictures", "a.jpg")
    fill(tmp_path / "labels", "a.png")
    write_list(tmp_path / "list.txt", ["a", "../pictures/a"])
    found = tree(tmp_path)
    names = found.lines(tmp_path / "list.txt")
    samples = found.pair_listed(names, tmp_path / "pictures", tmp_path / "labels")
    assert [sample.name for sample in samples] == ["a"]
    assert "1 of 2 pictures are missing: pictures/../pictures/a.jpg" in str(found.error())
