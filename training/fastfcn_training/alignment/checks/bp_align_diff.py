"""Gradients and the first steps of training against the original's."""

from fastfcn_training.alignment.check import Comparison, Figure, Setting, relative
from fastfcn_training.alignment.recorded_batch import RecordedBatch
from fastfcn_training.alignment.reference import Reference, Steps

SUMMARY = "losses of the first steps and every tensor's first gradient, against recorded ones"
ALLOWED_LOSS = 1e-4
ALLOWED_NORM = 1e-3
# Where rounding makes a recorded number less certain than that, allow this many of its standard
# deviations: its value and ours are two of hundreds of draws from long-tailed distributions.
SPREADS = 10.0
# Relative to the largest gradient norm. Anything smaller is rounding: a shift before a pointwise
# convolution and its batch norm has no effect, so its exact gradient is 0; here it is 1e-8 of the
# largest or less.
ROUNDING = 1e-5


def compare(setting: Setting) -> Comparison:
    """Compare the loss before every step, and the norm of each gradient before the first.

    In float64 the tolerance is tight; in float32, in which the original computed, it is as tight as
    rounding errors permit.
    """
    recorded = setting.reference.training.steps
    origins = ", ".join(f"{steps.origin} in {steps.precision}" for steps in recorded)
    return Comparison(
        "losses and gradient norms of our network in Paddle",
        f"those of {origins}",
        f"relative, to at least {ROUNDING:g} of the largest gradient norm",
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
    for name, norm in found[0].gradient_norms.items():
        expected = wanted.gradient_norms[name]
        unsharp = SPREADS * wanted.norm_spreads.get(name, 0.0) / max(expected, floor)
        figures.append(
            relative(
                f"{wanted.precision}: gradient of {name}",
                norm,
                expected,
                max(ALLOWED_NORM, unsharp),
                floor=floor,
            )
        )
    return figures
