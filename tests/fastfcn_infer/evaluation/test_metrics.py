"""Scores equal PaddleSeg's own figures and scikit-learn's, in each convention."""

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Convention
from fastfcn_infer.evaluation.metrics import CONVENTIONS, Confusion, Scores, scores

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "metrics_paddleseg.json"
IGNORE = 255


def counted(labels: NDArray[np.uint8], truth: NDArray[np.uint8], classes: int) -> Confusion:
    confusion = Confusion(classes)
    confusion.add(labels, truth)
    return confusion


def golden_pictures() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Follow the rule that stands in the golden file."""
    random = np.random.RandomState(5)
    truth = random.randint(0, 19, (4, 60, 80))
    labels = np.where(random.rand(4, 60, 80) < 0.6, truth, random.randint(0, 19, (4, 60, 80)))
    truth[random.rand(4, 60, 80) < 0.1] = IGNORE
    labels[truth == 18] = 3
    truth[truth == 18] = 2
    return labels.astype(np.uint8), truth.astype(np.uint8)


@st.composite
def pictures(draw: st.DrawFn) -> tuple[NDArray[np.uint8], NDArray[np.uint8], int]:
    """Label maps of few classes, of which some are often absent, with ignored pixels."""
    classes = draw(st.integers(1, 6))
    pixels = draw(st.integers(0, 40))
    label = st.integers(0, classes - 1)
    labels = draw(st.lists(label, min_size=pixels, max_size=pixels))
    truth = draw(st.lists(label | st.just(IGNORE), min_size=pixels, max_size=pixels))
    return np.array(labels, np.uint8), np.array(truth, np.uint8), classes


def test_scores_are_those_that_paddleseg_printed() -> None:
    expected = json.loads(GOLDEN.read_text())["paddleseg"]

    labels, truth = golden_pictures()
    found = scores(counted(labels, truth, 19), "paddleseg")

    assert found.mean_iou == pytest.approx(expected["miou"], abs=1e-9)
    assert found.pixel_accuracy == pytest.approx(expected["acc"], abs=1e-9)
    assert found.kappa == pytest.approx(expected["kappa"], abs=1e-9)
    assert found.mean_dice == pytest.approx(expected["dice"], abs=1e-9)
    assert found.iou == pytest.approx(expected["iou"], abs=1e-9)
    assert found.dice == pytest.approx(expected["dice_per_class"], abs=1e-9)


@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")
@given(pictures())
def test_counts_are_those_of_scikit_learn(
    case: tuple[NDArray[np.uint8], NDArray[np.uint8], int],
) -> None:
    labels, truth, classes = case
    kept = truth != IGNORE
    if not kept.any():
        assert counted(labels, truth, classes).pixels == 0
        return
    expected = sklearn.metrics.confusion_matrix(
        truth[kept], labels[kept], labels=list(range(classes))
    )
    np.testing.assert_array_equal(counted(labels, truth, classes).counts, expected)


@given(pictures(), st.sampled_from(CONVENTIONS))
def test_scores_are_those_of_scikit_learn(
    case: tuple[NDArray[np.uint8], NDArray[np.uint8], int], convention: Convention
) -> None:
    labels, truth, classes = case
    found = scores(counted(labels, truth, classes), convention)
    kept = truth != IGNORE
    truth, labels = truth[kept], labels[kept]
    if not kept.any():
        nothing_counted(found)
        return
    numbers = list(range(classes))
    other = math.nan if convention == "mmseg" else 0.0
    iou = sklearn.metrics.jaccard_score(
        truth, labels, labels=numbers, average=None, zero_division=0.0
    )
    precision, recall, dice, _ = sklearn.metrics.precision_recall_fscore_support(
        truth, labels, labels=numbers, average=None, zero_division=other
    )
    for label in numbers:
        if label not in truth and label not in labels:
            iou[label] = {"paddleseg": 1.0, "fastfcn": 0.0, "mmseg": math.nan}[convention]
            dice[label] = other
    assert found.iou == pytest.approx(iou, nan_ok=True)
    assert found.precision == pytest.approx(precision, nan_ok=True)
    assert found.recall == pytest.approx(recall, nan_ok=True)
    assert found.accuracy == found.recall
    assert found.dice == pytest.approx(dice, nan_ok=True)
    assert found.mean_iou == pytest.approx(np.nanmean(iou))
    assert found.mean_accuracy == pytest.approx(np.nanmean(recall))
    assert found.mean_dice == pytest.approx(np.nanmean(dice))
    assert found.pixel_accuracy == pytest.approx(sklearn.metrics.accuracy_score(truth, labels))
    assert found.final == pytest.approx((found.mean_iou + found.pixel_accuracy) / 2)
    if set(truth) == set(labels) and len(set(truth)) == 1:
        assert math.isnan(found.kappa)  # one class only: chance is always right
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about classes that are absent
            expected = sklearn.metrics.cohen_kappa_score(truth, labels)
        assert found.kappa == pytest.approx(expected)


def nothing_counted(found: Scores) -> None:
    """Check the scores of no pixels at all."""
    means = (found.mean_iou, found.pixel_accuracy, found.mean_accuracy, found.mean_dice)
    assert all(map(math.isnan, (*means, found.kappa, found.final, *found.iou, *found.recall)))


@given(pictures(), st.integers(0, 40))
def test_counts_of_two_parts_add_up_to_those_of_the_whole(
    case: tuple[NDArray[np.uint8], NDArray[np.uint8], int], cut: int
) -> None:
    labels, truth, classes = case
    parts = [
        counted(labels[part], truth[part], classes) for part in (slice(cut), slice(cut, None))
    ]
    assert parts[0] + parts[1] == counted(labels, truth, classes)
    assert Confusion.from_counts(parts[0].counts) == parts[0]


def test_pictures_larger_than_a_chunk_are_counted_whole() -> None:
    random = np.random.default_rng(3)
    truth = random.integers(0, 151, (1100, 1000)).astype(np.uint8)
    truth[truth == 150] = IGNORE
    labels = random.integers(0, 150, truth.shape).astype(np.uint8)
    kept = truth != IGNORE
    expected = np.zeros((150, 150), np.int64)
    np.add.at(expected, (truth[kept], labels[kept]), 1)
    np.testing.assert_array_equal(counted(labels, truth, 150).counts, expected)


def test_kappa_stands_more_pixels_than_the_square_root_of_int64() -> None:
    counts = np.array([[10**11, 10**10], [10**10, 10**11]])
    assert scores(Confusion.from_counts(counts), "paddleseg").kappa == pytest.approx(9 / 11)


def test_sums_over_processes_come_as_arrays() -> None:
    labels, truth = golden_pictures()
    confusion = counted(labels, truth, 19)
    summed = Confusion.from_counts(np.stack([confusion.counts, confusion.counts]).sum(axis=0))
    assert summed == confusion + confusion
    assert scores(summed, "mmseg").mean_iou == scores(confusion, "mmseg").mean_iou


@pytest.mark.parametrize(
    ("labels", "truth", "message"),
    [
        ([3], [0], "predicted labels from 3 to 3; 0 to 2"),
        ([-1], [0], "predicted labels from -1"),
        ([0, 0], [0], "shape"),
        ([0, 0, 0], [3, 7, 255], "value 3, 7; 0 to 2, or 255"),
        ([0], [256], "true labels from 256"),
        ([0], [-1], "true labels from -1"),
        ([0.0], [0], "float64; integers"),
    ],
)
def test_values_in_no_class_are_refused_and_nothing_is_counted(
    labels: list[float], truth: list[int], message: str
) -> None:
    confusion = Confusion(3)
    with pytest.raises(ValueError, match=message):
        confusion.add(np.array(labels), np.array(truth))
    assert confusion.pixels == 0


@pytest.mark.parametrize("classes", [0, 4097])
def test_numbers_of_classes_that_cannot_be_counted_are_refused(classes: int) -> None:
    with pytest.raises(ValueError, match="1 to 4096"):
        Confusion(classes)


@pytest.mark.parametrize("classes", [255, 256, 300])
def test_255_is_a_class_where_there_are_more_than_255(classes: int) -> None:
    random = np.random.default_rng(classes)
    truth = np.append(random.integers(0, classes, 5000), [255, 0, classes - 1]).astype(np.uint16)
    labels = random.integers(0, classes, truth.size).astype(np.uint16)
    confusion = Confusion(classes)
    confusion.add(labels, truth)
    counted = truth < classes
    expected = sklearn.metrics.confusion_matrix(
        truth[counted], labels[counted], labels=range(classes)
    )
    assert np.array_equal(confusion.counts, expected)
    with pytest.raises(ValueError, match="true labels"):
        confusion.add(labels, np.full_like(truth, max(classes, 256)))


@pytest.mark.parametrize(
    "counts", [np.zeros((2, 3), int), np.zeros((2, 2)), np.array([[0, -1], [0, 0]])]
)
def test_arrays_that_are_no_counts_are_refused(counts: NDArray[np.int64]) -> None:
    with pytest.raises(ValueError, match="count"):
        Confusion.from_counts(counts)


def test_counts_of_different_classes_do_not_add_up() -> None:
    with pytest.raises(ValueError, match="2 and 3 classes"):
        Confusion(2) + Confusion(3)


def test_unknown_conventions_are_refused() -> None:
    with pytest.raises(ValueError, match="paddleseg, fastfcn, mmseg"):
        scores(Confusion(2), "voc")  # type: ignore[arg-type]
