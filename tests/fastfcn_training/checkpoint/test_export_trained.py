from pathlib import Path

import numpy as np
import pytest

from camvid_tree import CLASSES, VOID, write_png
from fastfcn_export.network.choice import NetworkChoice
from fastfcn_infer import Segmenter
from fastfcn_infer.artifact.class_table import class_table
from fastfcn_infer.artifact.procedure import Resize
from fastfcn_infer.data.dataset import open_dataset
from fastfcn_infer.data.trained_on import describe_training
from fastfcn_infer.errors import CheckpointError, EvaluationError
from fastfcn_infer.inference.replay import replay
from fastfcn_training.checkpoint.export_trained import check_export, export_trained, final_weights
from fastfcn_training.recipe.recipe import Augmentation, Data, Losses, Optimiser, Recipe, Schedule
from trained_files import trained, write_trained

pytest.importorskip("onnxruntime")

NETWORK = NetworkChoice(
    backbone="resnet18",
    form="vd",
    backbone_width=8,
    jpu_width=16,
    head_width=16,
    codes=4,
    auxiliary_width=8,
    family="paddleseg",
)


def streets(root: Path, pictures: int) -> None:
    """Fill a part with pictures of four stripes in their classes' colours; some pixels have none."""
    colours = np.array([info.color for info in class_table("camvid")]) // 2
    for index in range(pictures):
        random = np.random.default_rng(index)
        size = (70 + 7 * index, 110 - 5 * index)
        shown = random.permutation(CLASSES)[:4]
        labels = np.repeat(shown, -(-size[0] // 4))[: size[0], None].repeat(size[1], 1)
        pixels = colours[labels] + random.integers(0, 100, (*size, 3))
        labels = np.where(random.random(size) < 0.02, VOID, labels)
        for folder, array in (("images", pixels), ("labels", labels)):
            (root / folder / "train").mkdir(parents=True, exist_ok=True)
            write_png(root / folder / "train" / f"{index}.png", array.astype(np.uint8))


@pytest.mark.parametrize("resize", [None, Resize("short_side", 97, align_corners=False)])
def test_the_artifact_scores_on_a_data_set_what_the_training_network_scores(
    tmp_path: Path, resize: Resize | None
) -> None:
    pytest.importorskip("paddle")
    from fastfcn_training.loop.log import TrainingLog
    from fastfcn_training.loop.trainer import Trainer, TrainerOptions
    from fastfcn_training.paddle_setup.distributed import ProcessGroup

    root, run = tmp_path / "camvid", tmp_path / "run"
    streets(root, 5)
    recipe = Recipe(
        data=Data("camvid", "train", "train"),
        iterations=40,
        batch=4,
        network=NETWORK,
        augmentation=Augmentation(resize=None, crop=(64, 64), blur=0.0),
        losses=Losses(auxiliary=0.4),
        optimiser=Optimiser(kind="adamw", head_factor=1.0),
        schedule=Schedule(rate=0.01, kind="constant"),
        align_corners=False,
        convention="fastfcn",
        resize=resize,
    )
    data = open_dataset("camvid", root, "train")
    with TrainingLog(None, visible=False) as log:
        trainer = Trainer(recipe, data, data, TrainerOptions(run, workers=0), ProcessGroup())
        scores = trainer.run(log)
    assert scores is not None
    assert scores.mean_iou > 0.2  # it learned something: labels are no accident of rounding
    manifest = export_trained(run, tmp_path / "model")
    assert manifest.model.classes == class_table("camvid")
    assert manifest.model.procedure.resize == resize
    assert manifest.model.trained_on == describe_training(data)
    with Segmenter.from_pretrained(tmp_path / "model", device="cpu") as segmenter:
        with pytest.raises(EvaluationError, match="was trained on camvid, part train"):
            segmenter.evaluate(data)
        found = segmenter.evaluate(data, allow_trained=True)
        assert replay(segmenter).passed
    assert found.convention == "fastfcn"
    assert found.pictures == 5
    assert abs(found.scores.mean_iou - scores.mean_iou) <= 1e-4
    assert abs(found.scores.pixel_accuracy - scores.pixel_accuracy) <= 1e-4


def test_the_final_weights_are_the_best_or_without_validation_the_last(
    tmp_path: Path,
) -> None:
    with pytest.raises(CheckpointError, match="neither best"):
        final_weights(tmp_path)
    last = write_trained(tmp_path / "model.safetensors")
    assert final_weights(tmp_path) == last
    best = write_trained(tmp_path / "best.safetensors")
    assert final_weights(tmp_path) == best


def test_an_exported_run_names_the_file_and_the_classes_it_was_made_of(tmp_path: Path) -> None:
    write_trained(tmp_path / "model.safetensors")
    stages: list[str] = []
    manifest = export_trained(tmp_path, tmp_path / "out", report=stages.append)
    assert manifest.source.name == "model.safetensors"
    assert manifest.model.classes == trained().classes
    assert stages == ["read", "write onnx", "verify onnx", "seal"]


def test_what_an_export_needs_is_checked_before_the_training(tmp_path: Path) -> None:
    check_export(tmp_path / "new", ["onnx"], tmp_path / "run")
    with pytest.raises(ValueError, match="unknown format tflite"):
        check_export(tmp_path / "new", ["onnx", "tflite"], tmp_path / "run")
    for folder in (
        ".",
        "run",
        "run/checkpoints",
        "run/checkpoints/000002",
        "run/best.safetensors",
    ):
        with pytest.raises((ValueError, FileExistsError), match="choose another folder"):
            check_export(tmp_path / folder, ["onnx"], tmp_path / "run")
    with pytest.raises(ValueError, match=r"is where the training writes to.*run/artifact"):
        check_export(tmp_path / "a" / "b", ["onnx"], tmp_path / "a" / "b" / "run")
    check_export(tmp_path / "run" / "artifact", ["onnx"], tmp_path / "run")
    with pytest.raises(FileExistsError, match="choose another folder"):
        check_export(tmp_path, ["onnx"], tmp_path / "run")
