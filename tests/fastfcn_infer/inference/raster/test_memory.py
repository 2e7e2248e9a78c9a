import pytest

from fastfcn_infer.inference.raster.memory import parse_memory, shown


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1GiB", 1 << 30),
        ("1.5 GiB", 3 << 29),
        ("800MiB", 800 << 20),
        ("2kib", 2048),
        ("3MB", 3_000_000),
        ("1gb", 10**9),
        ("4096", 4096),
        ("4096 B", 4096),
        (4096, 4096),
    ],
)
def test_amounts_of_memory_are_read(text: str | int, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "GiB", "1 Gibi", "-1GiB", "0", "0.1 B", "1e9", "1,5GB", "nan", "inf GB", 0, -5, True],
)
def test_other_texts_are_refused_with_the_units(text: str | int) -> None:
    with pytest.raises(ValueError, match=r"no amount of memory.*GiB"):
        parse_memory(text)


@pytest.mark.parametrize("size", [1, 1 << 20, 5_000_000, 1 << 30, 1_234_567_890_123])
def test_what_is_shown_is_enough(size: int) -> None:
    assert size <= parse_memory(shown(size)) <= size * 1.01 + (1 << 20)
