"""Which pictures a source names, in which order, and what is refused."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.stream.source import Item, open_source

RGB = np.zeros((2, 3, 3), np.uint8)


def names(given: Any) -> list[str]:
    return [Path(str(item.source)).name for item in open_source(given).items]


def files(folder: Path, *found: str) -> None:
    for name in found:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_of_a_folder_the_pictures_are_taken_sorted_and_nothing_else(tmp_path: Path) -> None:
    files(tmp_path, "b.png", "a.JPG", "notes.txt", ".hidden.png", "film.mp4", "sub/c.png")
    assert names(tmp_path) == ["a.JPG", "b.png"]
    assert open_source(str(tmp_path)).count == 2


def test_a_glob_is_expanded_and_a_name_is_a_file(tmp_path: Path) -> None:
    files(tmp_path, "b.png", "a.png", "[x].png", "c.jpg")
    assert names(str(tmp_path / "?.png")) == ["a.png", "b.png"]
    assert names(str(tmp_path / "[x].png")) == ["[x].png"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_glob_does_not_go_in_circles(tmp_path: Path) -> None:
    files(tmp_path, "a/1.png", "b/2.png", "else/3.png")
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "other").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "back").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "else").symlink_to(tmp_path / "else")
    found = [str(item.source) for item in open_source(f"{tmp_path}/a/**/*.png").items]
    below = [Path(path).relative_to(tmp_path / "a").as_posix() for path in found]
    assert below == ["1.png", "else/3.png", "other/2.png"]


@pytest.mark.parametrize("name", ["x" * 5000, "x" * 5000 + "*"])
def test_a_name_that_is_too_long_is_not_repeated_in_full(name: str) -> None:
    with pytest.raises(OSError, match="x" * 20) as caught:
        open_source(name)
    assert len(str(caught.value)) < 1000


def test_an_empty_name_is_no_folder() -> None:
    with pytest.raises(FileNotFoundError, match="empty text; a path was expected"):
        open_source("")


def test_only_ends_of_lines_separate_the_paths_of_a_list(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes("a\x0cb.png\r\nc\u2028d\x85.png\n".encode())
    assert names(tmp_path / "list.txt") == ["a\x0cb.png", "c\u2028d\x85.png"]


def test_paths_of_a_list_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(
        "\ufeffsub/a b.png\n\n# not this\n  /else/c.png  \r\n", "utf-8"
    )
    found = [item.source for item in open_source(tmp_path / "list.txt").items]
    assert found == [str(tmp_path / "sub/a b.png"), "/else/c.png"]


def test_an_iterable_gives_its_pictures_as_they_are_and_is_not_run_ahead() -> None:
    taken = []

    def pictures() -> Any:
        for value in (RGB, b"bytes", "a.png"):
            taken.append(value)
            yield value

    source = open_source(pictures())
    assert source.count is None
    assert taken == []
    assert list(source.items) == [
        Item(RGB, lent=True),
        Item(b"bytes"),
        Item("a.png", "a.png"),
    ]


@pytest.mark.parametrize("one", [RGB, b"\x89PNG", io.BytesIO(b"x"), Image.new("RGB", (3, 2))])
def test_a_picture_is_a_source_of_one(one: Any) -> None:
    assert list(open_source(one).items) == [Item(one)]


def test_an_array_of_pictures_is_many() -> None:
    many = np.arange(4 * 18, dtype=np.uint8).reshape(4, 2, 3, 3)
    source = open_source(many)
    assert source.count == 4
    assert all(
        np.array_equal(np.asarray(a.picture), b) for a, b in zip(source.items, many, strict=True)
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing.png", "no such file or folder"),
        ("*.tiff", "no file matches it"),
        ("empty*", "what matches it is no picture; searched for .jpg"),
        ("empty", "has no picture; searched for .jpg"),
        ("empty.txt", "lists no picture"),
    ],
)
def test_a_source_without_a_picture_is_an_error_at_once(
    name: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(FileNotFoundError, match=said):
        open_source(str(tmp_path / name))


def test_a_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ImageError, match="not a list of paths in UTF-8"):
        open_source(tmp_path / "list.txt")


@pytest.mark.parametrize("given", [None, 3, 2.5, {"a": RGB}])
def test_what_is_no_source_is_refused_with_what_is_expected(given: Any) -> None:
    with pytest.raises(TypeError, match="not a source of pictures; a path, a glob, a picture, or"):
        open_source(given)


@pytest.mark.parametrize("every", [0, -3, 1.5])
def test_frames_between_are_counted_from_one(every: Any) -> None:
    with pytest.raises(ValueError, match=f"every is {every}; a whole number, at least 1"):
        open_source([RGB], every=every)
