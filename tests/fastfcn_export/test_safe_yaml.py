"""Configurations from strangers: nothing is run, nothing unfolds without end."""

from pathlib import Path

import pytest

from fastfcn_export.safe_yaml import read_yaml

LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i}\n  <<: [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)


def read(folder: Path, text: str | bytes) -> object:
    path = folder / "config.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(path)


def test_plain_data_is_read(tmp_path: Path) -> None:
    text = "a: 1\nb: [1.5, x, True, null]\nc:\n  d: 'e'\n"
    assert read(tmp_path, text) == {"a": 1, "b": [1.5, "x", True, None], "c": {"d": "e"}}


def test_aliases_are_followed(tmp_path: Path) -> None:
    assert read(tmp_path, "a: &size [4, 5]\nb: *size\n") == {"a": [4, 5], "b": [4, 5]}


@pytest.mark.parametrize("text", ["1e-4", "1E-4", "+1e-4", "1.0e-4"])
def test_numbers_that_people_take_for_numbers_are_numbers(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, f"rate: {text}") == {"rate": 0.0001}


@pytest.mark.parametrize("text", ["'1e-4'", "e-4", "1e", "1e-4x"])
def test_text_that_looks_like_a_number_stays_text(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, f"rate: {text}") == {"rate": text.strip("'")}


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "aliases unfolded it has more than"),
        (MERGES, "'<<' is not read"),
        ("a: &a [*a]", "nested more than"),
        ("[" * 60 + "]" * 60, "nested more than"),
        ("[" * 100_000, "no YAML"),
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ("a: 1\nb: 2\na: 3", "line 3: 'a' is there twice"),
        ("? [1, 2]\n: 3", "a key that is no text"),
        ("a: [1", "no YAML"),
        ("a: 1\n---\nb: 2", "no YAML"),
        ("a: " + "9" * 5000, "no YAML"),
        ("a: 2020-99-99", "no YAML"),
        (b"a: \xff", "no text in UTF-8"),
        ("#" * (1 << 20) + "\n", "more than 1048576 bytes"),
    ],
)
def test_what_is_not_safe_or_not_clear_is_refused(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    with pytest.raises(ValueError, match=r"config\.yml") as caught:
        read(tmp_path, text)
    assert said in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.yml cannot be read: No such file"):
        read_yaml(tmp_path / "none.yml")
