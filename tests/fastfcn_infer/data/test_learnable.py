"""Data from which nothing can be learned is noticed, and the option that mends it is named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_trees import numbers, write_labels, write_list, write_picture
from fastfcn_infer.data.dataset import IGNORE, Dataset, open_dataset
from fastfcn_infer.data.label_count import count_labels
from fastfcn_infer.data.label_options import read_map
from fastfcn_infer.data.learnable import find_shortage, nothing_to_score, shortage_to_learn
from fastfcn_infer.errors import DatasetError

NAMES = ("floor", "crack", "hole")


def listed(root: Path, classes: int, *labels: tuple[int, ...], **rules: Any) -> Dataset:
    """Write the user's own data set; each label map holds the values once at least."""
    root.mkdir(exist_ok=True)
    entries = (f'{{"name": "{name}", "color": [0, 0, 0]}}' for name in NAMES[:classes])
    (root / "classes.json").write_text(f"[{', '.join(entries)}]")
    for number, values in enumerate(labels):
        write_picture(root / f"{number}.jpg")
        write_labels(root / f"{number}.png", numbers(*values))
    write_list(root / "train.txt", [f"{n}.jpg {n}.png" for n in range(len(labels))])
    return open_dataset("listed", root, "train", **rules)


@pytest.mark.parametrize(
    ("classes", "labels", "said", "hint"),
    [
        (2, [(0, 255), (0, 255)], "every labelled pixel is 'floor'", "--map-labels 255=1"),
        (2, [(0,), (0,)], "every labelled pixel is 'floor'", None),
        (2, [(1,)], "every labelled pixel is 'crack'", None),
        (3, [(0, 1, 255)], "1 of 3 classes have no pixel in its 1 label maps: hole", "255=2"),
        (3, [(0, 1), (1, 0)], "1 of 3 classes have no pixel in its 2 label maps: hole", None),
        (2, [(255,), (255,)], "no pixel of its 2 label maps has a class", "255=1"),
        (1, [(0,), (0, 255)], "'floor' is the only class", None),
    ],
)
def test_what_is_lacking_is_said(
    tmp_path: Path, classes: int, labels: list[tuple[int, ...]], said: str, hint: str | None
) -> None:
    dataset = listed(tmp_path, classes, *labels)
    for found in (find_shortage(dataset, count_labels(dataset)), shortage_to_learn(dataset)):
        text = ". ".join(found.sentences)
        assert said in text
        assert (hint or "--map-labels") in text or hint is None
        assert hint is not None or found.hint is None


def test_data_that_lacks_nothing_is_silent_and_not_read_to_the_end(tmp_path: Path) -> None:
    dataset = listed(tmp_path, 3, *[(0, 1, 2, 255)] * 5)
    assert shortage_to_learn(dataset).sentences == ()
    assert find_shortage(dataset, count_labels(dataset)).sentences == ()
    assert count_labels(dataset, enough=2).files == 1
    assert count_labels(dataset).files == 5


def test_to_score_two_classes_are_enough_and_one_is_not(tmp_path: Path) -> None:
    dataset = listed(tmp_path, 3, (0,), (0, 255), (1,))
    assert nothing_to_score(dataset, dataset.samples).sentences == ()
    found = nothing_to_score(dataset, dataset.samples[:2])
    assert "every labelled pixel is 'floor'" in found.sentences[0]


def test_bad_label_files_stop_a_training_and_not_an_evaluation(tmp_path: Path) -> None:
    dataset = listed(tmp_path, 2, (0, 7), (0, 7))
    with pytest.raises(DatasetError, match=r"holds 7 .* --map-labels 7=LABEL"):
        shortage_to_learn(dataset)
    assert nothing_to_score(dataset, dataset.samples).sentences == ()


@pytest.mark.parametrize(
    ("values", "hint"), [((0, 3), True), ((1, 2, 3), True), ((3, 4), False), ((7, 9), False)]
)
def test_files_that_may_count_classes_from_1_are_told_how_to_say_so(
    tmp_path: Path, values: tuple[int, ...], hint: bool
) -> None:
    dataset = listed(tmp_path, 3, values)
    with pytest.raises(DatasetError, match=r"=LABEL, or \d=ignore for no class") as caught:
        dataset.read_labels(dataset.samples[0])
    assert ("--map-labels 0=ignore,1-3=0-2" in str(caught.value)) is hint


@pytest.mark.parametrize("rules", [{255: 1}, {255: 0, 0: 1}, {0: IGNORE, 255: 1, 7: 0}])
def test_values_are_mapped_as_the_user_says(tmp_path: Path, rules: dict[int, int]) -> None:
    dataset = listed(tmp_path, 2, (0, 255), map_labels=rules)
    values = numbers(0, 255)
    expected = np.where(values == 0, rules.get(0, 0), rules[255])
    assert (dataset.read_labels(dataset.samples[0]) == expected).all()


@pytest.mark.parametrize("rules", [{255: 2}, {255: -1}, {-1: 0}, {65536: 0}, {0: 254}])
def test_maps_that_cannot_be_are_refused(tmp_path: Path, rules: dict[int, int]) -> None:
    with pytest.raises(ValueError, match="labels 0 to 1, or 255 to ignore"):
        listed(tmp_path, 2, (0, 1), map_labels=rules)
    with pytest.raises(ValueError, match="auto, upright, stored"):
        listed(tmp_path, 2, (0, 1), label_orientation="left")


def test_the_option_is_read_as_pairs() -> None:
    assert read_map("255=1") == {255: 1}
    assert read_map("255=1, 128=ignore,0=0") == {255: 1, 128: 255, 0: 0}
    assert read_map("0=ignore,1-3=0-2") == {0: 255, 1: 0, 2: 1, 3: 2}
    assert read_map("11-13=Ignore,7-7=4") == {11: 255, 12: 255, 13: 255, 7: 4}
    for text in ("", "255", "255=", "=1", "a=1", "1=-1", "1=2,1=3", "255:1", "1=1,", "999999=1"):
        with pytest.raises(ValueError, match="VALUE=LABEL"):
            read_map(text)
    for text in ("3-1=0", "1-3=0-1", "1=0-1", "1-3=0,2=0", "1-=0", "-3=0", "1-2-3=0"):
        with pytest.raises(ValueError, match="VALUE=LABEL"):
            read_map(text)
