"""The command ``fastfcn-train`` as a shell runs it."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from camvid_tree import camvid_tree
from command_line import ROOT, python
from fastfcn_export.checkpoint.read import read_checkpoint
from fastfcn_export.dialect.trained import read_trained
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.system import record
from fastfcn_infer.system.install import install
from fastfcn_training import __main__ as command
from fastfcn_training.cli.recipe_sources.recipe_file import read_recipe
from fastfcn_training.recipe.recipe import Augmentation, Recipe
from small_trainings import RECIPE, log_events

needs_paddle = pytest.mark.skipif(
    None in (importlib.util.find_spec("paddle"), importlib.util.find_spec("safetensors")),
    reason="Paddle trains, and is not there for every Python",
)
CAMVID = replace(
    RECIPE,
    data=replace(RECIPE.data, dataset="camvid"),
    augmentation=Augmentation("scale", scales=(0.8, 1.2), crop=(32, 48), blur=0),
    losses=replace(RECIPE.losses, class_weights=()),
    iterations=2,
    validation_every=1,
)


def fastfcn_train(*words: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return python("-m", "fastfcn_training", *words, env=env)


def written(folder: Path, recipe: Recipe) -> Path:
    path = folder / "recipe.json"
    path.write_text(record.to_json(recipe), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("camvid")
    for split in ("train", "val"):
        camvid_tree(root, pictures=4, split=split)
    path = root / "labels" / "train" / "p0.png"
    labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert labels is not None
    labels[:2] = 10  # the class that is nowhere else
    cv2.imwrite(str(path), labels)
    return root


@pytest.fixture(scope="module")
def trained(data: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A training of two iterations to its end; gives its folder and what it said."""
    words = ("--recipe", written(data, CAMVID), "--root", data, "-o", data / "run")
    return data / "run", fastfcn_train(*words, "--export", data / "artifact", "--json")


def without_paddle(folder: Path, name: str = "paddle") -> dict[str, str]:
    """An environment in which Paddle, or another package, is not installed."""
    (folder / f"{name}.py").write_text(f"raise ModuleNotFoundError('no {name}', name='{name}')")
    rooms = (folder, ROOT, ROOT / "export", ROOT / "training")
    return {"PYTHONPATH": os.pathsep.join(map(str, rooms))}


@needs_paddle
def test_a_training_leaves_what_it_says(
    trained: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    run, said = trained
    assert said.returncode == 0, said.stderr
    result: dict[str, Any] = json.loads(said.stdout)
    assert result["model"] == str(run / "best.safetensors")
    assert result["iterations"] == 2
    assert Path(result["model"]).is_file()
    assert (run / "model.safetensors").is_file()
    last = log_events(run, "validation")[-1]
    assert result["scores"] == {
        name: last[name] for name in ("mean_iou", "pixel_accuracy", "kappa", "mean_dice")
    }


@needs_paddle
def test_it_says_what_it_chose_for_the_machine(
    trained: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    run, said = trained
    for line in (
        "processors: ",
        "device: ",
        "worker processes: ",
        "2/2  loss ",
        "validation after 2",
    ):
        assert line in said.stderr
    assert "warning" not in said.stderr.lower()
    assert "OMP_NUM_THREADS WISELY" not in said.stderr
    assert "processors: " in log_events(run, "session")[0]["notes"]


@needs_paddle
def test_the_artifact_is_of_the_trained_network(
    trained: tuple[Path, subprocess.CompletedProcess[str]], data: Path
) -> None:
    assert trained[1].returncode == 0, trained[1].stderr
    assert len(open_artifact(data / "artifact").model.classes) == 11


@needs_paddle
def test_a_finished_training_is_resumed_to_the_same_end(
    trained: tuple[Path, subprocess.CompletedProcess[str]], data: Path
) -> None:
    run, _ = trained
    before = (run / "model.safetensors").read_bytes()
    said = fastfcn_train("--resume", run, "--root", data, "--quiet")
    assert said.returncode == 0, said.stderr
    assert said.stderr == ""
    assert f"next: fastfcn-export {run / 'best.safetensors'} -o {run / 'artifact'}" in said.stdout
    assert (run / "model.safetensors").read_bytes() == before


@needs_paddle
def test_ctrl_c_saves_tells_how_to_continue_and_exits_with_130(data: Path, tmp_path: Path) -> None:
    recipe = replace(CAMVID, iterations=100_000, validation_every=0, save_every=0)
    words = ["--recipe", written(tmp_path, recipe), "--root", data, "-o", tmp_path / "run"]
    rooms = (ROOT, ROOT / "export", ROOT / "training")
    process = subprocess.Popen(
        [sys.executable, "-m", "fastfcn_training", *map(str, words), "--log-every", "1"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, rooms))},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 100
    while not (log.exists() and '"train"' in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 130, said
    assert f"--resume {tmp_path / 'run'}" in said
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 1


@needs_paddle
def test_a_training_that_another_project_cannot_take_over_does_not_begin(
    data: Path, tmp_path: Path
) -> None:
    words = ("--recipe", written(tmp_path, CAMVID), "--root", data, "-o", tmp_path / "run")
    said = fastfcn_train(*words, "--save-dialect", "paddleseg")
    assert said.returncode == 6
    assert "cannot be saved as a checkpoint of paddleseg" in said.stderr
    assert not (tmp_path / "run").exists()


@needs_paddle
def test_a_gpu_that_is_not_there_is_missed_at_once(data: Path, tmp_path: Path) -> None:
    words = ("--recipe", written(tmp_path, CAMVID), "--root", data, "-o", tmp_path / "run")
    for device in ("cuda:99", "99"):
        said = fastfcn_train(*words, "--device", device)
        assert said.returncode == 5
        assert f"device {device} is not available" in said.stderr


@needs_paddle
def test_masks_of_0_and_255_stop_it_before_it_starts_and_are_mapped(
    data: Path, tmp_path: Path
) -> None:
    root = tmp_path / "masks"
    shutil.copytree(data, root)
    for path in root.rglob("labels/*/*.png"):
        labels = np.zeros((45, 60), np.uint8)
        labels[:20] = 255
        cv2.imwrite(str(path), labels)
    recipe = replace(CAMVID, data=replace(CAMVID.data, validation_split=None), validation_every=0)
    words = ("--recipe", written(tmp_path, recipe), "--root", root, "-o", tmp_path / "run")
    said = fastfcn_train(*words)
    assert said.returncode == 3
    assert "every labelled pixel is 'sky'" in said.stderr
    assert "--map-labels 255=10" in said.stderr
    assert not (tmp_path / "run").exists()
    said = fastfcn_train(*words, "--map-labels", "255=10")
    assert said.returncode == 3  # nine classes have no pixel yet
    assert "9 of 11 classes have no pixel" in said.stderr
    said = fastfcn_train(*words, "--map-labels", "255=10", "--accept-labels")
    assert said.returncode == 0, said.stderr
    assert fastfcn_train("--resume", tmp_path / "run", "--root", root).returncode == 0
    trained = read_trained(tmp_path / "run" / "model.safetensors")
    assert trained is not None
    assert trained.learned_from[0].dataset == "camvid"


@needs_paddle
def test_pairs_of_other_sizes_stop_it_and_turned_pictures_are_noted(
    data: Path, tmp_path: Path
) -> None:
    root = tmp_path / "pairs"
    shutil.copytree(data, root)
    image = Image.open(root / "images/train/p1.png")
    exif = image.getexif()
    exif[274] = 3
    image.save(root / "images/train/p1.png", exif=exif)
    words = ("--recipe", written(tmp_path, CAMVID), "--root", root)
    said = fastfcn_train(*words, "-o", tmp_path / "run")
    assert said.returncode == 0, said.stderr
    assert "note: camvid, part train: 1 picture (p1) is turned by EXIF" in said.stderr
    said = fastfcn_train(*words, "-o", tmp_path / "other", "--label-orientation", "stored")
    assert "as --label-orientation stored says, they are turned" in said.stderr
    progress = json.loads(
        (tmp_path / "other/checkpoints/000002/progress.json").read_text(encoding="utf-8")
    )
    assert progress["recipe"]["data"]["label_orientation"] == "stored"
    cv2.imwrite(str(root / "labels/val/p2.png"), np.zeros((60, 45), np.uint8))
    said = fastfcn_train(*words, "-o", tmp_path / "third")
    assert said.returncode == 3
    assert "1 of 4 pictures of camvid, part val, do not fit their label maps" in said.stderr
    assert "p2.png has 60 x 45 pixels" in said.stderr


@needs_paddle
def test_resuming_with_another_recipe_is_told_what_differs(
    trained: tuple[Path, subprocess.CompletedProcess[str]], data: Path, tmp_path: Path
) -> None:
    run, _ = trained
    recipe = written(tmp_path, CAMVID)
    said = fastfcn_train("--recipe", recipe, "--resume", run, "--root", data, "--seed", "9")
    assert said.returncode == 8
    assert "its recipe differs in seed" in said.stderr


@needs_paddle
def test_given_weights_are_the_initial_weights(
    trained: tuple[Path, subprocess.CompletedProcess[str]], data: Path, tmp_path: Path
) -> None:
    begin = trained[0] / "model.safetensors"
    recipe = replace(CAMVID, iterations=1, schedule=replace(CAMVID.schedule, rate=1e-12))
    words = ("--recipe", written(tmp_path, recipe), "--root", data, "-o", tmp_path / "run")
    said = fastfcn_train(*words, "--seed", "9", "--weights", begin)
    assert said.returncode == 0, said.stderr
    before, after = (
        np.asarray(read_checkpoint(path)["backbone.stem.0.conv.weight"], np.float64)
        for path in (begin, tmp_path / "run" / "model.safetensors")
    )
    assert np.abs(after - before).max() < 1e-9


@pytest.mark.parametrize("package", ["paddle", "safetensors"])
@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_without_a_package_the_line_that_installs_it_is_printed(
    data: Path, tmp_path: Path, package: str, more: tuple[str, ...]
) -> None:
    recipe = written(tmp_path, CAMVID)
    words: list[str | Path] = ["--recipe", recipe, "--root", data, "-o", tmp_path / "run", *more]
    said = fastfcn_train(*words, **without_paddle(tmp_path, package))
    if package == "paddle" and more:
        assert said.returncode == 0  # planning needs none
        return
    assert said.returncode == 5
    (line,) = said.stderr.splitlines()
    assert f"needs the package {package!r}" in line
    assert install("training") in line
    assert not (tmp_path / "run").exists()


def test_a_dry_run_prints_a_recipe_and_needs_neither_paddle_nor_pictures(tmp_path: Path) -> None:
    words = "--dataset ade20k --model encnet --jpu jpu --aux --se-loss --backbone resnet50"
    said = fastfcn_train(*words.split(), "--dry-run", **without_paddle(tmp_path))
    assert said.returncode == 0, said.stderr
    path = tmp_path / "printed.json"
    path.write_text(said.stdout)
    assert read_recipe(str(path)).iterations == 120 * (20210 // 16)
    assert "20210 pictures, 150 classes" in said.stderr


def test_help_and_version_need_no_paddle(tmp_path: Path) -> None:
    env = without_paddle(tmp_path)
    for word, part in (("--help", "--se-loss"), ("--version", "fastfcn-train ")):
        said = fastfcn_train(word, **env)
        assert said.returncode == 0, said.stderr
        assert part in said.stdout


def test_a_dry_run_has_its_cost_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--dataset", "ade20k", "--jpu", "--dry-run", "--json"]) == 0
    cost = json.loads(capsys.readouterr().out)["cost"]
    assert (cost["pictures"], cost["classes"], cost["pictures_a_step"]) == (20210, 150, 16)
    assert cost["epochs"] == pytest.approx(120, abs=0.1)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("--dataset coco --root none --dry-run", 2, "--dataset coco"),
        ("--config none.yml", 2, "none.yml cannot be read"),
        ("--dataset ade20k --root none -o run", 3, "ade20k: none cannot be opened"),
    ],
)
def test_mistakes_have_their_exit_codes(
    capsys: pytest.CaptureFixture[str], words: str, code: int, said: str
) -> None:
    assert command.main(words.split()) == code
    assert said in capsys.readouterr().err
    assert command.main([*words.split(), "--json"]) == code
    assert said in json.loads(capsys.readouterr().out)["message"]


def test_no_options_are_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 2
    assert "which training?" in capsys.readouterr().err


def test_align_is_a_command_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(["align", "--help"])
    assert caught.value.code == 0
    assert "--camvid ROOT" in capsys.readouterr().out
