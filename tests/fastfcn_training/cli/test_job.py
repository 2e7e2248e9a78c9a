"""Recipes, changes and wishes put together; what is planned without Paddle and without pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("safetensors")

from camvid_tree import camvid_tree
from fastfcn_infer.errors import CheckpointError, DatasetError
from fastfcn_infer.system import record
from fastfcn_training.checkpoint.files import Checkpoint, Progress, save_checkpoint
from fastfcn_training.cli import arguments, job
from fastfcn_training.cli.job import Intent, intended, run_folder
from fastfcn_training.cli.run_options import Conduct
from fastfcn_training.data.class_weights import counted_weights
from fastfcn_training.data.dataset_cache import Shelf
from fastfcn_training.recipe.recipe import Recipe
from paddleseg_files import PUBLISHED, changed
from small_trainings import RECIPE
from trained_files import trained

LISTED = replace(RECIPE, data=replace(RECIPE.data, dataset="camvid", validation_split=None))


def wanted(*words: str | Path, estimate: bool = True) -> Intent:
    given = vars(arguments.parser().parse_args(list(map(str, words))))
    return intended(arguments.request(given), Shelf(estimate=estimate))


def written(folder: Path, recipe: Recipe) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "recipe.json"
    path.write_text(record.to_json(recipe), encoding="utf-8")
    return path


def saved(run: Path) -> Path:
    """Write a checkpoint after iteration 7 of a training by `LISTED`."""
    progress = Progress(LISTED, 7, 1, None)
    weights = {"a": np.zeros(2, np.float32)}
    save_checkpoint(run, Checkpoint(progress, weights, weights), trained(), keep=1)
    return run


def test_a_recipe_is_changed_by_what_is_said(tmp_path: Path) -> None:
    words = "--iters 7 --seed 5 --accumulate 2 --precision mixed --validate-every 3 --save-every 4"
    path = written(tmp_path, LISTED)
    found = wanted(
        "--recipe", path, "--root", tmp_path, *words.split(), "--class-weights", "1,2,3"
    )
    assert found.recipe == replace(
        LISTED,
        iterations=7,
        seed=5,
        accumulate=2,
        precision="mixed",
        validation_every=3,
        save_every=4,
        losses=replace(LISTED.losses, class_weights=(1.0, 2.0, 3.0)),
    )


def test_balanced_weights_are_numbers_in_the_recipe(tmp_path: Path) -> None:
    root = camvid_tree(tmp_path / "data", split="train")
    path = written(tmp_path, LISTED)
    shelf = Shelf(estimate=False)
    found = wanted("--recipe", path, "--root", root, "--class-weights", "balanced")
    expected = counted_weights(shelf.open("camvid", root, "train"))
    assert found.recipe.losses.class_weights == expected
    assert len(expected) == 11


def test_the_command_line_has_the_last_word(tmp_path: Path) -> None:
    path = changed(tmp_path, train__save_dir="theirs", train__log_iters=3, global__num_workers=5)
    said = wanted("--config", path, "--root", "here", "-o", "mine", "--workers", "1").conduct
    assert (said.root, said.run, said.workers) == (Path("here"), Path("mine"), 1)
    silent = wanted("--config", path).conduct
    assert silent.root == Path("data/ADEChallengeData2016")
    assert (silent.run, silent.workers, silent.log_every, silent.keep) == (Path("theirs"), 5, 3, 5)


def test_paddleseg_s_defaults_for_device_and_workers_leave_the_choice_to_us() -> None:
    conduct = wanted("--config", PUBLISHED).conduct
    assert (conduct.device, conduct.workers) == ("auto", None)


def test_paddleseg_s_flags_work_as_there(tmp_path: Path) -> None:
    words = "--do_eval --save_interval 500 --iters 900 --batch_size 2 --learning_rate 0.5"
    recipe = wanted("--config", PUBLISHED, *words.split(), "--precision", "fp16").recipe
    assert (recipe.data.validation_split, recipe.validation_every, recipe.save_every) == (
        "val",
        500,
        500,
    )
    assert (recipe.iterations, recipe.batch, recipe.schedule.rate) == (900, 2, 0.5)
    assert recipe.precision == "mixed"


def test_weights_that_are_not_fetched_are_asked_for(tmp_path: Path) -> None:
    def notes(*words: str | Path) -> str:
        return " ".join(wanted("--root", ".", *words).notes)

    assert "not with those of https://bj.bcebos.com" in notes("--config", PUBLISHED)
    assert "not with those of ImageNet (resnet50)" in notes("--dataset", "ade20k")
    for words in (("--pretrained", "f"), ("--weights", "f"), ("--resume", saved(tmp_path / "r"))):
        assert notes("--config", PUBLISHED, *words) == ""
    assert notes("--recipe", written(tmp_path, LISTED)) == ""


def test_weights_that_lie_here_are_taken(tmp_path: Path) -> None:
    path = changed(
        tmp_path, model__backbone__pretrained="b.pdparams", model__pretrained="m.pdparams"
    )
    conduct = wanted("--config", path).conduct
    assert (conduct.pretrained, conduct.weights) == (Path("b.pdparams"), Path("m.pdparams"))


def test_ft_takes_weights_from_what_resume_names() -> None:
    conduct = wanted("--dataset", "ade20k", "--ft", "--resume", "model.pth").conduct
    assert (conduct.weights, conduct.resume) == (Path("model.pth"), None)
    assert conduct.run == Path("runs/ade20k/encnet/default")
    with pytest.raises(ValueError, match="--ft needs --resume"):
        wanted("--dataset", "ade20k", "--ft")


def test_a_run_alone_is_gone_on_with_by_its_own_recipe(tmp_path: Path) -> None:
    run = saved(tmp_path / "run")
    found = wanted("--resume", run, "--root", tmp_path)
    assert found.recipe == LISTED
    assert (found.conduct.run, found.conduct.resume) == (run, run)
    assert found.resumed is not None
    assert found.resumed.progress.iteration == 7


def test_a_resumed_run_is_written_to_whatever_a_form_would_choose(tmp_path: Path) -> None:
    run = saved(tmp_path / "run")
    for path in (run, run / "checkpoints" / "000007"):
        assert wanted("--dataset", "ade20k", "--resume", path).conduct.run == run


def test_a_run_without_a_checkpoint_cannot_be_gone_on_with(tmp_path: Path) -> None:
    for words in (("--root", "."), ("--dataset", "ade20k")):
        with pytest.raises(CheckpointError, match="holds no checkpoint"):
            wanted("--resume", tmp_path, *words)


def test_two_sets_of_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="--resume goes on with the weights of its run"):
        wanted("--dataset", "ade20k", "--resume", "run", "--weights", "file")


def test_a_data_set_that_is_not_there_is_counted_as_published_in_a_dry_run_only() -> None:
    shelf = Shelf(estimate=True)
    assert shelf.count("ade20k", Path("nowhere"), "train") == 20210
    assert shelf.classes("ade20k", Path("nowhere"), "train") == 150
    assert any("counted 20210 pictures, as published" in note for note in shelf.notes)
    for name, split in (("ade20k", "none"), ("listed", "train")):
        with pytest.raises(DatasetError):
            shelf.count(name, Path("nowhere"), split)
    with pytest.raises(DatasetError):
        Shelf(estimate=False).count("ade20k", Path("nowhere"), "train")


def test_a_recipe_without_a_place_for_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--root DIR is missing"):
        wanted("--recipe", written(tmp_path, LISTED))


def test_other_classes_than_were_spoken_of_are_refused(tmp_path: Path) -> None:
    data = Shelf(estimate=False).open("camvid", camvid_tree(tmp_path, split="train"), "train")
    for classes in (None, 11):
        job.check_classes(Intent(LISTED, Conduct(), tmp_path, (), classes), data)
    with pytest.raises(
        DatasetError, match="has 11 classes, but the training was described with 5"
    ):
        job.check_classes(Intent(LISTED, Conduct(), tmp_path, (), 5), data)


class TestRunFolder:
    def run(self, folder: Path, *files: str) -> Path:
        for file in files:
            path = folder / "run" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        return folder / "run"

    def test_a_new_or_an_empty_folder_is_taken(self, tmp_path: Path) -> None:
        assert run_folder(Conduct(run=tmp_path / "new")) == tmp_path / "new"
        assert run_folder(Conduct(run=tmp_path)) == tmp_path

    def test_what_a_training_left_that_never_saved_is_no_obstacle(self, tmp_path: Path) -> None:
        run = self.run(tmp_path, "log.jsonl", "visualdl/x")
        assert run_folder(Conduct(run=run)) == run

    def test_a_training_is_not_written_over(self, tmp_path: Path) -> None:
        run = self.run(tmp_path, "checkpoints/000010/progress.json")
        with pytest.raises(ValueError, match=r"holds a training already.*--resume"):
            run_folder(Conduct(run=run))
        with pytest.raises(ValueError, match="holds a training already"):
            run_folder(Conduct(run=run, resume=tmp_path / "another"))

    def test_the_run_that_is_resumed_is_written_to(self, tmp_path: Path) -> None:
        run = self.run(tmp_path, "checkpoints/000010/progress.json")
        for resume in (run, run / "checkpoints" / "000010"):
            assert run_folder(Conduct(run=run, resume=resume)) == run

    def test_other_things_are_left_alone(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"holds thesis\.tex; an empty folder"):
            run_folder(Conduct(run=self.run(tmp_path, "thesis.tex")))

    def test_a_folder_is_needed(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(ValueError, match="is no folder"):
            run_folder(Conduct(run=tmp_path / "file"))
        with pytest.raises(ValueError, match="-o RUN is missing"):
            run_folder(Conduct())
