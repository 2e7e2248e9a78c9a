"""Two processes on a CPU beside one: the same steps, one who writes, and the same end for both."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import two_processes
from command_line import ROOT
from fastfcn_export.network.choice import architecture
from fastfcn_infer.data.dataset import Dataset
from fastfcn_infer.evaluation.metrics import scores
from fastfcn_training.data.sampler import Sampler
from small_trainings import log_events, pictures

paddle = pytest.importorskip("paddle")

from safetensors.numpy import load_file  # noqa: E402 - comes with Paddle's extra

from fastfcn_training.checkpoint.files import checkpoints  # noqa: E402
from fastfcn_training.loop.log import TrainingLog  # noqa: E402
from fastfcn_training.loop.trainer import Trainer, TrainerOptions  # noqa: E402
from fastfcn_training.loop.validation import validate  # noqa: E402
from fastfcn_training.network.paddle_network import TrainingNetwork  # noqa: E402
from fastfcn_training.paddle_setup.distributed import ProcessGroup  # noqa: E402

pytestmark = [
    pytest.mark.slow,  # the launcher and both processes import Paddle
    pytest.mark.skipif(
        sys.platform != "linux", reason="Paddle has several processes on a CPU on Linux only"
    ),
]


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that two processes left (once for all tests: each imports Paddle)."""
    folder = tmp_path_factory.mktemp("launched")
    rooms = [str(ROOT / room) for room in ("", "export", "training", "tests")]
    command = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", "2"]
    command += ["--log_dir", str(folder / "log"), two_processes.__file__ or "", str(folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(rooms)}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    logs = [path.read_text(errors="replace") for path in (folder / "log").glob("workerlog.*")]
    assert done.returncode == 0, "\n".join([done.stderr, *logs])
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("data")
    return pictures(folder, two_processes.PICTURES, void=False)


def facts(launched: Path, rank: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((launched / f"facts{rank}.json").read_text())
    return found


def test_there_were_two(launched: Path) -> None:
    assert [facts(launched, rank)["rank"] for rank in (0, 1)] == [0, 1]
    assert [facts(launched, rank)["world"] for rank in (0, 1)] == [2, 2]


@pytest.mark.parametrize("name", two_processes.ALONE)
def test_two_processes_make_the_steps_of_one_with_twice_the_batch(
    launched: Path, data: Dataset, tmp_path: Path, name: str
) -> None:
    recipe = two_processes.ALONE[name]
    with TrainingLog(tmp_path, visible=False) as writer:
        options = TrainerOptions(tmp_path, workers=0, log_every=1)
        found = Trainer(recipe, data, data, options, ProcessGroup()).run(writer)
    assert found is not None
    assert facts(launched, 0)[name]["mean_iou"] == pytest.approx(found.mean_iou, abs=1e-3)
    alone, together = log_events(tmp_path), log_events(launched / f"log_{name}0")
    for ours, theirs in zip(together, alone, strict=True):
        for part in ("loss", "main", "auxiliary", "semantic"):
            assert ours[part] == pytest.approx(theirs[part], rel=1e-5)
    wanted = load_file(tmp_path / "model.safetensors")
    for tensor, array in load_file(launched / f"{name}0" / "model.safetensors").items():
        np.testing.assert_allclose(array, wanted[tensor], atol=1e-5, err_msg=tensor)


def test_losses_in_the_log_are_those_of_all_processes(launched: Path) -> None:
    for name in (*two_processes.ALONE, "norms"):
        first, second = (log_events(launched / f"log_{name}{rank}") for rank in (0, 1))
        assert [line["loss"] for line in first] == [line["loss"] for line in second]


def test_what_is_validated_is_what_is_saved(launched: Path, data: Dataset) -> None:
    # Norms that learn have other statistics in each process, until they agree.
    recipe = two_processes.NORMS
    for iteration in (2, 4):
        weights = load_file(launched / f"norms0/checkpoints/{iteration:06d}/model.safetensors")
        network = TrainingNetwork(architecture(recipe.network, len(data.classes)), weights)
        wanted = scores(validate(network, data, recipe), recipe.convention)
        for rank in (0, 1):
            lines = log_events(launched / f"log_norms{rank}", "validation")
            (line,) = (line for line in lines if line["iteration"] == iteration)
            assert line["iou"] == pytest.approx(wanted.iou, abs=1e-12)


def test_only_the_first_process_writes(launched: Path) -> None:
    for name in (*two_processes.ALONE, "norms", "stopped"):
        assert (launched / f"{name}0").exists()
        assert not (launched / f"{name}1").exists()


def test_ctrl_c_in_one_process_stops_all_after_the_same_iteration(launched: Path) -> None:
    for rank in (0, 1):
        assert facts(launched, rank)["stopped"] is True
        assert len(log_events(launched / f"log_stopped{rank}")) == 2
    assert [int(path.name) for path in checkpoints(launched / "stopped0")] == [2]


def test_a_loss_that_is_no_number_in_one_process_stops_all_and_its_pictures_are_named(
    launched: Path,
) -> None:
    batch = two_processes.NORMS.batch
    sampler = Sampler(two_processes.PICTURES, batch, two_processes.NORMS.seed, world=2)
    named = {draw.index for draw in replace(sampler, rank=1).draws(0)}
    for rank in (0, 1):
        message = facts(launched, rank)["diverged"]
        for index in range(two_processes.PICTURES):
            assert (f"picture{index}.png" in message) is (index in named)
