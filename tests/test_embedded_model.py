"""The model in the package: complete, small, verified, and as good as its card says."""

import json

import numpy as np
import pytest

from command_line import EMBEDDED, PHOTOGRAPH, ROOT
from fastfcn_infer.artifact.artifact import Artifact, open_artifact
from fastfcn_infer.artifact.class_table import class_table
from fastfcn_infer.artifact.onnx_metadata import read_model_of
from fastfcn_infer.data.dataset import open_dataset
from fastfcn_infer.data.trained_on import describe_training, recognised
from fastfcn_infer.segmenter import Segmenter

CARD = EMBEDDED.with_name(f"{EMBEDDED.name}.md")
ACCURACY = json.loads((ROOT / "benchmarks" / "results" / "accuracy.json").read_text())
CAMVID = ROOT.parent / "shared" / "data" / "camvid"


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return open_artifact(EMBEDDED)


def test_it_is_small_enough_for_the_wheel() -> None:
    files = [path for path in EMBEDDED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 15e6


def test_it_is_proven_equal_to_the_network_that_was_trained(artifact: Artifact) -> None:
    assert artifact.manifest is not None
    assert artifact.manifest.verification is not None
    assert artifact.manifest.verification.label_agreement >= 0.999
    assert artifact.model.network.dialect == "fastfcn"
    assert artifact.model.classes == class_table("camvid")


def test_its_manifest_and_its_card_say_what_it_was_trained_on(artifact: Artifact) -> None:
    (trained,) = artifact.model.trained_on
    assert (trained.dataset, trained.parts, trained.pictures) == ("camvid", ("train", "val"), 468)
    assert read_model_of(EMBEDDED / "model.onnx").trained_on == (trained,)
    assert "CamVid's train and val parts (468 road" in CARD.read_text(encoding="utf-8")
    assert ACCURACY["split"] not in trained.parts


@pytest.mark.skipif(not CAMVID.is_dir(), reason="CamVid is not there")
def test_its_training_pictures_are_recognised_by_their_content(artifact: Artifact) -> None:
    assert (
        describe_training(open_dataset("camvid", CAMVID, "trainval")) == artifact.model.trained_on
    )
    test = open_dataset("camvid", CAMVID, "test")
    assert recognised(artifact.model.trained_on, test.samples) == ()


def test_its_card_has_the_figures_of_the_committed_evaluation() -> None:
    card = CARD.read_text(encoding="utf-8")
    for info, iou in zip(class_table("camvid"), ACCURACY["iou"].values(), strict=True):
        assert f"| {info.name} | {100 * iou:.1f} |" in card
    for name in ("mean_iou", "pixel_accuracy"):
        assert f"{100 * ACCURACY[name]:.1f} %" in card
    assert ACCURACY["split"] == "test"
    assert ACCURACY["mean_iou"] >= 0.5


def test_its_card_has_the_figures_of_the_committed_evaluations_with_other_procedures() -> None:
    rows = [
        line.strip("| ").split(" | ") for line in CARD.read_text(encoding="utf-8").splitlines()
    ]
    figures = {row[0].strip("`"): row[-2:] for row in rows if row[0].startswith("`--")}
    measured = {"--procedure whole": ACCURACY} | ACCURACY["procedures"]
    for options, scores in measured.items():
        expected = [f"{100 * scores[name]:.1f}" for name in ("mean_iou", "pixel_accuracy")]
        assert figures[options] == expected, options
        assert (scores["pictures"], scores["split"]) == (233, "test")


def test_two_programs_that_share_no_code_measured_the_same() -> None:
    assert max(ACCURACY["differences"].values()) <= 1e-4
    for scores in ACCURACY["procedures"].values():
        assert max(scores["differences"].values()) <= 1e-4


@pytest.mark.skipif(not CAMVID.is_dir(), reason="CamVid is not there")
def test_it_scores_on_the_test_pictures_what_its_card_says() -> None:
    with Segmenter.from_pretrained(device="cpu") as segmenter:
        found = segmenter.evaluate(open_dataset("camvid", CAMVID, "test"))
    assert found.pictures == ACCURACY["pictures"]
    # Runtimes differ in the last digits of logits, and so in a few pixels.
    assert found.scores.mean_iou == pytest.approx(ACCURACY["mean_iou"], abs=1e-4)


def test_a_person_would_agree_with_it_about_the_photograph_of_the_demo() -> None:
    with Segmenter.from_pretrained(threads=1) as segmenter:
        found = segmenter.predict(PHOTOGRAPH)
    names = [info.name for info in class_table("camvid")]
    seen = {  # rows and columns, chosen by eye
        "road": (slice(480, 614), slice(0, 920)),
        "car": (slice(260, 400), slice(370, 590)),
        "building": (slice(0, 180), slice(290, 590)),
        "sky": (slice(20, 80), slice(688, 712)),
    }
    for name, where in seen.items():
        assert np.mean(found.labels[where] == names.index(name)) > 0.9, name
    assert list(found.areas())[:3] == ["road", "building", "car"]
