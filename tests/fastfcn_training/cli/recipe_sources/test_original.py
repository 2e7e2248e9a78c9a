"""The flags of the original code: what they mean, against the tables of its ``option.py``."""

import argparse
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from fastfcn_export.network.choice import NetworkChoice
from fastfcn_infer.data.dataset import layout
from fastfcn_training.cli.overrides import Overrides
from fastfcn_training.cli.recipe_source import Context, Plan
from fastfcn_training.cli.recipe_sources import original
from fastfcn_training.recipe.recipe import Augmentation, Data, Losses, Optimiser, Recipe, Schedule

NONE = Overrides()

# Source: option.py of the original (reference/fastfcn_semantics.md, 5.3 and 6.1).
# Name -> name here, part, epochs, rate of a batch of 16.
PUBLISHED = {
    "ade20k": ("ade20k", "train", 120, 0.01),
    "citys": ("cityscapes", "train", 240, 0.01),
    "pascal_voc": ("voc", "train", 50, 0.0001),
    "pascal_aug": ("voc", "trainaug", 50, 0.001),
    "pcontext": ("pascal_context_59", "train", 80, 0.001),
}


def count(name: str, root: Path, split: str) -> int:
    return layout(name).SPLITS[split]


def plan(
    *,
    overrides: Overrides = NONE,
    world: int = 1,
    count: Callable[[str, Path, str], int] = count,
    **said: Any,
) -> Plan:
    context = Context(count, Path("data"), world)
    return original.plan(original.Options(**said), overrides, context)


def said(*words: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS, exit_on_error=False)
    original.add_arguments(parser.add_argument_group("flags"))
    return vars(parser.parse_args(words))


def test_the_published_command_is_the_published_training() -> None:
    words = "--dataset ade20k --model encnet --jpu JPU --aux --se-loss --backbone resnet50"
    found = plan(**said(*words.split(), "--checkname", "mine"))
    assert found.recipe == Recipe(
        Data("ade20k", "train", "val", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        iterations=120 * (20210 // 16),
        batch=16,
        network=NetworkChoice(
            "resnet50",
            "deep",
            output_stride=32,
            jpu="jpu",
            head="encnet",
            auxiliary=True,
            semantic=True,
            family="wuhuikai",
        ),
        augmentation=Augmentation(
            "short_side",
            520,
            (0.5, 2.0),
            rotation=0,
            crop=(480, 480),
            padding=(0, 0, 0),
            padding_label=None,
            mirror=0.5,
            mirror_last=False,
            blur=0.5,
        ),
        losses=Losses(0.2, 0.2, (), "valid"),
        optimiser=Optimiser("sgd", 0.9, 1e-4, 10.0, None),
        schedule=Schedule("poly", 0.01, 0.0, 0.9),
        accumulate=1,
        seed=1,
        precision="fp32",
        align_corners=True,
        validation_every=20210 // 16,
        save_every=20210 // 16,
        convention="fastfcn",
    )
    assert found.run_options["run"] == Path("runs/ade20k/encnet/mine")


@pytest.mark.parametrize("name", PUBLISHED)
def test_lengths_and_rates_are_those_of_the_original_s_tables(name: str) -> None:
    ours, split, epochs, rate = PUBLISHED[name]
    recipe = plan(dataset=name).recipe
    assert (recipe.data.dataset, recipe.data.split) == (ours, split)
    assert recipe.iterations == epochs * (layout(ours).SPLITS[split] // 16)
    assert recipe.schedule.rate == pytest.approx(rate)


def test_the_rate_grows_with_the_pictures_of_a_step_unless_it_is_given() -> None:
    assert plan(batch_size=4).recipe.schedule.rate == pytest.approx(0.0025)
    grown = plan(batch_size=4, overrides=Overrides(accumulate=8))
    assert grown.recipe.schedule.rate == pytest.approx(0.02)
    assert plan(batch_size=4, lr=0.3).recipe.schedule.rate == 0.3


def test_batches_that_are_accumulated_make_fewer_steps_of_an_epoch() -> None:
    recipe = plan(overrides=Overrides(accumulate=4), epochs=2).recipe
    assert recipe.iterations == 2 * (20210 // 16 // 4)
    assert recipe.validation_every == 20210 // 16 // 4


def test_the_batch_is_shared_by_the_processes_and_the_length_stays() -> None:
    one, four = plan().recipe, plan(world=4).recipe
    assert four == replace(one, batch=4)


def test_cityscapes_alone_is_turned_and_padding_is_background_in_voc_alone() -> None:
    found = {name: plan(dataset=name).recipe.augmentation for name in PUBLISHED}
    assert {n: a.rotation for n, a in found.items() if a.rotation} == {"citys": 10.0}
    padded = {n: a.padding_label for n, a in found.items() if a.padding_label is not None}
    assert padded == {"pascal_voc": 0, "pascal_aug": 0}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("voc", "pascal_voc"), ("cityscapes", "citys"), ("pascal_context_59", "pcontext")],
)
def test_data_sets_may_be_called_as_they_are_here(ours: str, theirs: str) -> None:
    assert plan(dataset=ours).recipe == plan(dataset=theirs).recipe


@pytest.mark.parametrize(
    ("words", "jpu"),
    [
        ((), None),
        (("--jpu",), "jpu"),  # as in the first versions of the original
        (("--jpu", "JPU"), "jpu"),
        (("--jpu", "JPU_X"), "jpu_x"),
        (("--jpu", "jpu_x"), "jpu_x"),
    ],
)
def test_every_spelling_of_jpu_is_understood(words: tuple[str, ...], jpu: str | None) -> None:
    assert plan(**said(*words)).recipe.network.jpu == jpu


def test_heads_strides_and_laterals_are_taken_over() -> None:
    network = plan(model="psp", dilated=True, backbone="resnet101").recipe.network
    assert (network.head, network.output_stride, network.backbone) == ("psp", 8, "resnet101")
    assert (network.auxiliary, network.semantic, network.jpu) == (False, False, None)
    assert plan(lateral=True, dilated=True).recipe.network.laterals is True


def test_a_step_schedule_counts_epochs() -> None:
    schedule = plan(lr_scheduler="step", lr_step=30).recipe.schedule
    assert (schedule.kind, schedule.step) == ("step", 30 * (20210 // 16))


def test_fine_tuning_on_train_and_val_is_the_published_command() -> None:
    words = "--jpu --aux --se-loss --train-split trainval --lr 0.001 --epochs 20 --ft"
    found = plan(**said(*words.split()))
    assert found.fine_tune
    assert found.recipe.data == Data("ade20k", "trainval", "val")
    assert found.recipe.iterations == 20 * (22210 // 16)
    assert found.recipe.schedule.rate == 0.001
    assert any("val is also trained on" in note for note in found.notes)


def test_no_val_and_no_cuda_do_what_they_say() -> None:
    found = plan(no_val=True, no_cuda=True)
    assert found.recipe.data.validation_split is None
    assert found.run_options["device"] == "cpu"
    assert "device" not in plan().run_options


def test_what_has_no_effect_is_said() -> None:
    assert any("--test-batch-size" in note for note in plan(test_batch_size=4).notes)


def test_the_paddle_port_has_a_plain_stem_and_one_rate() -> None:
    recipe = plan(family="ncpaddle", jpu="jpu", aux=True, se_loss=True).recipe
    assert (recipe.network.form, recipe.network.family) == ("plain", "ncpaddle")
    assert recipe.optimiser.head_factor == 1


def test_a_data_set_without_published_numbers_needs_them() -> None:
    count = lambda name, root, split: 100  # noqa: E731 - a stand-in
    with pytest.raises(ValueError, match=r"--lr.*--epochs"):
        plan(dataset="camvid", count=count)
    assert plan(dataset="camvid", lr=0.1, epochs=2, count=count).recipe.iterations == 12
    found = plan(dataset="camvid", lr=0.1, overrides=Overrides(iterations=7), count=count)
    assert found.recipe.iterations == 7


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ValueError) as caught:
        plan(
            dataset="coco",
            batch_size=6,
            world=4,
            lr_step=3,
            start_epoch=5,
            model="psp",
            se_loss=True,
        )
    text = str(caught.value)
    for part in ("coco", "--batch-size 6", "--lr-step", "--start_epoch", "the head is psp"):
        assert part in text


def test_data_lies_where_the_original_has_it_unless_told() -> None:
    options = original.Options()
    found = original.plan(options, Overrides(), Context(count, None, 1))
    assert found.run_options["root"] == Path.home() / ".encoding" / "data"
    assert plan().run_options["root"] == Path("data")


def test_every_option_has_a_flag_and_every_flag_an_option() -> None:
    words = []
    for field in fields(original.Options):
        dashed = "start_epoch" if field.name == "start_epoch" else field.name.replace("_", "-")
        words.append(f"--{dashed}")
        value = {"model": "fcn", "backbone": "resnet18", "lr_scheduler": "cos"}.get(field.name)
        value = value or {"family": "ncpaddle", "jpu": "jpu"}.get(field.name)
        if field.type is not bool:
            words.append(value or "1")
    assert said(*words).keys() == {field.name for field in fields(original.Options)}
