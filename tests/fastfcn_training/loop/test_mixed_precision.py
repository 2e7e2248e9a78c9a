"""Mixed precision: refused where it is not possible, and its state restored where it is."""

from dataclasses import replace
from pathlib import Path

import pytest

from fastfcn_infer.errors import DeviceUnavailable
from small_trainings import RECIPE, pictures

paddle = pytest.importorskip("paddle")

from fastfcn_training.checkpoint.files import LossScale  # noqa: E402
from fastfcn_training.loop.mixed_precision import Precision  # noqa: E402
from fastfcn_training.loop.step import TrainingStep  # noqa: E402 - needs it
from fastfcn_training.loop.trainer import Trainer, TrainerOptions  # noqa: E402
from fastfcn_training.paddle_setup.distributed import ProcessGroup  # noqa: E402

MIXED = replace(RECIPE, precision="mixed")
ON_GPU = paddle.device.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0
gpu_only = pytest.mark.skipif(not ON_GPU, reason="needs a GPU")


@pytest.mark.skipif(ON_GPU, reason="there is a GPU")
def test_mixed_precision_on_a_cpu_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    data = pictures(tmp_path / "data", 2)
    with pytest.raises(DeviceUnavailable, match="mixed precision needs a GPU"):
        Trainer(MIXED, data, None, TrainerOptions(tmp_path / "run"), ProcessGroup())
    assert not (tmp_path / "run").exists()


def test_full_precision_remembers_nothing_and_changes_nothing() -> None:
    precision = Precision("fp32", gpu=False)
    loss = paddle.to_tensor(2.5)
    assert precision.scale(loss) is loss
    assert precision.state() is None
    precision.load(None)


@pytest.mark.gpu
@gpu_only
def test_the_loss_scale_goes_round() -> None:
    precision = Precision("mixed", gpu=True)
    precision.load(LossScale(1024.0, 3, 0))
    assert precision.state() == LossScale(1024.0, 3, 0)
    assert float(precision.scale(paddle.to_tensor(2.0))) == 2048.0


@pytest.mark.gpu
@gpu_only
def test_mixed_precision_s_losses_are_near_full_precision_s(tmp_path: Path) -> None:
    from fastfcn_export.network.choice import architecture
    from fastfcn_training.data.batches import batches
    from fastfcn_training.data.sampler import Sampler
    from fastfcn_training.network.initial_weights import initial_weights

    data = pictures(tmp_path, 2)
    network = architecture(RECIPE.network, 3)
    found = []
    for recipe in (RECIPE, MIXED):
        learner = TrainingStep(recipe, network, initial_weights(network, 0), ProcessGroup())
        with batches(data, recipe.augmentation, Sampler(2, 2, 0)) as stream:
            found.append(learner.compute_gradients(stream, 0).losses)
    assert found[1] == pytest.approx(found[0], rel=0.01)
