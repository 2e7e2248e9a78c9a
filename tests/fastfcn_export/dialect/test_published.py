"""The manifest names what the authors publish their scores with, and a run can ask for it by that word."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exports import described, recognised, save_checkpoint, tensors_of
from fastfcn_export import Request, export
from fastfcn_export.dialect.procedure import published
from fastfcn_infer import Procedure, Segmenter
from fastfcn_infer.artifact.class_table import class_table
from fastfcn_infer.artifact.manifest import read_model
from fastfcn_infer.inference.cost import cost
from fastfcn_infer.system import record


def test_the_original_code_publishes_six_scales_with_mirrors_which_stay_optional() -> None:
    model = described(recognised("wuhuikai_encnet"))
    assert model.published == Procedure.preset("fastfcn-ms")
    assert model.procedure.is_whole
    counted = replace(model, network=replace(model.network, multiply_adds=1_000_000))
    whole, multiple = (
        cost(counted, [(512, 683)], each).multiply_adds
        for each in (counted.procedure, counted.published)
    )
    assert whole is not None
    assert multiple is not None
    assert multiple > 4 * whole


def test_cityscapes_has_its_own_scales_and_sizes() -> None:
    names = class_table("cityscapes")
    model = replace(described(recognised("wuhuikai_encnet")), classes=names)
    found = published(recognised("wuhuikai_encnet"), model)
    assert found is not None
    assert found.scales == (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25)
    fitted = published(recognised("mmseg_encnet"), replace(model, classes=names))
    assert fitted is not None
    assert fitted.resize is not None
    assert fitted.resize.limit == 1024


@pytest.mark.parametrize(
    ("case", "kind"),
    [("mmseg_encnet", "mmseg"), ("paddleseg_os32", None), ("ncpaddle_fcn", None)],
)
def test_other_authors_see_the_whole_picture_once(case: str, kind: str | None) -> None:
    found = described(recognised(case)).published
    assert (None if found is None else found.kind) == kind


@pytest.mark.parametrize("output", ["labels", "probabilities"])
def test_graphs_that_cannot_give_it_name_none(output: str) -> None:
    assert described(recognised("wuhuikai_encnet"), output=output).published is None  # type: ignore[arg-type] # both are outputs


def test_it_is_chosen_by_its_word_and_survives_the_artifact(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    checkpoint = save_checkpoint(tmp_path, "wuhuikai", tensors_of("wuhuikai_fcn"))
    export(checkpoint, tmp_path / "out", Request(verify=False))
    picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    with Segmenter.from_pretrained(tmp_path / "out") as segmenter:
        asked = segmenter.predict(picture, procedure="published")
        named = segmenter.predict(picture, procedure="fastfcn-ms")
        assert read_model(record.to_json(segmenter.model), "it").published == Procedure.preset(
            "fastfcn-ms"
        )
    assert (asked.labels == named.labels).all()
    assert asked.provenance["procedure"] == "fastfcn-ms"


def test_a_model_without_one_says_so() -> None:
    pytest.importorskip("onnxruntime")
    with (
        Segmenter.from_pretrained() as segmenter,
        pytest.raises(ValueError, match="names no published procedure beside its own, whole"),
    ):
        segmenter.predict(np.zeros((40, 40, 3), np.uint8), procedure="published")
