from collections import Counter
from pathlib import Path

import pytest

from fastfcn_infer.artifact.class_table import (
    class_table,
    class_table_names,
    numbered_classes,
    read_class_table,
)
from fastfcn_infer.errors import ArtifactError

COUNTS = {
    "ade20k": 150,
    "camvid": 11,
    "cityscapes": 19,
    "pascal_context_59": 59,
    "pascal_context_60": 60,
    "voc": 21,
}
FIRST = {
    "ade20k": ("wall", (120, 120, 120)),
    "camvid": ("sky", (128, 128, 128)),
    "cityscapes": ("road", (128, 64, 128)),
    "pascal_context_59": ("aeroplane", (180, 120, 120)),
    "pascal_context_60": ("background", (120, 120, 120)),
    "voc": ("background", (0, 0, 0)),
}


def test_six_tables_come_with_the_package_in_full_length() -> None:
    assert {name: len(class_table(name)) for name in class_table_names()} == COUNTS


def test_the_tables_begin_as_published() -> None:
    first = {name: class_table(name)[0] for name in class_table_names()}
    assert {name: (info.name, info.color) for name, info in first.items()} == FIRST


def test_a_file_of_a_table_has_one_class_a_line() -> None:
    folder = Path(__file__).parents[3] / "fastfcn_infer" / "assets" / "classes"
    for name, count in COUNTS.items():
        assert len((folder / f"{name}.json").read_text().splitlines()) == count + 2


def test_ade20k_has_one_colour_and_one_name_twice() -> None:
    table = class_table("ade20k")
    colors = Counter(info.color for info in table)
    assert [color for color, count in colors.items() if count > 1] == [(140, 140, 140)]
    assert [i for i, info in enumerate(table) if info.color == (140, 140, 140)] == [6, 48]
    names = Counter(info.name for info in table)
    assert [name for name, count in names.items() if count > 1] == ["screen"]


def test_pascal_context_60_is_59_with_a_background_before_it() -> None:
    names = [info.name for info in class_table("pascal_context_59")]
    assert [info.name for info in class_table("pascal_context_60")] == ["background", *names]


def test_the_colours_of_numbered_classes_are_those_of_voc() -> None:
    made_up = numbered_classes(21)
    assert [info.color for info in made_up] == [info.color for info in class_table("voc")]
    assert [info.name for info in made_up[:2]] == ["class 0", "class 1"]


def test_the_first_256_numbered_classes_differ_in_colour() -> None:
    assert len({info.color for info in numbered_classes(256)}) == 256


@pytest.mark.parametrize("count", [-1, 0, 65536])
def test_a_count_of_classes_outside_16_bits_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 65535"):
        numbered_classes(count)


def test_an_unknown_table_is_refused_with_the_list() -> None:
    for name in ("ade", "../errors", ""):
        with pytest.raises(ArtifactError, match="expected one of ade20k, camvid, cityscapes"):
            class_table(name)


def test_a_users_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('[{"name": "Straße", "color": [1, 2, 3]}]', encoding="utf-8")
    (only,) = read_class_table(path)
    assert (only.name, only.color) == ("Straße", (1, 2, 3))
    assert read_class_table(str(path)) == (only,)


def test_all_faults_of_a_users_table_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('[{"name": 1, "color": [1, 2]}, {"nam": "x", "color": [1, 2, 300]}]')
    with pytest.raises(ArtifactError) as caught:
        read_class_table(path)
    message = str(caught.value)
    for part in ("mine.json", "[0].name", "[0].color", "[1].name: missing", "[1].nam: unknown"):
        assert part in message


@pytest.mark.parametrize(
    "text", ["", "{", "{}", "null", "[]", '["road"]', "[[]]", "\xff", '[{"name": "a"}]']
)
def test_a_file_that_is_no_table_is_refused_by_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ArtifactError, match=r"mine\.json"):
        read_class_table(path)


def test_a_missing_table_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"nothing\.json cannot be opened"):
        read_class_table(tmp_path / "nothing.json")
