"""One picture that cannot be scored is named with its reason, and all others are counted."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from camvid_tree import camvid_artifact, camvid_tree
from fastfcn_infer.data.dataset import Dataset, open_dataset
from fastfcn_infer.errors import BackendError, WriteError
from fastfcn_infer.evaluation.plan import plan
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.segmenter import Segmenter


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return open_dataset("camvid", camvid_tree(tmp_path / "camvid"), "test")


@pytest.fixture
def segmenter(tmp_path: Path) -> Segmenter:
    return Segmenter.from_pretrained(camvid_artifact(tmp_path / "tiny"), threads=1)


def failing_once(real: Callable[..., Any], error: Exception) -> Callable[..., Any]:
    """Fail at the third call."""
    calls = iter(range(1000))

    def call(*given: Any, **options: Any) -> Any:
        if next(calls) == 2:
            raise error
        return real(*given, **options)

    return call


def out_of_memory() -> cv2.error:
    error = cv2.error("Insufficient memory (Failed to allocate 9 bytes)")
    error.code = cv2.Error.StsNoMem
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError("Unable to allocate 9 GiB"), "needs more memory than there is"),
        (out_of_memory(), "needs more memory than there is"),
        (BackendError("the runtime refused it"), "the runtime refused it"),
    ],
)
def test_a_picture_that_is_too_much_or_refused_is_named_and_counted_when_it_goes_well_again(
    segmenter: Segmenter,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    words: str,
) -> None:
    whole = segmenter.evaluate(dataset)
    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "predict", failing_once(Segmenter.predict, error))
        found = segmenter.evaluate(dataset, state=tmp_path / "state.json")
    assert (found.pictures, list(found.failed)) == (5, ["p2"])
    assert words in found.failed["p2"]
    again = segmenter.evaluate(dataset, state=tmp_path / "state.json")
    assert (again.pictures, again.failed) == (6, {})
    assert (again.confusion.counts == whole.confusion.counts).all()


def test_a_prediction_that_cannot_be_written_is_named_but_a_full_disk_ends_the_run(
    segmenter: Segmenter, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = WriteError(errno.EIO, "Input/output error", "p2.png")
    with monkeypatch.context() as patch:
        patch.setattr(Segmentation, "save", failing_once(Segmentation.save, broken))
        found = segmenter.evaluate(dataset, predictions=tmp_path / "out")
    assert (found.pictures, list(found.failed)) == (5, ["p2"])
    assert "p2.png cannot be written" in found.failed["p2"]
    full = WriteError(errno.ENOSPC, "No space left on device", "p2.png")
    with monkeypatch.context() as patch:
        patch.setattr(Segmentation, "save", failing_once(Segmentation.save, full))
        with pytest.raises(WriteError):
            segmenter.evaluate(dataset, predictions=tmp_path / "other")
    assert plan(segmenter, dataset, predictions=tmp_path / "other").tally.counted == 2


def test_opencvs_lack_of_memory_is_pythons(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise out_of_memory()

    monkeypatch.setattr(cv2, "resize", fail)
    monkeypatch.setattr(cv2, "sepFilter2D", fail)
    picture = np.random.default_rng(0).integers(0, 256, (64, 48, 3)).astype(np.uint8)
    with pytest.raises((MemoryError, ValueError), match="memory"):
        segmenter(picture, procedure="paddleseg-ms-flip")
