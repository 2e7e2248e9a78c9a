"""Recipe source, checkpoint and command line put together, without Paddle and pictures."""

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
from fastfcn_training.cli.job import TrainingJob, build_job, output_folder
from fastfcn_training.cli.run_options import RunOptions
from fastfcn_training.data.class_weights import counted_weights
from fastfcn_training.data.dataset_cache import DatasetCache
from fastfcn_training.recipe.recipe import Recipe
from paddleseg_files import PUBLISHED, changed
from small_trainings import RECIPE
from trained_files import trained

LISTED = replace(RECIPE, data=replace(RECIPE.data, dataset="camvid", validation_split=None))


def wanted(*words: str | Path, estimate: bool = True) -> TrainingJob:
    given = vars(arguments.make_parser().parse_args(list(map(str, words))))
    return build_job(arguments.read_request(given), DatasetCache(estimate=estimate))


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
    path = written(tmp_path, replace(LISTED, data=replace(LISTED.data, validation_split="val")))
    found = wanted(
        "--recipe", path, "--root", tmp_path, *words.split(), "--class-weights", "1,2,3"
    )
    assert found.recipe == replace(
        LISTED,
        data=replace(LISTED.data, validation_split="val"),
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
    datasets = DatasetCache(estimate=False)
    words = ("--recipe", str(path), "--root", str(root), "--class-weights", "balanced")
    request = arguments.read_request(vars(arguments.make_parser().parse_args(words)))
    found = job.balance_classes(build_job(request, datasets), request, datasets)
    expected = counted_weights(datasets.open("camvid", root, "train"))
    assert found.recipe.losses.class_weights == expected
    assert len(expected) == 11


def test_the_command_line_has_the_last_word(tmp_path: Path) -> None:
    path = changed(tmp_path, train__save_dir="theirs", train__log_iters=3, global__num_workers=5)
    said = wanted("--config", path, "--root", "here", "-o", "mine", "--workers", "1").run_options
    assert (said.root, said.run, said.workers) == (Path("here"), Path("mine"), 1)
    silent = wanted("--config", path).run_options
    assert silent.root == Path("data/ADEChallengeData2016")
    assert (silent.run, silent.workers, silent.log_every, silent.keep) == (Path("theirs"), 5, 3, 5)


def test_paddleseg_s_defaults_for_device_and_workers_leave_the_choice_to_us() -> None:
    options = wanted("--config", PUBLISHED).run_options
    assert (options.device, options.workers) == ("auto", None)


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

    assert "not from https://bj.bcebos.com" in notes("--config", PUBLISHED)
    assert "not from ImageNet (resnet50)" in notes("--dataset", "ade20k")
    for words in (("--pretrained", "f"), ("--weights", "f"), ("--resume", saved(tmp_path / "r"))):
        assert notes("--config", PUBLISHED, *words) == ""
    assert notes("--recipe", written(tmp_path, LISTED)) == ""


def test_weights_that_lie_here_are_taken(tmp_path: Path) -> None:
    path = changed(
        tmp_path, model__backbone__pretrained="b.pdparams", model__pretrained="m.pdparams"
    )
    options = wanted("--config", path).run_options
    assert (options.pretrained, options.weights) == (Path("b.pdparams"), Path("m.pdparams"))


def test_ft_takes_weights_from_what_resume_names() -> None:
    options = wanted("--dataset", "ade20k", "--ft", "--resume", "model.pth").run_options
    assert (options.weights, options.resume) == (Path("model.pth"), None)
    assert options.run == Path("runs/ade20k/encnet/default")
    with pytest.raises(ValueError, match="--ft needs --resume"):
        wanted("--dataset", "ade20k", "--ft")


def test_a_run_alone_is_gone_on_with_by_its_own_recipe(tmp_path: Path) -> None:
    run = saved(tmp_path / "run")
    found = wanted("--resume", run, "--root", tmp_path)
    assert found.recipe == LISTED
    assert (found.run_options.run, found.run_options.resume) == (run, run)
    assert found.resumed is not None
    assert found.resumed.progress.iteration == 7


def test_a_resumed_run_is_written_to_whatever_a_form_would_choose(tmp_path: Path) -> None:
    run = saved(tmp_path / "run")
    for path in (run, run / "checkpoints" / "000007"):
        assert wanted("--dataset", "ade20k", "--resume", path).run_options.run == run


def test_a_run_without_a_checkpoint_cannot_be_gone_on_with(tmp_path: Path) -> None:
    for words in (("--root", "."), ("--dataset", "ade20k")):
        with pytest.raises(CheckpointError, match="holds no checkpoint"):
            wanted("--resume", tmp_path, *words)


def test_two_sets_of_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="--resume continues with the weights of its run"):
        wanted("--dataset", "ade20k", "--resume", "run", "--weights", "file")


def test_a_data_set_that_is_not_there_is_counted_as_published_in_a_dry_run_only() -> None:
    datasets = DatasetCache(estimate=True)
    assert datasets.count("ade20k", Path("nowhere"), "train") == 20210
    assert datasets.classes("ade20k", Path("nowhere"), "train") == 150
    assert any("assuming the published 20210 pictures" in note for note in datasets.notes)
    for name, split in (("ade20k", "none"), ("listed", "train")):
        with pytest.raises(DatasetError):
            datasets.count(name, Path("nowhere"), split)
    with pytest.raises(DatasetError):
        DatasetCache(estimate=False).count("ade20k", Path("nowhere"), "train")


def test_a_recipe_without_a_place_for_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--root DIR is missing"):
        wanted("--recipe", written(tmp_path, LISTED), estimate=False)


def test_a_dry_run_of_a_published_data_set_needs_no_root(tmp_path: Path) -> None:
    datasets = DatasetCache(estimate=True)
    found = wanted("--recipe", written(tmp_path, LISTED))
    assert found.run_options.root is None
    assert datasets.count("camvid", found.run_options.root, "train") == 367
    assert datasets.classes("camvid", None, "train") == 11
    (note,) = datasets.notes
    assert "--root is not given" in note
    with pytest.raises(DatasetError, match="--root DIR is missing"):
        datasets.open("camvid", None, "train")


def test_validation_that_cannot_happen_is_refused(tmp_path: Path) -> None:
    recipe = written(tmp_path, LISTED)
    for words in (("--recipe", recipe), ("--dataset", "ade20k", "--no-val")):
        with pytest.raises(ValueError, match="--validate-every: the training has no validation"):
            wanted(*words, "--validate-every", "3")


def test_other_classes_than_were_spoken_of_are_refused(tmp_path: Path) -> None:
    data = DatasetCache(estimate=False).open(
        "camvid", camvid_tree(tmp_path, split="train"), "train"
    )
    for classes in (None, 11):
        job.check_classes(TrainingJob(LISTED, RunOptions(root=tmp_path), (), classes), data)
    with pytest.raises(
        DatasetError, match="has 11 classes, but the training was described with 5"
    ):
        job.check_classes(TrainingJob(LISTED, RunOptions(root=tmp_path), (), 5), data)


class TestRunFolder:
    def run(self, folder: Path, *files: str) -> Path:
        for file in files:
            path = folder / "run" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        return folder / "run"

    def test_a_new_or_an_empty_folder_is_taken(self, tmp_path: Path) -> None:
        assert output_folder(RunOptions(run=tmp_path / "new")) == tmp_path / "new"
        assert output_folder(RunOptions(run=tmp_path)) == tmp_path

    def test_what_a_training_left_that_never_saved_is_no_obstacle(self, tmp_path: Path) -> None:
        run = self.run(tmp_path, "log.jsonl", "visualdl/x")
        assert output_folder(RunOptions(run=run)) == run
        line = '{"event": "session", "iteration": 0, "time": 1.0}\n'
        (run / "log.jsonl").write_text(line)
        (run / "checkpoints").mkdir()
        assert output_folder(RunOptions(run=run)) == run

    def test_a_training_is_not_written_over(self, tmp_path: Path) -> None:
        run = self.run(tmp_path, "checkpoints/000010/progress.json")
        with pytest.raises(ValueError, match=r"already holds a training.*--resume"):
            output_folder(RunOptions(run=run))
        with pytest.raises(ValueError, match="already holds a training"):
            output_folder(RunOptions(run=run, resume=tmp_path / "another"))

    def test_the_run_that_is_resumed_is_written_to(self, tmp_path: Path) -> None:
        run = self.run(tmp_path, "checkpoints/000010/progress.json")
        for resume in (run, run / "checkpoints" / "000010"):
            assert output_folder(RunOptions(run=run, resume=resume)) == run

    def test_other_things_are_left_alone(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"holds thesis\.tex; expected an empty"):
            output_folder(RunOptions(run=self.run(tmp_path, "thesis.tex")))

    @pytest.mark.parametrize(
        "file",
        ["checkpoints/epoch=1.ckpt", "checkpoints/000100/pytorch_model.bin", "log.jsonl/x"],
    )
    def test_another_program_s_files_of_the_same_names_are_left_alone(
        self, tmp_path: Path, file: str
    ) -> None:
        run = self.run(tmp_path, file)
        with pytest.raises(ValueError, match=f"holds {file.split('/')[0]}; expected an empty"):
            output_folder(RunOptions(run=run))

    @pytest.mark.parametrize("text", ['{"step": 1, "loss": 2.0}\n', "[3]\n", "epoch 1\n", "\xff"])
    def test_another_program_s_log_is_not_continued(self, tmp_path: Path, text: str) -> None:
        run = self.run(tmp_path, "log.jsonl")
        (run / "log.jsonl").write_text(text, encoding="latin-1")
        with pytest.raises(ValueError, match=r"holds log\.jsonl"):
            output_folder(RunOptions(run=run))

    def test_a_folder_is_needed(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(ValueError, match="is a file"):
            output_folder(RunOptions(run=tmp_path / "file"))
        with pytest.raises(ValueError, match="-o RUN is missing"):
            output_folder(RunOptions())
