"""Learning rate schedules.

Source: reference/fastfcn_semantics.md, 5.3; the one-cycle form is PyTorch's ``OneCycleLR``.
"""

import math

from fastfcn_training.recipe.recipe import Schedule


def rate(schedule: Schedule, iteration: int, iterations: int) -> float:
    """Compute the learning rate of the backbone.

    Args:
        schedule: the kind and its parameters.
        iteration: 0 to ``iterations - 1``.
        iterations: of the whole training.
    """
    if schedule.kind == "one_cycle":
        return _one_cycle(schedule, iteration, iterations)
    grown = min(1.0, iteration / schedule.warm_up) if schedule.warm_up else 1.0
    if schedule.warm_up_apart:
        if grown < 1:
            return schedule.warm_up_from + (schedule.rate - schedule.warm_up_from) * grown
        return _shape(schedule, iteration - schedule.warm_up, iterations - schedule.warm_up)
    return grown * _shape(schedule, iteration, iterations)


def _shape(schedule: Schedule, iteration: int, iterations: int) -> float:
    gone = min(iteration / iterations, 1.0)
    if schedule.kind == "poly":
        return (schedule.rate - schedule.end) * math.pow(1 - gone, schedule.power) + schedule.end
    if schedule.kind == "cos":
        return schedule.rate * (1 + math.cos(math.pi * gone)) / 2
    if schedule.kind == "step":
        return schedule.rate * math.pow(0.1, iteration // schedule.step)
    return schedule.rate


def _one_cycle(schedule: Schedule, iteration: int, iterations: int) -> float:
    first, last = schedule.rate / 25, schedule.rate / 25e4
    peak = max(schedule.warm_up - 1, 1)
    if iteration <= peak:
        return _cosine(first, schedule.rate, iteration / peak)
    return _cosine(schedule.rate, last, (iteration - peak) / max(iterations - 1 - peak, 1))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
