"""What PaddleSeg's configurations mean, and what of them can be learned here."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fastfcn_export.network.choice import NetworkChoice
from fastfcn_training.recipe.recipe import Augmentation, Data, Losses, Optimiser, Recipe, Schedule
from paddleseg_files import PUBLISHED, changed, plan

# Source: the published configuration, its bases and PaddleSeg's defaults, as recorded in
# reference/fastfcn_semantics.md, 1.1, 5.2, 5.3 and 6.2.
RECIPE = Recipe(
    Data("ade20k", "train", None, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    iterations=120_000,
    batch=4,
    network=NetworkChoice(
        "resnet50",
        "vd",
        backbone_width=64,
        output_stride=8,
        jpu="jpu",
        jpu_width=512,
        head="encnet",
        head_width=512,
        codes=32,
        laterals=True,
        auxiliary=True,
        auxiliary_width=512,
        semantic=True,
        family="paddleseg",
    ),
    augmentation=Augmentation(
        "scale",
        scales=(0.5, 2.0),
        scale_step=0.25,
        crop=(480, 480),
        padding=(0.5, 0.5, 0.5),
        padding_label=None,
        mirror=0.5,
        mirror_last=True,
        blur=0.0,
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=18 * 360 / 256,
    ),
    losses=Losses(0.4, 0.2, (), "valid"),
    optimiser=Optimiser("sgd", 0.9, 4e-5, 1.0, None),
    schedule=Schedule("poly", 0.01, 0.0, 0.9),
    seed=0,
    precision="fp32",
    align_corners=False,
    validation_every=0,
    save_every=1000,
    convention="paddleseg",
)
CROP = "train_dataset__transforms__1"


def recipe(folder: Path, **values: Any) -> Recipe:
    return plan(changed(folder, **values)).recipe


def test_the_published_configuration_is_the_published_training() -> None:
    assert plan(PUBLISHED).recipe == RECIPE


def test_the_crop_is_written_width_first(tmp_path: Path) -> None:
    found = recipe(tmp_path, **{f"{CROP}__crop_size": [1024, 512]})
    assert found.augmentation.crop == (512, 1024)


def test_padding_may_have_a_colour_and_a_label(tmp_path: Path) -> None:
    values = {f"{CROP}__im_padding_value": [0, 51, 255], f"{CROP}__label_padding_value": 7}
    found = recipe(tmp_path, **values).augmentation
    assert (found.padding, found.padding_label) == ((0, 0.2, 1), 7)


def test_a_step_of_0_draws_any_factor(tmp_path: Path) -> None:
    found = recipe(tmp_path, train_dataset__transforms__0__scale_step_size=0)
    assert found.augmentation.scale_step is None


def test_transforms_that_are_not_there_are_not_done(tmp_path: Path) -> None:
    kept = [{"type": "RandomPaddingCrop", "crop_size": [64, 32]}, {"type": "Normalize"}]
    found = recipe(tmp_path, train_dataset__transforms=kept).augmentation
    assert found == Augmentation(
        None, scales=(1, 1), crop=(32, 64), padding=(0.5,) * 3, mirror=0, mirror_last=True, blur=0
    )


def test_mean_and_deviation_may_be_given_for_each_channel(tmp_path: Path) -> None:
    normalize = {"type": "Normalize", "mean": [0.485, 0.456, 0.406], "std": [0.2]}
    data = recipe(tmp_path, train_dataset__transforms__4=normalize).data
    assert data.mean == (0.485, 0.456, 0.406)
    assert data.std == (0.2, 0.2, 0.2)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("sgd", {}, Optimiser("sgd", 0.0, 0.0, 1.0)),
        ("SGD", {"momentum": 0.8}, Optimiser("sgd", 0.8, 0.0, 1.0)),
        ("Momentum", {}, Optimiser("sgd", 0.9, 0.0, 1.0)),
        ("AdamW", {}, Optimiser("adamw", 0.9, 0.01, 1.0)),
        (
            "AdamW",
            {"grad_clip_cfg": {"name": "ClipGradByGlobalNorm", "clip_norm": 5.0}},
            Optimiser("adamw", 0.9, 0.01, 1.0, 5.0),
        ),
    ],
)
def test_optimisers_have_paddleseg_s_defaults(
    tmp_path: Path, kind: str, values: dict[str, Any], expected: Optimiser
) -> None:
    assert recipe(tmp_path, optimizer={"type": kind, **values}).optimiser == expected


def test_a_slower_backbone_is_a_lower_rate_and_faster_heads(tmp_path: Path) -> None:
    slow = [{"name": "backbone", "lr_mult": 0.1}]
    found = recipe(tmp_path, optimizer__custom_cfg=slow, lr_scheduler__end_lr=1e-4)
    assert found.schedule.rate == pytest.approx(0.001)
    assert found.schedule.end == pytest.approx(1e-5)
    assert found.optimiser.head_factor == pytest.approx(10)


def test_a_warm_up_comes_before_the_schedule(tmp_path: Path) -> None:
    found = recipe(tmp_path, lr_scheduler__warmup_iters=500, lr_scheduler__warmup_start_lr=1e-4)
    assert found.schedule == Schedule(
        "poly", 0.01, 0.0, 0.9, warm_up=500, warm_up_from=1e-4, warm_up_apart=True
    )


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"type": "CosineAnnealingDecay", "T_max": 120_000}, Schedule("cos", 0.01)),
        ({"type": "StepDecay", "step_size": 40_000}, Schedule("step", 0.01, step=40_000)),
    ],
)
def test_other_schedules_are_taken(
    tmp_path: Path, section: dict[str, Any], expected: Schedule
) -> None:
    assert recipe(tmp_path, lr_scheduler={**section, "learning_rate": 0.01}).schedule == expected


def test_weights_and_the_average_of_the_losses_are_taken(tmp_path: Path) -> None:
    entropy = {"type": "CrossEntropyLoss", "weight": [1.0, 2.5], "avg_non_ignore": False}
    types = [entropy, entropy, {"type": "SECrossEntropyLoss"}]
    found = recipe(tmp_path, loss={"types": types, "coef": [1, 0.3, 0.1]})
    assert found.losses == Losses(0.3, 0.1, (1.0, 2.5), "all")


def test_a_network_without_extras_has_one_loss(tmp_path: Path) -> None:
    found = recipe(
        tmp_path,
        model__aux_loss=False,
        model__use_se_loss=False,
        model__use_jpu=False,
        loss={"types": [{"type": "CrossEntropyLoss"}], "coef": [1]},
    )
    network = found.network
    assert (network.auxiliary, network.semantic, network.jpu) == (False, False, None)
    assert found.losses == Losses(0, 0)


@pytest.mark.parametrize(
    ("kind", "ours"),
    [("Cityscapes", "cityscapes"), ("PascalContext", "pascal_context_60"), ("PascalVOC", "voc")],
)
def test_data_sets_are_known_by_paddleseg_s_names(tmp_path: Path, kind: str, ours: str) -> None:
    assert recipe(tmp_path, train_dataset__type=kind).data.dataset == ours


def test_lists_of_one_s_own_are_parts_of_a_listed_data_set(tmp_path: Path) -> None:
    shared = {"type": "Dataset", "dataset_root": "data/mine/", "num_classes": 5}
    found = plan(
        changed(
            tmp_path,
            train_dataset__type="Dataset",
            train_dataset__dataset_root="data/mine/",
            train_dataset__train_path="data/mine/a.txt",
            train_dataset__num_classes=5,
            val_dataset={**shared, "mode": "val", "val_path": "./data/mine/b.txt"},
        ),
        do_eval=True,
    )
    assert found.recipe.data == replace(
        RECIPE.data, dataset="listed", split="a", validation_split="b"
    )
    assert (found.run_options["root"], found.classes) == (Path("data/mine"), 5)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "another model": ({"model__type": "OCRNet"}, r'model.type: "OCRNet" is none of FastFCN'),
    "another backbone": ({"model__backbone__type": "HRNet_W18"}, "model.backbone.type"),
    "a transform": ({"train_dataset__transforms__0": {"type": "Resize"}}, r"transforms\[0\].type"),
    "the order": (
        {"train_dataset__transforms__0": {"type": "RandomHorizontalFlip"}},
        "in this order: ResizeStepScaling, RandomPaddingCrop",
    ),
    "no crop": ({f"{CROP}": ...}, "RandomPaddingCrop is missing"),
    "no normalisation": ({"train_dataset__transforms__4": ...}, "the last one must be Normalize"),
    "a probability": (
        {"train_dataset__transforms__3__hue_prob": 0.1},
        "hue_prob is 0.1; only 0.5",
    ),
    "sharpness": ({"train_dataset__transforms__3__sharpness_prob": 0.5}, "sharpness_prob is 0.5"),
    "scales": ({"train_dataset__transforms__0__min_scale_factor": 3.0}, "scales is"),
    "hard pixels": ({"loss__types__0__top_k_percent_pixels": 0.2}, "top_k_percent_pixels is 0.2"),
    "other losses": (
        {"loss__types__2": {"type": "CrossEntropyLoss"}},
        "loss.types: .* need CrossEntropyLoss, ",
    ),
    "a loss too few": ({"loss__types__2": ...}, "loss.types: .* need CrossEntropyLoss, "),
    "coefficients": ({"loss__coef": [1, 0.4]}, "loss.coef is .* expected 3 numbers"),
    "the first coefficient": ({"loss__coef": [2, 0.4, 0.2]}, "the first one 1"),
    "a rate as text": ({"lr_scheduler__learning_rate": "fast"}, "learning_rate: float"),
    "no power": ({"lr_scheduler__power": ...}, "lr_scheduler.power: missing"),
    "no optimiser": ({"optimizer": ...}, "optimizer.type: missing; expected sgd"),
    "another length": ({"lr_scheduler__decay_steps": 80_000}, "ends after 80000 iterations"),
    "momentum": ({"optimizer__momentum": 1.5}, "optimizer: momentum is 1.5"),
    "nesterov": ({"optimizer__use_nesterov": True}, "optimizer.use_nesterov: true"),
    "full float16": ({"train__amp_level": "O2"}, 'train.amp_level: "O2"'),
    "windows": ({"test__is_slide": True}, "test.is_slide: true"),
    "classes": (
        {"model__num_classes": 3, "train_dataset__num_classes": 4},
        "num_classes: .* disagree .3 and 4",
    ),
    "sections": ({"model": 3}, "model: expected a mapping, found 3"),
    "a list": ({"loss__types": {"a": 1}}, "loss.types: expected a list"),
    "no length": ({"iters": ...}, "iters: missing"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_an_unsupported_value_is_named(tmp_path: Path, name: str) -> None:
    values, said = FAULTS[name]
    with pytest.raises(
        ValueError, match=re.compile(rf"config\.yml does not describe a training.*{said}", re.S)
    ):
        recipe(tmp_path, **values)


def test_unknown_keys_are_all_named_with_what_is_known_there(tmp_path: Path) -> None:
    path = changed(
        tmp_path,
        surprise=1,
        model__jpu=True,
        model__colour="red",
        model__backbone__depth=50,
        loss__types__1__gamma=2,
        lr_scheduler__warmup=5,
        train_dataset__transforms__0__seed=3,
        train__fast=True,
        **{"global__gpu": 1},
    )
    with pytest.raises(ValueError) as caught:
        plan(path)
    text = str(caught.value)
    for line in (
        "the top of the configuration: unknown keys surprise; known there: iters, batch_size",
        "model: unknown keys jpu, colour; known there: type,",
        "model.backbone: unknown keys depth",
        "loss.types[1]: unknown keys gamma; known there: weight",
        "lr_scheduler: unknown keys warmup",
        "train_dataset.transforms[0]: unknown keys seed",
        "train: unknown keys fast",
        "global: unknown keys gpu",
    ):
        assert line in text


def test_faults_of_all_sections_are_told_at_once(tmp_path: Path) -> None:
    path = changed(tmp_path, loss__coef=[1], lr_scheduler__decay_steps=9, model__num_codes=0)
    with pytest.raises(ValueError) as caught:
        plan(path)
    for part in ("loss.coef", "lr_scheduler ends after 9", "codes is 0"):
        assert part in str(caught.value)
