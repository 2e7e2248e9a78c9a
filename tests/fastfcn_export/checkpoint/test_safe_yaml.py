"""Files of unknown origin: nothing is run, nothing unfolds without end, and every message is short."""

from pathlib import Path

import pytest

from fastfcn_export.checkpoint.safe_yaml import read_yaml

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
        ("[" * 100_000, "not YAML"),
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ("a: 1\nb: 2\na: 3", "line 3: 'a' appears twice"),
        ("? [1, 2]\n: 3", "a key that is not text"),
        ("a: [1", "not YAML"),
        ("a: 1\n---\nb: 2", "not YAML"),
        ("a: " + "9" * 5000, "not YAML"),
        ("a: 2020-99-99", "not YAML"),
        ("1: a\n0x1: b", "two keys of this mapping are equal"),
        ("true: 1", "a key that is not text"),
        ("2305843009213693951: 1", "a key that is not text"),
        ("&k key: *k\n? *k\n: 2", "'key' appears twice"),
        (b"a: \xff", "not UTF-8 text"),
        ("#" * (1 << 20) + "\n", "more than 1048576 bytes"),
    ],
)
def test_what_is_not_safe_or_not_clear_is_refused(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    with pytest.raises(ValueError, match=r"config\.yml") as caught:
        read(tmp_path, text)
    assert said in str(caught.value)


def nested(levels: int) -> str:
    """Lists of ten aliases of the list before: ten to the power of `levels` values."""
    return "a0: &a0 [x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, levels)
    )


MEBIBYTE = 1 << 20
# Each would take minutes, gigabytes or a message of megabytes where nothing is bounded.
BOMBS = {
    "aliases of aliases": nested(30),
    "merges of merges": MERGES,
    "an alias as key and value": "&k key: *k\nother: [*k, *k]\n? *k\n: 1",
    "lists in lists": "[" * (MEBIBYTE - 1),
    "mappings in mappings": "{a: " * (MEBIBYTE // 4 - 1),
    "blocks in blocks": "".join(" " * i + "a:\n" for i in range(1400)),
    "dashes": "- " * (MEBIBYTE // 2 - 1),
    "many keys": "".join(f"k{i}: 1\n" for i in range(90_000)),
    "many values": "[" + "1," * 500_000 + "]",
    "keys of one hash": "{" + ",".join(f"{i * (2**61 - 1)}: 1" for i in range(1, 9000)) + "}",
    "a long key twice": f"? {'k' * 400_000}\n: 1\n? {'k' * 400_000}\n: 1",
    "a number of a million digits": "a: " + "9" * 1_000_000,
    "a number of a million hexadecimal digits": "a: 0x" + "f" * 1_000_000,
    "a number in base 60": "a: 1" + ":1" * 500_000,
    "a fraction in base 60": "a: 1" + ":1" * 500_000 + ".5",
    "a moment of a million digits": "a: 2001-01-01T00:00:00." + "1" * 1_000_000,
    "a long tag": f"a: !{'x' * 1_000_000} b",
    "a long alias": "a: *" + "x" * 1_000_000,
    "an escaped tag": f"a: !{'%1b' * 300_000} b",
    "a long name of code": f"!!python/object/apply:{'x' * 1_000_000} []",
    "control characters": "\x1b" * 1000,
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_in_a_short_message(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"config\.yml") as caught:
        read(tmp_path, text)
    assert len(str(caught.value).removeprefix(str(tmp_path))) < 1000
    assert str(caught.value).isprintable()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.yml cannot be read: No such file"):
        read_yaml(tmp_path / "none.yml")
