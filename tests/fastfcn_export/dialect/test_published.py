"""The manifest names the procedure of the authors' published scores: as the default, or if it is costly apart."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from exports import described, recognised, save_checkpoint, tensors_of
from fastfcn_export import Request, describe_checkpoint, export
from fastfcn_export.description import description_text
from fastfcn_export.dialect.changes import Changes, changed
from fastfcn_export.dialect.dialect import Recognised
from fastfcn_export.dialect.procedure import with_authors_procedure
from fastfcn_export.target.target import Options
from fastfcn_export.target.targets import reference
from fastfcn_infer import Procedure, Segmenter, Windows
from fastfcn_infer.artifact.class_table import class_table
from fastfcn_infer.artifact.manifest import Model, read_model
from fastfcn_infer.artifact.procedure import Resize
from fastfcn_infer.inference.cost import cost
from fastfcn_infer.inference.views import plan
from fastfcn_infer.system import record
from models import tiny_artifact, tiny_model
from networks import CASES
from one_logit import save_with_one_logit

FITTED = Resize("fit", 2048, align_corners=False, limit=512)


def costs(model: Model, procedure: Procedure) -> float:
    """How many times the whole picture once a procedure costs, by the multiply-adds of a picture of ADE20K."""
    counted = replace(model, network=replace(model.network, multiply_adds=1_000_000_000))
    whole = Procedure("whole", model.procedure.resize)
    found, once = (cost(counted, [(512, 683)], one).multiply_adds for one in (procedure, whole))
    assert found is not None
    assert once is not None
    return found / once


@pytest.mark.parametrize("case", CASES)
def test_the_default_is_the_authors_unless_it_is_costly_and_then_it_is_named_beside_it(
    case: str,
) -> None:
    model, dialect = described(recognised(case)), CASES[case][0]
    kinds = {"wuhuikai": "whole", "ncpaddle": "whole", "paddleseg": "whole", "mmseg": "mmseg"}
    assert model.procedure.kind == kinds[dialect]
    assert costs(model, model.procedure) <= 4
    if dialect == "wuhuikai":
        assert model.published == Procedure.preset("fastfcn-ms")
        assert costs(model, model.published) > 4
    else:
        assert model.published is None
    if dialect == "mmseg":
        assert model.procedure == Procedure.preset("mmseg")
    assert read_model(record.to_json(model), "it") == model


def test_cityscapes_has_its_own_scales_and_sizes() -> None:
    names = class_table("cityscapes")
    found = named(recognised("wuhuikai_encnet"), names).published
    assert found is not None
    assert found.scales == (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25)
    fitted = named(recognised("mmseg_encnet"), names)
    assert fitted.published is None
    assert fitted.procedure == Procedure(
        "custom", replace(FITTED, limit=1024), align_corners=False, twice=True
    )


def named(network: Recognised, classes: Any) -> Model:
    """Describe a network with other names of classes."""
    whole = Procedure("whole", network.resize("cityscapes"))
    plain = replace(described(network), classes=classes, procedure=whole, published=None)
    return with_authors_procedure(network, plain)


@pytest.mark.parametrize(
    ("stride", "is_default"), [(448, True), (200, True), (128, True), (100, False)]
)
def test_one_scale_in_windows_is_the_default_up_to_four_times_the_cost(
    stride: int, is_default: bool
) -> None:
    network = recognised("paddleseg_os32")
    windows = Procedure(windows=Windows(448, stride=stride))
    network = replace(network, evaluation=lambda classes, whole: windows)
    model = described(network)
    assert (costs(model, windows) <= 4) == is_default
    assert (model.procedure == windows) == is_default
    assert (model.published == windows) != is_default


def test_several_scales_are_never_the_default_however_cheap() -> None:
    cheap = Procedure(scales=(0.25, 0.5))
    network = replace(recognised("paddleseg_os32"), evaluation=lambda classes, whole: cheap)
    model = described(network)
    assert model.procedure == Procedure("whole")
    assert model.published == cheap


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("short_side:300", Procedure(resize=Resize("short_side", 300, False), twice=True)),
        ("fit:2048x512", Procedure.preset("mmseg")),
        ("none", Procedure("whole")),
    ],
)
def test_a_size_that_the_user_says_keeps_the_two_steps_of_mmsegmentation(
    rule: str, expected: Procedure
) -> None:
    network = changed(recognised("mmseg_encnet"), Changes(resize=rule), "the user")
    model = described(network)
    assert (model.procedure, model.published) == (expected, None)


def test_a_size_that_the_user_says_is_not_that_of_the_original_code_s_scales() -> None:
    network = recognised("wuhuikai_encnet")
    model = described(changed(network, Changes(resize="long_side:400"), "the user"))
    assert model.procedure == Procedure("whole", Resize("long_side", 400, align_corners=True))
    assert model.published is None
    same = described(changed(network, Changes(resize="long_side:520"), "the user"))
    assert same.published == Procedure.preset("fastfcn-ms")


@pytest.mark.parametrize("output", ["labels", "probabilities"])
@pytest.mark.parametrize("case", ["wuhuikai_encnet", "mmseg_encnet"])
def test_graphs_that_cannot_give_it_see_the_whole_picture_and_say_so(
    case: str, output: Literal["labels", "probabilities"]
) -> None:
    model = described(recognised(case), output=output)
    assert model.procedure.is_whole
    assert model.published is None
    (note,) = model.notes
    if output == "labels":
        assert "--output logits keeps the resize" in note
    else:
        steps = ", in two steps as the authors do" if case == "mmseg_encnet" else ""
        assert f"--output logits interpolates logits{steps}; labels may differ" in note


def test_a_fixed_shape_does_not_change_which_procedure_it_is() -> None:
    network = recognised("mmseg_psp")
    model = described(network, options=Options((1, 96, 128)))
    assert model.procedure == Procedure.preset("mmseg")
    for size in ((60, 80), (512, 683), (2000, 100)):  # reduced until they fit, and not refused
        whole = Procedure("whole", model.procedure.resize)
        assert plan(model.procedure, (96, 128), size) == plan(whole, (96, 128), size)


def test_a_dry_run_says_both(tmp_path: Path) -> None:
    shown = {}
    for case in ("mmseg_encnet", "wuhuikai_encnet"):
        folder = tmp_path / case
        folder.mkdir()
        checkpoint = save_checkpoint(folder, CASES[case][0], tensors_of(case))
        shown[case] = description_text(describe_checkpoint(checkpoint))
    assert "logits resized twice, to that size and to the picture's" in shown["mmseg_encnet"]
    assert "published" not in shown["mmseg_encnet"].split("assumed")[0]
    assert "twice" not in shown["wuhuikai_encnet"]
    assert "published with the procedure fastfcn-ms: --procedure published" in shown[
        "wuhuikai_encnet"
    ].replace("\n", " ")


def textbook(case: str, picture: NDArray[np.uint8], *, twice: bool) -> NDArray[np.intp]:
    """Labels of mmsegmentation's whole mode (4.4), by OpenCV's resizes."""
    network = recognised(case)
    height, width = picture.shape[:2]
    factor = min(2048 / max(height, width), 512 / min(height, width))
    size = (int(width * factor + 0.5), int(height * factor + 0.5))
    seen = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR) / 255
    fed = (seen - network.conventions.mean) / network.conventions.std
    batch = np.ascontiguousarray(fed.transpose(2, 0, 1)[None], np.float32)
    logits = reference.logits(network.architecture, network.weights, batch)[0]
    scores = []
    for one in logits.astype(np.float64):
        step = cv2.resize(one, size, interpolation=cv2.INTER_LINEAR) if twice else one
        scores.append(cv2.resize(step, (width, height), interpolation=cv2.INTER_LINEAR))
    return np.asarray(np.stack(scores).argmax(0))


def test_an_exported_checkpoint_of_mmsegmentation_labels_as_its_authors_do(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    checkpoint = save_checkpoint(tmp_path, "mmseg", tensors_of("mmseg_psp"))
    made = export(checkpoint, tmp_path / "out", output_stride=32)
    assert made.model.procedure == Procedure.preset("mmseg")
    picture = np.random.default_rng(5).integers(0, 256, (190, 260, 3), np.uint8)
    with Segmenter.from_pretrained(tmp_path / "out") as segmenter:
        found = segmenter.predict(picture)
        once = segmenter.predict(picture, "whole")
        with pytest.raises(ValueError, match="names no published procedure beside its own, mmseg"):
            segmenter.predict(picture, "published")
    assert found.provenance["procedure"] == "mmseg"
    twice, single = (textbook("mmseg_psp", picture, twice=steps) for steps in (True, False))
    for labels, same, other in ((found.labels, twice, single), (once.labels, single, twice)):
        assert (labels != same).mean() < 0.0001 < (labels != other).mean()


def test_one_logit_of_mmsegmentation_is_resized_twice_too(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    checkpoint = save_with_one_logit("mmseg_psp", tmp_path / "in")
    made = export(checkpoint, tmp_path / "out", threshold=0.3)
    assert made.model.procedure == Procedure.preset("mmseg")
    assert made.verification is not None
    assert made.verification.label_agreement > 0.999


def test_an_artifact_that_was_made_before_keeps_its_default_and_its_published_one(
    tmp_path: Path,
) -> None:
    pytest.importorskip("onnxruntime")
    resize = Resize("short_side", 40, align_corners=False)
    whole, twice = Procedure("whole", resize), Procedure("custom", resize, twice=True)
    tiny_artifact(tmp_path, replace(tiny_model(), procedure=whole, published=twice))
    picture = np.random.default_rng(5).integers(0, 256, (90, 110, 3), np.uint8)
    with Segmenter.from_pretrained(tmp_path) as segmenter:
        found = {word: segmenter.predict(picture, word) for word in (None, "whole", "published")}
        named = segmenter.predict(picture, twice)
    assert [one.provenance["procedure"] for one in found.values()] == ["whole", "whole", "custom"]
    assert (found[None].labels == found["whole"].labels).all()
    assert (found["published"].labels == named.labels).all()
    assert (found[None].labels != named.labels).any()


def test_it_is_chosen_by_its_word_and_survives_the_artifact(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    checkpoint = save_checkpoint(tmp_path, "wuhuikai", tensors_of("wuhuikai_fcn"))
    export(checkpoint, tmp_path / "out", Request(verify=False))
    picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    with Segmenter.from_pretrained(tmp_path / "out") as segmenter:
        asked = segmenter.predict(picture, procedure="published")
        named = segmenter.predict(picture, procedure="fastfcn-ms")
    assert (asked.labels == named.labels).all()
    assert asked.provenance["procedure"] == "fastfcn-ms"


def test_a_model_without_one_says_so() -> None:
    pytest.importorskip("onnxruntime")
    with (
        Segmenter.from_pretrained() as segmenter,
        pytest.raises(ValueError, match="names no published procedure beside its own, whole"),
    ):
        segmenter.predict(np.zeros((40, 40, 3), np.uint8), procedure="published")
