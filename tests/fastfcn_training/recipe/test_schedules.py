"""Learning rates, compared with PyTorch's schedulers and with the originals' formulas at known points."""

from typing import Any

import pytest

from fastfcn_training.recipe.recipe import Schedule
from fastfcn_training.recipe.schedules import rate

LENGTH = 40


def rates(schedule: Schedule, length: int = LENGTH) -> list[float]:
    return [rate(schedule, iteration, length) for iteration in range(length)]


def torch_rates(make: Any, start: float) -> list[float]:
    torch = pytest.importorskip("torch")
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=start)
    scheduler = make(torch.optim.lr_scheduler, optimiser)
    found = []
    for _ in range(LENGTH):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("warm_up", [2, 4, 10, 36])
def test_one_cycle_is_torch_s(warm_up: int) -> None:
    theirs = torch_rates(
        # One more than there are iterations would be stepped over at the end.
        lambda schedulers, optimiser: schedulers.OneCycleLR(
            optimiser, 0.3, total_steps=LENGTH + 1, pct_start=warm_up / (LENGTH + 1)
        ),
        0.3,
    )
    ours = [
        rate(Schedule("one_cycle", 0.3, warm_up=warm_up), iteration, LENGTH + 1)
        for iteration in range(LENGTH)
    ]
    assert ours == pytest.approx(theirs, rel=1e-9)


def test_one_cycle_ends_at_a_ten_thousandth_of_its_start() -> None:
    found = rates(Schedule("one_cycle", 0.5, warm_up=8))
    assert found[0] == pytest.approx(0.5 / 25)
    assert max(found) == found[7] == pytest.approx(0.5)
    assert found[-1] == pytest.approx(0.5 / 25 / 1e4)


def test_cosine_is_torch_s() -> None:
    theirs = torch_rates(
        lambda schedulers, optimiser: schedulers.CosineAnnealingLR(optimiser, LENGTH), 0.2
    )
    assert rates(Schedule("cos", 0.2)) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("power", [0.9, 1.0, 2.0])
def test_poly_is_torch_s(power: float) -> None:
    theirs = torch_rates(
        lambda schedulers, optimiser: schedulers.PolynomialLR(optimiser, LENGTH, power), 0.2
    )
    assert rates(Schedule("poly", 0.2, power=power)) == pytest.approx(theirs, rel=1e-9)


def test_poly_comes_down_towards_the_end_that_it_is_given() -> None:
    # PaddleSeg: (lr - end) * (1 - min(t, T) / T) ** power + end
    schedule = Schedule("poly", 0.01, end=0.002, power=0.5)
    assert rate(schedule, 75, 100) == pytest.approx(0.008 * 0.5 + 0.002)
    assert rate(schedule, 100, 100) == pytest.approx(0.002)


def test_steps_are_tenths_as_torch_s() -> None:
    theirs = torch_rates(
        lambda schedulers, optimiser: schedulers.StepLR(optimiser, 7, gamma=0.1), 0.2
    )
    assert rates(Schedule("step", 0.2, step=7)) == pytest.approx(theirs, rel=1e-9)


def test_a_constant_rate_stays() -> None:
    assert set(rates(Schedule("constant", 0.2))) == {0.2}


def test_the_original_s_warm_up_multiplies_the_shape_by_the_share_that_is_over() -> None:
    bare, warmed = (
        rates(Schedule("poly", 0.2)),
        rates(Schedule("poly", 0.2, warm_up=10)),
    )
    assert warmed[:10] == pytest.approx([bare[t] * t / 10 for t in range(10)])
    assert warmed[10:] == bare[10:]


def test_paddleseg_s_warm_up_comes_before_the_shape() -> None:
    paddle = pytest.importorskip("paddle")
    decay = paddle.optimizer.lr.PolynomialDecay(0.2, LENGTH - 10, end_lr=0.01, power=0.9)
    theirs = paddle.optimizer.lr.LinearWarmup(decay, 10, 0.05, 0.2)
    wanted = []
    for _ in range(LENGTH):
        wanted.append(theirs())
        theirs.step()
    schedule = Schedule("poly", 0.2, end=0.01, warm_up=10, warm_up_from=0.05, warm_up_apart=True)
    assert rates(schedule) == pytest.approx(wanted, rel=1e-9)
