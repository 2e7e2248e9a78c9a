"""Scores against PaddleSeg's."""

from fastfcn_infer.evaluation import metrics
from fastfcn_training.alignment import values
from fastfcn_training.alignment.check import Comparison, Setting, absolute

SUMMARY = "scores of label maps, against recorded ones"
ALLOWED = 1e-9


def compare(setting: Setting) -> Comparison:
    """Compare the four mean scores, and IoU and Dice of every class."""
    wanted = setting.reference.metrics
    labels, truth = values.predicted_and_true(wanted.seed, wanted.classes, wanted.shape)
    confusion = metrics.Confusion(wanted.classes)
    confusion.add(labels, truth)
    found = metrics.scores(confusion, wanted.convention)
    means = ("mean_iou", "pixel_accuracy", "kappa", "mean_dice")
    pairs = [(name, getattr(found, name), getattr(wanted, name)) for name in means]
    for name in ("iou", "dice"):
        each = zip(getattr(found, name), getattr(wanted, name), strict=True)
        pairs += [(f"{name} of class {i}", a, b) for i, (a, b) in enumerate(each)]
    return Comparison(
        f"scores of {confusion.pixels} pixels by fastfcn_infer.evaluation.metrics",
        f"the scores computed by {wanted.convention}'s code",
        "absolute",
        tuple(absolute(*pair, ALLOWED) for pair in pairs),
    )
