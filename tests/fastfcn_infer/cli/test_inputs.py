import errno
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fastfcn_infer.cli.inputs import Skipped, jobs
from fastfcn_infer.cli.main import main
from fastfcn_infer.errors import ImageError
from fastfcn_infer.picture.provenance import with_provenance
from fastfcn_infer.picture.read import SUFFIXES

OUT = Path("out")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def listed(*sources: str, recursive: bool = False) -> dict[str, str]:
    found = jobs(sources, OUT, recursive=recursive)
    result = {job.source.as_posix(): job.target.relative_to(OUT).as_posix() for job in found}
    assert len(result) == len(found)
    return result


def test_files_are_taken_whatever_their_suffix_in_the_order_given(here: Path) -> None:
    touch("b.jpg", "a.picture")
    assert list(listed("b.jpg", "a.picture").items()) == [("b.jpg", "b"), ("a.picture", "a")]


def test_a_folder_gives_its_pictures_sorted_by_suffix_in_any_case_and_nothing_else(
    here: Path,
) -> None:
    names = [f"in/x{index}{suffix}" for index, suffix in enumerate(SUFFIXES)]
    touch(*names, "in/y.JPG", "in/notes.txt", "in/deep/z.jpg")
    Path("in/folder.jpg").mkdir()
    assert list(listed("in")) == sorted([*names, "in/y.JPG"])


def test_sub_folders_are_entered_only_if_asked_and_kept_in_the_output(here: Path) -> None:
    touch("in/a.jpg", "in/deep/er/b.jpg")
    assert listed("in") == {"in/a.jpg": "a"}
    assert listed("in", recursive=True) == {"in/a.jpg": "a", "in/deep/er/b.jpg": "deep/er/b"}


def test_a_sub_folder_that_cannot_be_read_is_an_error_and_not_left_out(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch("in/a.jpg", "in/locked/b.jpg")
    scandir = os.scandir

    def scan(place: str) -> object:  # who may read everything, as in containers, sees it, too
        if Path(place).name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(PermissionError, match="locked"):
        listed("in", recursive=True)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_lines_of_a_list_that_lead_to_no_file_fail_in_their_turn(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        Path(folder, "loop.png").symlink_to("loop.png")
    lines = ["a/loop.png", "b/loop.png", ".", "..", "/", 300 * "x" + ".png"]
    Path("list.txt").write_text("\n".join(lines))
    assert main(["predict", "list.txt", "-o", "out"]) == 3
    out, err = capsys.readouterr()
    assert out == "0 of 6 pictures segmented\n6 failed\n"
    assert err.count("failed: ") == 6
    assert "failed: .: . is a folder" in err


def test_a_list_of_lines_too_long_for_paths_is_refused_with_the_line(here: Path) -> None:
    Path("list.txt").write_bytes(b"a.png\r\n\n\r# b\n" + 100_000 * b"x")
    with pytest.raises(ImageError, match="line 5 has 100000 characters"):
        jobs(["list.txt"], OUT, recursive=False)


def test_a_list_that_is_the_only_source_gives_the_files_that_it_names(here: Path) -> None:
    touch("in/a.jpg", "in/deep/b.png", "c.jpg")
    Path("in/list.txt").write_text("# some\n\ndeep/b.png\n../c.jpg\ngone.jpg\n")
    assert list(listed("in/list.txt").values()) == ["b", "c", "gone"]  # which fails in its turn
    assert listed("in/list.txt", "c.jpg") == {
        "in/list.txt": "list",
        "c.jpg": "c",
    }  # of a shell's glob


def test_globs_are_expanded_for_shells_that_do_not(here: Path) -> None:
    touch("in/a.jpg", "in/b.png", "in/c.jpg", "in/deep/d.jpg")
    assert listed("in/*.jpg") == {"in/a.jpg": "a", "in/c.jpg": "c"}
    assert listed("in/**/*.jpg") == {"in/a.jpg": "a", "in/c.jpg": "c", "in/deep/d.jpg": "d"}


def test_a_glob_leaves_out_what_is_no_picture_and_counts_it_unless_its_ending_is_named(
    here: Path,
) -> None:
    touch("in/a.jpg", "in/notes.txt", "in/film.mp4", "in/README", "in/b.picture")
    for sources in (["in/*"], ["in/*.*", "in/*"], ["in", "in/*"]):
        skipped = Skipped()
        assert [
            job.source.name for job in jobs(sources, OUT, recursive=False, skipped=skipped)
        ] == ["a.jpg"]
        (line,) = skipped.lines()
        assert "4" in line.split() and all(
            name in line for name in ("notes.txt", "film.mp4", "README", "b.picture")
        )
    assert listed("in/*.picture") == {"in/b.picture": "b"}
    skipped = Skipped()
    jobs(["in", "in/README"], OUT, recursive=False, skipped=skipped)
    assert sorted(path.name for path in skipped.unknown) == ["b.picture", "film.mp4", "notes.txt"]
    with pytest.raises(FileNotFoundError, match=r"no picture in in/R\*.*README"):
        listed("in/R*")


def test_results_of_an_earlier_run_are_no_input_however_they_are_named(here: Path) -> None:
    touch("a.jpg")
    Path("a_labels.png").write_bytes(
        with_provenance(
            cv2.imencode(".png", np.zeros((2, 2), np.uint8))[1].tobytes(), {"fastfcn-infer": "0"}
        )
    )
    cv2.imwrite("b_labels.png", np.zeros((2, 2), np.uint8))  # of another program
    for sources in (["."], ["*"], ["a.jpg", "a_labels.png", "b_labels.png"]):
        skipped = Skipped()
        found = jobs(sources, OUT, recursive=False, skipped=skipped)
        assert sorted(job.source.name for job in found) == ["a.jpg", "b_labels.png"]
        assert [path.name for path in skipped.results] == ["a_labels.png"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(here: Path) -> None:
    touch("a[1].jpg", "a1.jpg")
    assert listed("a[1].jpg") == {"a[1].jpg": "a[1]"}


def test_a_picture_named_several_times_is_one_picture(here: Path) -> None:
    touch("in/a.jpg", "b.jpg")
    sources = ["in", "in/a.jpg", "in/*.jpg", "in/../in/a.jpg", str(here / "in" / "a.jpg")]
    assert listed(*sources, "./b.jpg", "b.jpg") == {"in/a.jpg": "a", "b.jpg": "b"}


def test_pictures_of_one_name_keep_their_suffix_in_the_names_of_their_results(here: Path) -> None:
    touch("in/a.jpg", "in/a.png", "in/b.jpg")
    assert listed("in") == {"in/a.jpg": "a_jpg", "in/a.png": "a_png", "in/b.jpg": "b"}


def test_pictures_of_one_name_and_suffix_keep_their_folder(here: Path) -> None:
    touch("one/a.jpg", "two/a.jpg", "two/b.jpg")
    assert listed("one", "two") == {
        "one/a.jpg": "one_a_jpg",
        "two/a.jpg": "two_a_jpg",
        "two/b.jpg": "b",
    }


def test_names_that_differ_only_in_case_do_not_meet_on_a_disk_without_cases(here: Path) -> None:
    touch("one/A.jpg", "two/a.jpg")
    targets = [target.lower() for target in listed("one", "two").values()]
    assert len(set(targets)) == 2


def test_a_longer_name_that_is_taken_already_is_made_longer_still(here: Path) -> None:
    touch("in/a.jpg", "in/a.png", "in/a_jpg.png")
    targets = listed("in").values()
    assert len(set(targets)) == 3


def test_pictures_that_would_still_share_a_name_are_refused(here: Path) -> None:
    touch("one/in/a.jpg", "two/in/a.jpg")
    with pytest.raises(ValueError, match="different -o"):
        listed("one/in/a.jpg", "two/in/a.jpg")


@pytest.mark.parametrize("source", ["gone.jpg", "gone/*.jpg", "gone/"])
def test_a_source_that_is_nothing_is_an_error_with_its_name(here: Path, source: str) -> None:
    touch("a.jpg")
    with pytest.raises(FileNotFoundError, match="gone"):
        listed("a.jpg", source)


def test_a_folder_without_pictures_says_what_was_looked_for(here: Path) -> None:
    touch("in/deep/a.jpg")
    with pytest.raises(FileNotFoundError, match=r"\.jpg.*--recursive"):
        listed("in")
    touch("empty/notes.txt")
    with pytest.raises(FileNotFoundError) as caught:
        listed("empty", recursive=True)
    assert "--recursive" not in str(caught.value)
