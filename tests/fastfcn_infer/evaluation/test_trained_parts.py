"""A model is scored on what it was trained on only where that is asked for, and then with a warning."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from camvid_tree import camvid_model, camvid_tree
from dataset_trees import write_list
from fastfcn_infer import Segmenter, open_dataset
from fastfcn_infer.artifact.manifest import Model, TrainedOn
from fastfcn_infer.data.trained_on import describe_training
from fastfcn_infer.errors import DatasetError, EvaluationError
from fastfcn_infer.evaluation.report import table, to_data
from fastfcn_infer.evaluation.trained_parts import open_default_part, trained_warnings
from models import tiny_artifact


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split in ("train", "val", "test"):
        camvid_tree(tmp_path / "camvid", split=split, pictures=2)
    return tmp_path / "camvid"


def trained(*parts: str) -> Model:
    return replace(camvid_model(), trained_on=(TrainedOn("camvid", parts),) if parts else ())


@pytest.fixture
def segmenter(tmp_path: Path) -> Iterator[Segmenter]:
    tiny_artifact(tmp_path / "tiny", trained("trainval"))
    with Segmenter.from_pretrained(tmp_path / "tiny", backend="onnx_runtime") as opened:
        yield opened


@pytest.mark.parametrize("split", ["train", "val", "trainval"])
def test_parts_that_were_trained_on_are_refused_and_the_option_is_named(
    segmenter: Segmenter, root: Path, split: str, tmp_path: Path
) -> None:
    for each in ("train", "val"):  # in trainval a name may occur only once
        shutil.rmtree(root / "images" / each)
        shutil.rmtree(root / "labels" / each)
    camvid_tree(root, split="train", pictures=1)
    camvid_tree(root, split="val", pictures=2)
    (root / "images/val/p0.png").unlink()
    dataset = open_dataset("camvid", root, split)
    with pytest.raises(EvaluationError, match=r"trained on camvid, part .*--allow-trained"):
        segmenter.evaluate(dataset, predictions=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    found = segmenter.evaluate(dataset, allow_trained=True)
    assert found.trained
    assert table(found).splitlines()[-1].startswith("WARNING: the model was trained on camvid")
    data = to_data(found)
    assert data["trained_on"] is True
    assert "trained on camvid" in data["warnings"][0]


def test_parts_that_were_not_trained_on_are_scored_without_a_warning(
    segmenter: Segmenter, root: Path
) -> None:
    data = to_data(segmenter.evaluate(open_dataset("camvid", root, "test")))
    # The pictures of all parts are the same here: only the names of the parts differ.
    assert (data["trained_on"], data["warnings"]) == (False, [])


def test_whether_a_model_that_does_not_say_was_trained_on_the_pictures_is_unknown(
    tmp_path: Path, root: Path
) -> None:
    tiny_artifact(tmp_path / "silent", trained())
    with Segmenter.from_pretrained(tmp_path / "silent", backend="onnx_runtime") as segmenter:
        data = to_data(segmenter.evaluate(open_dataset("camvid", root, "val")))
    assert (data["trained_on"], data["warnings"]) == (None, [])


def test_the_users_own_training_pictures_are_refused_in_another_folder(
    tmp_path: Path, root: Path
) -> None:
    model = replace(
        camvid_model(), trained_on=describe_training(open_dataset("camvid", root, "val"))
    )
    mine = tmp_path / "mine"
    shutil.copytree(root / "images/val", mine / "a")
    (mine / "classes.json").write_text('[{"name": "a", "color": [0, 0, 0]}]')
    write_list(mine / "b.txt", ["a/p0.png"])
    dataset = open_dataset("listed", mine, "b")
    with pytest.raises(EvaluationError, match=r"of listed, part b, known by their content: a/p0"):
        trained_warnings(model, dataset, dataset.samples, allowed=False)
    assert len(trained_warnings(model, dataset, dataset.samples, allowed=True)) == 1
    assert trained_warnings(model, dataset, (), allowed=False) == ()


@pytest.mark.parametrize(
    ("parts", "expected"),
    [((), "val"), (("train",), "val"), (("train", "val"), "test"), (("trainval",), "test")],
)
def test_the_default_part_is_one_that_was_not_trained_on(
    root: Path, parts: tuple[str, ...], expected: str
) -> None:
    found = open_default_part(
        trained(*parts), "camvid", lambda split: open_dataset("camvid", root, split)
    )
    assert found.split == expected


def test_without_such_a_part_the_user_has_to_name_one(root: Path) -> None:
    with pytest.raises(EvaluationError, match="Name the part to score with --split"):
        open_default_part(
            trained("trainval", "test"),
            "camvid",
            lambda split: open_dataset("camvid", root, split),
        )
    model = replace(trained(), trained_on=(TrainedOn("voc", ("trainval",)),))
    with pytest.raises(EvaluationError, match="was trained on voc"):
        open_default_part(model, "voc", lambda split: open_dataset("voc", root, split))


def test_a_missing_default_part_is_an_error_and_no_other_is_taken_for_it(root: Path) -> None:
    shutil.rmtree(root / "images/val")
    with pytest.raises(DatasetError, match="images/val cannot be read"):
        open_default_part(trained(), "camvid", lambda split: open_dataset("camvid", root, split))
