"""Pictures that calibrate and pictures that prove are apart, and the same every time."""

import errno
import os
from pathlib import Path

import pytest

from fastfcn_export.quantization.pictures import Batches, Pictures, divided, of_files
from fastfcn_infer.data.dataset import Sample
from fastfcn_infer.errors import DatasetError
from models import tiny_model
from quantised import write_pictures


def some(count: int) -> Pictures:
    return Pictures(
        "some", tuple(Sample(f"{n:03}", Path(f"{n:03}.png"), None) for n in range(count))
    )


@pytest.mark.parametrize(
    ("found", "most", "calibrate", "held"),
    [(8, 60, 5, 3), (12, 60, 8, 4), (90, 60, 60, 30), (5000, 60, 60, 30), (5000, 8, 8, 4)],
)
def test_a_third_is_held_out_spread_over_all(
    found: int, most: int, calibrate: int, held: int
) -> None:
    one, other = divided(some(found), most)
    both = [*one.samples, *other.samples]

    assert (len(one.samples), len(other.samples)) == (calibrate, held)
    assert len({sample.name for sample in both}) == calibrate + held
    assert max(int(sample.name) for sample in both) >= found - -(-found // (calibrate + held))
    assert divided(some(found), most) == (one, other)


def test_too_few_pictures_are_refused_and_the_message_says_how_many_are_good() -> None:
    with pytest.raises(
        DatasetError, match=r"7 pictures in some; at least 8 are needed .* about 90 are good"
    ):
        divided(some(7), 60)


def test_a_folder_a_glob_and_a_list_find_the_same_pictures(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "a", 3)
    (folder / "notes.txt").write_text("no picture")
    listed = tmp_path / "list.txt"
    listed.write_text("# a comment\na/00.png\na/01.png\n\na/02.png\n")

    pictures = [of_files(str(source)) for source in (folder, folder / "*.png", listed)]
    found = [each.samples for each in pictures]

    names = sorted(map(str, folder.glob("*.png")))
    assert all([str(sample.picture) for sample in samples] == names for samples in found)
    assert [each.source for each in pictures] == ["a", "a/*.png", "list.txt"]


def test_a_folder_that_cannot_be_read_is_an_error_and_not_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "open")
    locked, scandir = tmp_path / "open" / "locked", os.scandir
    locked.mkdir()

    def scan(place: str) -> object:  # as root, who runs tests in containers, may read everything
        if Path(place) == locked:
            raise PermissionError(errno.EACCES, "Permission denied", place)
        return scandir(place)

    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(PermissionError, match="locked"):
        of_files(str(tmp_path / "open"))


@pytest.mark.parametrize("name", ["street.mp4", "model.onnx", "pictures.csv"])
def test_a_file_of_another_kind_is_no_source_of_pictures(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a.png")
    with pytest.raises(DatasetError, match=rf"{name} is neither a picture nor a list"):
        of_files(str(tmp_path / name))


def test_a_large_input_is_cut_to_its_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_pictures(tmp_path, 2)
    samples = of_files(str(folder)).samples
    whole = list(Batches(samples, tiny_model(3)))
    monkeypatch.setattr("fastfcn_export.quantization.pictures._LARGEST", 64 * 64)

    cut = list(Batches(samples, tiny_model(3)))

    assert [batch.shape for batch in whole] == [(1, 3, 80, 112)] * 2
    assert [batch.shape for batch in cut] == [(1, 3, 64, 64)] * 2
    assert (cut[1] == whole[1][:, :, 8:72, 24:88]).all()
