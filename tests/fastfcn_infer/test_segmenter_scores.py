"""Scores, groups and certain pixels, as `Segmenter` gives them for pictures, batches and streams."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.manifest import Model, Output
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.runtime.backend import RuntimeFacts
from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact, tiny_model, tiny_output

PICTURES = list(np.random.default_rng(3).integers(0, 256, (3, 60, 70, 3), np.uint8))
GROUPS = {"both": ["class 1", "class 3"]}


class Processor:
    facts = RuntimeFacts("onnx_runtime", "none", "cpu", 1, {})

    def __init__(self) -> None:
        self.calls = 0

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        self.calls += 1
        return tiny_output(batch, 5)

    def close(self) -> None:
        pass


def opened(folder: Path, model: Model | None = None) -> Segmenter:
    tiny_artifact(folder / "tiny", model or tiny_model(5))
    return Segmenter(open_artifact(folder / "tiny"), Processor())


def test_batches_and_streams_keep_the_scores_that_a_single_picture_keeps(tmp_path: Path) -> None:
    segmenter = opened(tmp_path)
    for procedure in (None, "paddleseg-ms-flip"):
        batch = segmenter.predict_batch(PICTURES, procedure, keep="scores")
        stream = segmenter.stream(PICTURES, procedure, keep="scores")
        for picture, one, other in zip(PICTURES, batch, stream, strict=True):
            alone = segmenter.predict(picture, procedure, keep="scores")
            for found in (one, other):
                assert isinstance(found, Segmentation)
                np.testing.assert_array_equal(found.labels, alone.labels)
                np.testing.assert_array_equal(found.confidence(), alone.confidence())
    assert segmenter.predict(PICTURES[0]).scores is None


def test_groups_and_certain_pixels_are_those_of_the_kept_result(tmp_path: Path) -> None:
    segmenter = opened(tmp_path)
    kept = segmenter.predict(PICTURES[0], keep="scores")
    expected = kept.relabel(groups=GROUPS, min_confidence=0.7)
    options: dict[str, Any] = {"groups": GROUPS, "min_confidence": 0.7}
    alone = segmenter.predict(PICTURES[0], **options)
    (batched,) = segmenter.predict_batch(PICTURES[:1], **options)
    (streamed,) = segmenter.stream(PICTURES[:1], **options)
    for found in (alone, batched, streamed):
        assert isinstance(found, Segmentation)
        np.testing.assert_array_equal(found.labels, expected.labels)
        assert found.names == ("class 0", "both", "class 2", "class 4")
        assert found.scores is None
        assert found.ignore_label == 255
        assert (found.labels == 255).any()
        assert found.provenance == {
            **segmenter.provenance,
            "groups": '{"both": ["class 1", "class 3"]}',
            "min_confidence": "0.7",
        }
    assert segmenter.predict(PICTURES[0], keep="scores", **options).scores is not None


def test_what_does_not_fit_is_refused_before_the_network_runs(tmp_path: Path) -> None:
    backend = Processor()
    tiny_artifact(tmp_path / "tiny", tiny_model(5))
    segmenter = Segmenter(open_artifact(tmp_path / "tiny"), backend)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"keep": "logits"}, "keep is 'logits'; \"scores\""),
        ({"min_confidence": 60}, "min_confidence is 60"),
        ({"groups": {"a": ["class 8"]}}, "no class 'class 8'"),
    ]
    for options, said in wrong:
        with pytest.raises(ValueError, match=said):
            segmenter.predict(PICTURES[0], **options)
        with pytest.raises(ValueError, match=said):
            segmenter.stream(PICTURES, **options)
    assert backend.calls == 0


def test_a_graph_that_ends_in_labels_has_no_scores_and_the_error_says_which_export_has(
    tmp_path: Path,
) -> None:
    segmenter = opened(tmp_path, replace(tiny_model(5), output=Output("labels", 1)))
    asked: list[dict[str, Any]] = [{"keep": "scores"}, {"min_confidence": 0.5}, {"groups": GROUPS}]
    for options in asked:
        with pytest.raises(ValueError, match=r"--output labels.*Export it with --output logits"):
            segmenter.predict(PICTURES[0], **options)
