"""A run's folder: full disks, and weights that are not numbers."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("safetensors")

from fastfcn_export.dialect.trained import Trained, read_trained
from fastfcn_export.network.primitives import Weights
from fastfcn_infer.artifact.manifest import ClassInfo
from fastfcn_training.checkpoint.files import (
    Best,
    Checkpoint,
    Progress,
    checkpoints,
    open_checkpoint,
)
from fastfcn_training.checkpoint.run_folder import RunFolder, restore_best
from fastfcn_training.errors import TrainingError
from small_trainings import NETWORK, RECIPE

THIRDS = (0.3, 0.3, 0.3)


def trained(iteration: int) -> Trained:
    classes = (ClassInfo("thing", (1, 2, 3)),)
    return Trained(1, NETWORK, classes, True, THIRDS, THIRDS, THIRDS, "made train", iteration)


def save(writer: RunFolder, iteration: int, weights: Weights) -> None:
    writer.save(Checkpoint(Progress(RECIPE, iteration, 1, None), weights, {}), trained(iteration))


def numbers(size: int = 10) -> Weights:
    return {"head.classifier.weight": np.ones(size, np.float32)}


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file become larger than `size` bytes, as if the disk were full."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits of that kind")
def test_a_full_disk_costs_nothing_that_was_saved_and_says_what_to_do(tmp_path: Path) -> None:
    writer = RunFolder(tmp_path, keep=1)
    save(writer, 1, numbers())
    writer.save_weights("best.safetensors", numbers(), trained(1))
    with largest_file(100_000):
        with pytest.raises(TrainingError) as refused:
            save(writer, 2, numbers(100_000))
        with pytest.raises(TrainingError, match=r"best\.safetensors cannot be written"):
            writer.save_weights("best.safetensors", numbers(100_000), trained(2))
    assert "the checkpoint of iteration 2 cannot be written" in str(refused.value)
    assert f"continue with --resume {tmp_path}" in str(refused.value)
    assert open_checkpoint(tmp_path).progress.iteration == 1
    assert read_trained(tmp_path / "best.safetensors") == trained(1)
    left = sorted(path.name for path in tmp_path.rglob("*") if path.name.startswith("."))
    assert left == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_numbers_are_not_saved(tmp_path: Path, value: float) -> None:
    writer = RunFolder(tmp_path, keep=1)
    save(writer, 1, numbers())
    broken = {"jpu.p3.conv.weight": np.asarray([1, value], np.float32), **numbers()}
    with pytest.raises(
        TrainingError, match=r"after iteration 2 1 tensors .*jpu\.p3\.conv\.weight"
    ):
        save(writer, 2, broken)
    with pytest.raises(TrainingError, match="lower learning rate"):
        writer.save_weights("best.safetensors", broken, trained(2))
    assert [int(folder.name) for folder in checkpoints(tmp_path)] == [1]
    assert not (tmp_path / "best.safetensors").exists()


def test_opening_it_sweeps_what_was_left_half_written(tmp_path: Path) -> None:
    left = tmp_path / "checkpoints" / f".000001.{'a' * 16}.partial"
    left.mkdir(parents=True)
    RunFolder(tmp_path, keep=1)
    assert not left.exists()


class TestRestoreBest:
    BEST = Best(0.5, 2)

    def run(self, root: Path, *iterations: int) -> Path:
        """A run with checkpoints, whose best.safetensors is of the last iteration given."""
        writer = RunFolder(root, keep=9)
        for iteration in iterations:
            save(writer, iteration, {"a": np.full(3, iteration, np.float32)})
            writer.save_weights(
                "best.safetensors", {"a": np.full(3, iteration, np.float32)}, trained(iteration)
            )
        return root

    def test_the_best_weights_are_kept_where_they_are(self, tmp_path: Path) -> None:
        run = self.run(tmp_path, 1, 2)
        before = (run / "best.safetensors").stat().st_mtime_ns
        assert restore_best(run, run, self.BEST)
        assert (run / "best.safetensors").stat().st_mtime_ns == before

    @pytest.mark.parametrize("named", [".", "checkpoints/000003"])
    @pytest.mark.parametrize("source", ["best.safetensors", "checkpoint"])
    def test_a_training_resumed_elsewhere_takes_them_along(
        self, tmp_path: Path, named: str, source: str
    ) -> None:
        run = self.run(tmp_path / "run", 1, 3, 2)
        if source == "checkpoint":
            (run / "best.safetensors").unlink()
        assert restore_best(tmp_path / "new", run / named, self.BEST)
        found = read_trained(tmp_path / "new" / "best.safetensors")
        assert found is not None
        assert found.iterations == 2

    def test_a_later_best_is_replaced_if_an_earlier_checkpoint_is_resumed(
        self, tmp_path: Path
    ) -> None:
        run = self.run(tmp_path, 1, 2, 3)
        assert restore_best(run, run / "checkpoints" / "000002", self.BEST)
        assert read_trained(run / "best.safetensors") == trained(2)

    def test_lost_weights_are_reported_and_nothing_takes_their_name(self, tmp_path: Path) -> None:
        run = self.run(tmp_path / "run", 1, 3)
        assert not restore_best(tmp_path / "new", run, self.BEST)
        assert not (tmp_path / "new").exists()
