from pathlib import Path

import numpy as np

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


def test_counts_add_up_to_all_pixels_beyond_32_bits_of_one_picture(tmp_path: Path) -> None:
    write_picture(tmp_path / "images/train/a.jpg")
    labels = np.random.default_rng(0).integers(0, 12, (300, 200), np.uint8)
    write_labels(tmp_path / "labels/train/a.png", labels)
    counted = count_labels(open_dataset("camvid", tmp_path, "train"))
    values, counts = np.unique(labels, return_counts=True)
    assert values.tolist() == list(range(12))
    assert [*counted.pixels, counted.ignored] == counts.tolist()
