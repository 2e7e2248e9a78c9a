"""Devices, and how many processes read for each that trains."""

import pytest

from fastfcn_infer.system.machine import CpuBudget
from fastfcn_training.paddle_setup import launch, start


@pytest.mark.parametrize("device", ["gpuu", "cuda:", "cuda:x", "cuda:-1", "tensorrt", ""])
def test_a_device_that_is_none_is_refused_before_paddle_is_touched(device: str) -> None:
    with pytest.raises(ValueError, match="expected auto, cpu, cuda or cuda:N"):
        start.start(device)


@pytest.mark.parametrize(
    ("threads", "neighbours", "gpu", "readers"),
    [
        (2, 1, False, 1),
        (16, 1, False, 2),
        (1, 1, True, 1),
        (2, 1, True, 1),
        (16, 1, True, 15),
        (64, 1, True, 16),
        (64, 8, True, 7),
        (4, 8, True, 1),
    ],
)
def test_readers_leave_room_for_training(
    monkeypatch: pytest.MonkeyPatch, threads: int, neighbours: int, gpu: bool, readers: int
) -> None:
    monkeypatch.setattr(start, "cpu_budget", lambda: CpuBudget(threads, ""))
    monkeypatch.setattr(launch, "local_processes", lambda: neighbours)
    assert start.reading_workers(gpu=gpu) == readers


def test_what_the_launcher_says_is_heard() -> None:
    told = {"PADDLE_TRAINERS_NUM": "6", "PADDLE_LOCAL_SIZE": "2", "PADDLE_TRAINER_ID": "5"}
    assert (launch.world(told), launch.local_processes(told), launch.rank(told)) == (6, 2, 5)
    assert (launch.world({}), launch.local_processes({}), launch.rank({})) == (1, 1, 0)
