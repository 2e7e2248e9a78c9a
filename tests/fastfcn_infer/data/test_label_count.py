from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dataset_trees import numbers, write_labels, write_picture
from fastfcn_infer.data.dataset import open_dataset
from fastfcn_infer.data.label_count import count_labels


def test_pixels_and_pictures_of_each_class_are_counted_and_bad_files_named(tmp_path: Path) -> None:
    for name, values in {"a": (0, 1), "b": (1, 11), "c": (10,), "d": (12,)}.items():
        write_picture(tmp_path / f"images/train/{name}.jpg")
        write_labels(tmp_path / f"labels/train/{name}.png", numbers(*values))
    (tmp_path / "labels/train/c.png").write_bytes(b"")
    calls: list[int] = []
    counted = count_labels(open_dataset("camvid", tmp_path, "train"), lambda: calls.append(1))
    assert counted.pixels == (12, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    assert counted.pictures == (1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    assert counted.ignored == 12
    assert ["c.png" in fault or "d.png" in fault for fault in counted.faults] == [True, True]
    assert len(calls) == 4


def test_counts_add_up_to_all_pixels(tmp_path: Path) -> None:
    write_picture(tmp_path / "images/train/a.jpg")
    labels = np.random.default_rng(0).integers(0, 12, (300, 200), np.uint8)
    write_labels(tmp_path / "labels/train/a.png", labels)
    counted = count_labels(open_dataset("camvid", tmp_path, "train"))
    values, counts = np.unique(labels, return_counts=True)
    assert values.tolist() == list(range(12))
    assert [*counted.pixels, counted.ignored] == counts.tolist()


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_counts_are_exact_beyond_32_bits_and_beyond_the_integers_of_a_float(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: type
) -> None:
    for name in "abc":
        write_picture(tmp_path / f"images/train/{name}.jpg")
        write_labels(tmp_path / f"labels/train/{name}.png", numbers(0))
    # What NumPy counts in one file, in the integers of this platform (32 bits on old Windows).
    most = np.iinfo(dtype).max if dtype is np.int32 else 2**53 + 1
    one_file: NDArray[Any] = np.zeros(256, dtype)
    one_file[[0, 3, 255]] = [most, most - 1, most - 2]
    monkeypatch.setattr(np, "bincount", lambda *_, **__: one_file.copy())
    counted = count_labels(open_dataset("camvid", tmp_path, "train"))
    assert counted.pixels == (3 * most, 0, 0, 3 * (most - 1), *[0] * 7)
    assert counted.ignored == 3 * (most - 2)
    assert counted.pictures == (3, 0, 0, 3, *[0] * 7)
    assert 3 * most > 2**32
