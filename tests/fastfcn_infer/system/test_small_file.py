"""Files that are never large are read up to a bound."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fastfcn_infer.artifact.class_table import find_class_table
from fastfcn_infer.data.tree import DatasetTree
from fastfcn_infer.errors import FastFCNError
from fastfcn_infer.hub.card_facts import read_score
from fastfcn_infer.inference.stream.source import listed
from fastfcn_infer.picture.label_map import read_label_file, read_label_size
from fastfcn_infer.system.small_file import LargerFileError, read_small_file

READERS: dict[str, Callable[[Path], object]] = {
    "class table": find_class_table,
    "labels": read_label_file,
    "size of labels": read_label_size,
    "list of pictures": listed,
    "scores": read_score,
}


@pytest.mark.parametrize("kind", READERS)
def test_a_file_without_end_is_refused_with_its_name(tmp_path: Path, kind: str) -> None:
    endless = tmp_path / "endless"
    with endless.open("wb") as file:
        file.truncate(1 << 40)  # takes no space on the disk; read whole, it fits no memory
    with pytest.raises((FastFCNError, ValueError), match=r"endless has more than \d+ MiB"):
        READERS[kind](endless)


def test_a_list_of_a_data_set_without_end_is_a_fault_of_the_data_set(tmp_path: Path) -> None:
    with (tmp_path / "val.txt").open("wb") as file:
        file.truncate(1 << 40)
    tree = DatasetTree("listed", tmp_path, "")
    assert tree.lines(tmp_path / "val.txt") == []
    assert "val.txt is larger than 64 MiB" in str(tree.error())


def test_a_file_of_just_the_bound_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"four")
    assert read_small_file(tmp_path / "file", 4) == b"four"
    with pytest.raises(LargerFileError):
        read_small_file(tmp_path / "file", 3)
