"""Gradients and the first steps of training against the original's."""

from fastfcn_training.alignment.check import Comparison, Figure, Setting, relative
from fastfcn_training.alignment.recorded_batch import RecordedBatch
from fastfcn_training.alignment.reference import Reference, Steps

SUMMARY = "losses of the first steps and every tensor's first gradient, against recorded ones"
ALLOWED_LOSS = 1e-4
ALLOWED_NORM = 1e-3
# Where rounding leaves a recorded number less sharp than that: as many of its standard deviations,
# for it and ours are two draws of hundreds from distributions with long tails.
SPREADS = 10.0
# Of the longest gradient. What is shorter is rounding: a shift before a pointwise convolution and
# its batch norm changes nothing, so its gradient is 0 on paper and 1e-8 of the longest or less here.
ROUNDING = 1e-5


def compare(setting: Setting) -> Comparison:
    """Compare the loss before every step, and the length of each gradient before the first.

    In float64 that is sharp; in float32, in which the original computed, as sharp as rounding
    lets its numbers be.
    """
    recorded = setting.reference.training.steps
    origins = ", ".join(f"{steps.origin} in {steps.precision}" for steps in recorded)
    return Comparison(
        "losses and lengths of gradients of Paddle's live layers",
        f"those of {origins}",
        f"relative; to {ROUNDING:g} of the longest gradient where one is shorter",
        tuple(figure for steps in recorded for figure in _figures(setting.reference, steps)),
    )


def _figures(reference: Reference, wanted: Steps) -> list[Figure]:
    batch = RecordedBatch(reference, wanted.precision)
    found = list(batch.steps(len(wanted.losses)))
    spreads = wanted.loss_spreads or (0.0,) * len(found)
    losses = zip((step.loss for step in found), wanted.losses, spreads, strict=True)
    figures = [
        relative(
            f"{wanted.precision}: loss before step {number}",
            loss,
            expected,
            max(ALLOWED_LOSS, SPREADS * spread / expected),
        )
        for number, (loss, expected, spread) in enumerate(losses, start=1)
    ]
    floor = ROUNDING * max(wanted.gradient_norms.values())
    for name, length in found[0].gradient_norms.items():
        expected = wanted.gradient_norms[name]
        unsharp = SPREADS * wanted.norm_spreads.get(name, 0.0) / max(expected, floor)
        figures.append(
            relative(
                f"{wanted.precision}: gradient of {name}",
                length,
                expected,
                max(ALLOWED_NORM, unsharp),
                floor=floor,
            )
        )
    return figures
