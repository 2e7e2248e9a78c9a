"""Configurations with bases, by PaddleSeg's rules; PaddleSeg itself judges in `test_peer`."""

import sys
from pathlib import Path

import pytest

from fastfcn_training.cli.paddleseg.files import read_config


def write(folder: Path, **files: str) -> Path:
    """Write NAME.yml for every NAME; gives the file of the first."""
    for name, text in files.items():
        (folder / f"{name}.yml").write_text(text, encoding="utf-8")
    return folder / f"{next(iter(files))}.yml"


def test_a_file_overrides_its_base_key_by_key_and_lists_as_a_whole(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        config="_base_: base.yml\na: {x: 1}\nitems: [3]\n",
        base="a: {x: 0, y: 2}\nitems: [1, 2]\nb: 4\n",
    )
    assert read_config(path) == {"a": {"x": 1, "y": 2}, "items": [3], "b": 4}


def test_the_first_base_that_says_something_wins(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        config="_base_: [one.yml, two.yml]\na: 0\n",
        one="a: 1\nb: 1\n",
        two="b: 2\nc: 2\n",
    )
    assert read_config(path) == {"a": 0, "b": 1, "c": 2}


def test_bases_have_bases_as_seen_from_their_own_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write(tmp_path, root="a: 1\nb: 1\n")
    path = write(tmp_path / "deep", config="_base_: mid.yml\n", mid="_base_: ../root.yml\nb: 2\n")
    assert read_config(path) == {"a": 1, "b": 2}


def test_what_is_said_not_to_inherit_does_not(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        config="_base_: base.yml\na: {_inherited_: False, x: 1}\nb: {c: {_inherited_: False}}\n",
        base="a: {y: 2}\nb: {c: {z: 3}, d: 4}\n",
    )
    assert read_config(path) == {"a": {"x": 1}, "b": {"c": {}, "d": 4}}


def test_a_section_takes_the_place_of_a_value(tmp_path: Path) -> None:
    path = write(tmp_path, config="_base_: base.yml\na: {x: 1}\n", base="a: null\n")
    assert read_config(path) == {"a": {"x": 1}}


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("config.yml", "inherits from itself"),
        ("loop.yml", "inherits from itself"),
        ("/etc/passwd", "expected a .yml file relative to its own folder"),
        ("../secrets.json", "expected a .yml file relative to its own folder"),
        ("[1, 2]", "a file or a list of files"),
        ("none.yml", "cannot be read"),
        ("list.yml", "is not a configuration"),
    ],
)
def test_bases_that_are_none_are_refused(tmp_path: Path, base: str, said: str) -> None:
    path = write(
        tmp_path, config=f"_base_: {base}\n", loop="_base_: config.yml\n", list="[1, 2]\n"
    )
    with pytest.raises(ValueError) as caught:
        read_config(path)
    assert said in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yml").symlink_to("a.yml")
    with pytest.raises(ValueError, match=r"a\.yml cannot be read"):
        read_config(tmp_path / "a.yml")


def test_a_long_chain_of_bases_is_refused(tmp_path: Path) -> None:
    files = {f"c{i}": f"_base_: c{i + 1}.yml\n" for i in range(20)} | {"c20": "a: 1\n"}
    with pytest.raises(ValueError, match="nested more than 10 deep"):
        read_config(write(tmp_path, **files))


def test_options_are_set_last(tmp_path: Path) -> None:
    path = write(tmp_path, config="a: {x: 1}\nb: 2\n")
    options = ["a.x=0.5", "a.size=(4, 5)", "b=None", "c=text", "d=1=1"]
    assert read_config(path, options) == {
        "a": {"x": 0.5, "size": [4, 5]},
        "b": None,
        "c": "text",
        "d": "1=1",
    }


@pytest.mark.parametrize("option", ["a", "a.x.y=1", "none.x=1", "b.x=1"])
def test_options_that_set_nothing_are_refused(tmp_path: Path, option: str) -> None:
    path = write(tmp_path, config="a: {x: 1}\nb: 2\n")
    with pytest.raises(ValueError, match="sets nothing"):
        read_config(path, [option])


def test_bases_that_multiply_from_level_to_level_are_stopped(tmp_path: Path) -> None:
    for level in range(8):  # 10 ** 8 files, read one by one
        bases = ", ".join([f"{level + 1}.yml"] * 10)
        (tmp_path / f"{level}.yml").write_text(f"_base_: [{bases}]\n")
    (tmp_path / "8.yml").write_text("a: 1\n")
    with pytest.raises(ValueError, match="inherits from more than 100 files"):
        read_config(tmp_path / "0.yml")


def test_messages_show_a_bounded_part_of_a_value(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(f"_base_: {'x' * 100_000}\n")
    with pytest.raises(ValueError, match="has the base") as caught:
        read_config(tmp_path / "a.yml")
    assert len(str(caught.value)) < 1000
    (tmp_path / "b.yml").write_text("a: 1\n")
    with pytest.raises(ValueError, match="sets nothing") as caught:
        read_config(tmp_path / "b.yml", ["y" * 100_000])
    assert len(str(caught.value)) < 1000


def test_all_files_of_a_configuration_together_are_bounded(tmp_path: Path) -> None:
    write(tmp_path, large="".join(f"key{i}: {i}\n" for i in range(9000)))
    (tmp_path / "a.yml").write_text(f"_base_: [{', '.join(['large.yml'] * 20)}]\n")
    with pytest.raises(ValueError, match="more than 1048576 bytes"):
        read_config(tmp_path / "a.yml")
