"""Evaluations equal scikit-learn's on what was predicted, whatever interrupts them."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics

from camvid_tree import (
    CLASSES,
    SIZE,
    VOID,
    camvid_artifact,
    camvid_model,
    camvid_tree,
    write_png,
)
from fastfcn_infer import Segmenter, open_dataset
from fastfcn_infer.artifact.class_table import numbered_classes
from fastfcn_infer.artifact.manifest import Convention
from fastfcn_infer.data.dataset import Dataset
from fastfcn_infer.errors import BackendError, EvaluationError, ImageError
from fastfcn_infer.evaluation import evaluate as module
from fastfcn_infer.evaluation.evaluate import Evaluation, default_convention, evaluate
from fastfcn_infer.evaluation.plan import STATE_NAME, plan
from fastfcn_infer.evaluation.report import table, to_data
from models import tiny_artifact


@pytest.fixture
def segmenter(tmp_path: Path) -> Iterator[Segmenter]:
    model = camvid_artifact(tmp_path / "tiny")
    with Segmenter.from_pretrained(model, threads=1, backend="onnx_runtime") as opened:
        yield opened


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return open_dataset("camvid", camvid_tree(tmp_path / "camvid"), "test")


def read(path: Path) -> Any:
    return np.asarray(pytest.importorskip("PIL.Image").open(path))


def interrupted_after(pictures: int) -> Callable[[], None]:
    left = iter(range(pictures - 1))

    def advance() -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    return advance


def equal(one: Evaluation, other: Evaluation) -> bool:
    return (one.confusion, one.pictures, one.failed) == (
        other.confusion,
        other.pictures,
        other.failed,
    )


def test_scores_are_scikit_learns_on_the_predictions_that_were_saved(
    segmenter: Segmenter, dataset: Dataset, tmp_path: Path
) -> None:
    found = segmenter.evaluate(dataset, predictions=tmp_path / "out")
    labels, truth = (
        np.concatenate([read(folder / f"p{index}.png").ravel() for index in range(6)])
        for folder in (tmp_path / "out", tmp_path / "camvid" / "labels" / "test")
    )
    labels, truth = labels[truth != VOID], truth[truth != VOID]
    numbers = list(range(CLASSES))
    iou = sklearn.metrics.jaccard_score(
        truth, labels, labels=numbers, average=None, zero_division=1
    )
    assert 0 < np.mean(iou) < 1
    assert found.scores.iou == pytest.approx(iou)
    assert found.scores.mean_iou == pytest.approx(np.mean(iou))
    assert found.scores.pixel_accuracy == pytest.approx(np.mean(labels == truth))
    assert found.scores.kappa == pytest.approx(sklearn.metrics.cohen_kappa_score(truth, labels))
    assert (found.pictures, found.confusion.pixels, found.failed) == (6, truth.size, {})
    assert found.images_per_second > 0


def test_predictions_saved_are_those_of_predict(
    segmenter: Segmenter, dataset: Dataset, tmp_path: Path
) -> None:
    segmenter.evaluate(dataset, predictions=tmp_path / "out", limit=2)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        STATE_NAME,
        "p0.png",
        "p1.png",
    ]
    expected = segmenter.predict(dataset.samples[1].picture).labels
    np.testing.assert_array_equal(read(tmp_path / "out" / "p1.png"), expected)


@pytest.mark.parametrize(
    ("dialect", "said", "convention"),
    [
        ("paddleseg", None, "paddleseg"),
        ("paddleseg-deployed", None, "paddleseg"),
        ("wuhuikai", None, "fastfcn"),
        ("ncpaddle", None, "fastfcn"),
        ("mmseg", None, "mmseg"),
        ("mmseg", "paddleseg", "paddleseg"),
        ("of a later version", "mmseg", "mmseg"),
    ],
)
def test_the_convention_is_what_the_manifest_says_else_that_of_the_checkpoints_authors(
    dialect: str, said: Convention | None, convention: str
) -> None:
    assert default_convention(camvid_model(dialect, said).network) == convention


def test_the_convention_of_a_training_is_kept(dataset: Dataset, tmp_path: Path) -> None:
    tiny_artifact(tmp_path / "trained", camvid_model("paddleseg", "mmseg"))
    with Segmenter.from_pretrained(tmp_path / "trained", backend="onnx_runtime") as segmenter:
        assert segmenter.evaluate(dataset, limit=1).convention == "mmseg"


def test_the_convention_can_be_chosen_and_an_unknown_one_is_refused_before_any_picture(
    segmenter: Segmenter, dataset: Dataset
) -> None:
    found = segmenter.evaluate(dataset, convention="mmseg")
    assert found.convention == "mmseg"
    broken = replace(dataset, values={})
    with pytest.raises(ValueError, match="paddleseg, fastfcn, mmseg"):
        segmenter.evaluate(broken, convention="voc")  # type: ignore[arg-type]


@pytest.mark.parametrize("after", [1, 3, 6])
@pytest.mark.parametrize("write_every", [0.0, math.inf])
def test_an_interrupted_evaluation_goes_on_and_equals_an_uninterrupted_one(
    segmenter: Segmenter,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: int,
    write_every: float,
) -> None:
    monkeypatch.setattr(module, "_WRITE_EVERY", write_every)
    state = tmp_path / "state.json"
    planned = plan(segmenter, dataset, state=state)
    with pytest.raises(KeyboardInterrupt):
        evaluate(segmenter, dataset, planned, advance=interrupted_after(after))
    again = plan(segmenter, dataset, state=state)
    assert [index for index, _ in again.todo] == list(range(after, 6))
    assert again.tally.seconds > 0
    whole = segmenter.evaluate(dataset)
    assert whole.confusion != again.tally.confusion or after == 6
    assert equal(evaluate(segmenter, dataset, again), whole)


def test_after_a_kill_the_state_of_the_last_write_is_there(
    segmenter: Segmenter, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WRITE_EVERY", 0.0)
    planned = plan(segmenter, dataset, state=tmp_path / "state.json")
    left: list[bytes] = []

    def look() -> None:
        left.append((tmp_path / "state.json").read_bytes())

    whole = evaluate(segmenter, dataset, planned, advance=look)
    for pictures, content in enumerate(left, start=1):
        (tmp_path / "killed.json").write_bytes(content)
        resumed = plan(segmenter, dataset, state=tmp_path / "killed.json")
        assert [index for index, _ in resumed.todo] == list(range(pictures, 6))
        assert equal(evaluate(segmenter, dataset, resumed), whole)


def test_a_failing_runtime_ends_the_evaluation_and_keeps_what_was_counted(
    segmenter: Segmenter, dataset: Dataset, tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    planned = plan(segmenter, dataset, state=state)
    closing = iter([None, segmenter.close])
    with pytest.raises(BackendError):
        evaluate(segmenter, dataset, planned, advance=lambda: (next(closing) or (lambda: None))())
    assert plan(segmenter, dataset, state=state).tally.counted == 2


def test_a_finished_evaluation_answers_from_its_state_and_a_fresh_one_counts_again(
    segmenter: Segmenter, dataset: Dataset, tmp_path: Path
) -> None:
    target = tmp_path / "out" / "p0.png"
    first = segmenter.evaluate(dataset, predictions=tmp_path / "out")
    written = target.stat().st_mtime_ns
    again = segmenter.evaluate(dataset, predictions=tmp_path / "out")
    assert equal(first, again)
    assert again.seconds == first.seconds
    assert target.stat().st_mtime_ns == written
    fresh = segmenter.evaluate(dataset, predictions=tmp_path / "out", fresh=True)
    assert equal(first, fresh)
    assert target.stat().st_mtime_ns > written


@pytest.mark.parametrize("left", [set(), {0}, {5}, {1, 3, 4}])
def test_predictions_that_are_missing_are_made_and_their_pictures_not_counted_twice(
    segmenter: Segmenter, dataset: Dataset, tmp_path: Path, left: set[int]
) -> None:
    folder = tmp_path / "out"
    first = segmenter.evaluate(dataset, predictions=folder, limit=4)
    expected = {index: read(folder / f"p{index}.png") for index in range(4)}
    for index in set(range(4)) - left:
        (folder / f"p{index}.png").unlink()
    again = segmenter.evaluate(dataset, predictions=folder, limit=4)
    assert equal(first, again)
    assert again.seconds == first.seconds
    whole = segmenter.evaluate(dataset, predictions=folder)
    assert equal(whole, segmenter.evaluate(dataset))
    assert len([*folder.glob("*.png")]) == 6
    for index, labels in expected.items():
        np.testing.assert_array_equal(read(folder / f"p{index}.png"), labels)


def test_a_missing_prediction_of_a_picture_that_cannot_be_read_any_more_is_an_error(
    segmenter: Segmenter, dataset: Dataset, tmp_path: Path
) -> None:
    first = segmenter.evaluate(dataset, predictions=tmp_path / "out")
    (tmp_path / "out" / "p2.png").unlink()
    picture = dataset.samples[2].picture
    content = picture.read_bytes()
    picture.write_text("text")
    with pytest.raises(ImageError, match=r"p2\.png"):
        segmenter.evaluate(dataset, predictions=tmp_path / "out")
    picture.write_bytes(content)
    assert equal(first, segmenter.evaluate(dataset, predictions=tmp_path / "out"))


def test_bad_files_are_named_and_left_out_and_counted_once_they_are_mended(
    segmenter: Segmenter, dataset: Dataset, tmp_path: Path
) -> None:
    whole = segmenter.evaluate(dataset)
    cut, strange, small = (
        tmp_path / "camvid" / name
        for name in ("images/test/p0.png", "labels/test/p2.png", "labels/test/p5.png")
    )
    good = [path.read_bytes() for path in (cut, strange, small)]
    cut.write_bytes(good[0][:200])
    write_png(strange, np.full(SIZE, 12, np.uint8))
    write_png(small, np.zeros((45, 59), np.uint8))
    found = segmenter.evaluate(dataset, state=tmp_path / "state.json")
    assert found.pictures == 3
    assert list(found.failed) == ["p0", "p2", "p5"]
    assert str(cut) in found.failed["p0"]
    assert f"{strange} holds 12" in found.failed["p2"]
    assert "60 x 45" in found.failed["p5"]
    assert "59 x 45" in found.failed["p5"]
    expected = segmenter.evaluate(
        replace(dataset, samples=tuple(dataset.samples[index] for index in (1, 3, 4)))
    )
    assert found.confusion == expected.confusion
    for path, content in zip((cut, strange, small), good, strict=True):
        path.write_bytes(content)
    assert equal(segmenter.evaluate(dataset, state=tmp_path / "state.json"), whole)


def test_where_every_picture_is_bad_there_are_no_scores(
    segmenter: Segmenter, dataset: Dataset
) -> None:
    for sample in dataset.samples:
        sample.picture.write_text("text")
    found = segmenter.evaluate(dataset)
    assert (found.pictures, found.images_per_second, len(found.failed)) == (0, 0, 6)
    data = to_data(found)
    assert data["mean_iou"] is None
    assert {row["iou"] for row in data["classes"]} == {None}
    assert "mean IoU - %" in table(found)


def test_more_pictures_can_be_added_to_a_limited_evaluation_but_none_taken_away(
    segmenter: Segmenter, dataset: Dataset, tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    assert segmenter.evaluate(dataset, state=state, limit=2).pictures == 2
    assert segmenter.evaluate(dataset, state=state, limit=4).pictures == 4
    with pytest.raises(EvaluationError, match="counted 4 pictures already"):
        segmenter.evaluate(dataset, state=state, limit=3)
    assert equal(segmenter.evaluate(dataset, state=state), segmenter.evaluate(dataset))
    assert segmenter.evaluate(dataset, limit=99).pictures == 6
    with pytest.raises(ValueError, match="limit is 0"):
        segmenter.evaluate(dataset, limit=0)


def test_other_numbers_of_classes_are_refused(segmenter: Segmenter, dataset: Dataset) -> None:
    other = replace(dataset, classes=dataset.classes[:10])
    with pytest.raises(EvaluationError, match=r"11 classes \(sky, .*, camvid has 10"):
        segmenter.evaluate(other, ignore_names=True)


def test_other_names_are_refused_unless_they_are_said_to_mean_the_same(
    segmenter: Segmenter, dataset: Dataset
) -> None:
    other = replace(dataset, classes=numbered_classes(CLASSES))
    with pytest.raises(EvaluationError, match=r"11 of 11 classes .* 0 is 'sky' and 'class 0'"):
        segmenter.evaluate(other)
    assert equal(segmenter.evaluate(other, ignore_names=True), segmenter.evaluate(dataset))
    swapped = (dataset.classes[1], dataset.classes[0], *dataset.classes[2:])
    with pytest.raises(EvaluationError, match=r"2 of 11 .* the same names in another order"):
        segmenter.evaluate(replace(dataset, classes=swapped))


def test_parts_without_labels_or_pictures_are_refused(
    segmenter: Segmenter, dataset: Dataset
) -> None:
    bare = tuple(replace(sample, label=None) for sample in dataset.samples)
    with pytest.raises(EvaluationError, match="6 of 6 pictures have no labels"):
        segmenter.evaluate(replace(dataset, samples=bare))
    with pytest.raises(EvaluationError, match="0 of 0"):
        segmenter.evaluate(replace(dataset, samples=()))


@pytest.mark.parametrize("name", ["../p0", "a/../../p0", "/p0"])
def test_names_that_would_leave_the_folder_of_predictions_are_refused(
    segmenter: Segmenter, dataset: Dataset, tmp_path: Path, name: str
) -> None:
    strange = (replace(dataset.samples[0], name=name), *dataset.samples[1:])
    with pytest.raises(EvaluationError, match="lead out of the folder"):
        segmenter.evaluate(replace(dataset, samples=strange), predictions=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_predictions_are_not_written_among_files_of_others(
    segmenter: Segmenter, dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "p0.png").write_text("mine")
    with pytest.raises(EvaluationError, match=r"not empty and holds no evaluation\.json"):
        segmenter.evaluate(dataset, predictions=tmp_path / "out")
    assert (tmp_path / "out" / "p0.png").read_text() == "mine"
    with pytest.raises(ValueError, match="not both"):
        segmenter.evaluate(dataset, predictions=tmp_path / "new", state=tmp_path / "state")
