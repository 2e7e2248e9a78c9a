"""Write an evaluation: a table of the classes, or data for JSON."""

import math
from collections.abc import Mapping
from typing import Any

from fastfcn_infer.artifact.manifest import Convention
from fastfcn_infer.evaluation.evaluate import Evaluation
from fastfcn_infer.system.excerpt import listing, printable
from fastfcn_infer.system.text_table import text_table

_COLUMNS = ("label", "class", "pixels %", "IoU %", "precision %", "recall %", "Dice %")
_NOWHERE: Mapping[Convention, str] = {
    "paddleseg": "each counts as an IoU of 100 %",
    "fastfcn": "each counts as an IoU of 0 %",
    "mmseg": "they are left out",
}
_SHOWN = 5  # classes named below the table


def table(found: Evaluation) -> str:
    """Write the classes, then the means; shares in percent, Kappa as a number.

    A dash stands for a score that does not exist, by the convention or because no pixel was counted.
    """
    scores, areas = found.scores, found.confusion.counts.sum(axis=1)
    total = max(found.confusion.pixels, 1)
    lines: list[tuple[str, ...]] = [_COLUMNS]
    for label, name in enumerate(found.names):
        shares = (scores.iou, scores.precision, scores.recall, scores.dice)
        cells = [_percent(values[label]) for values in shares]
        lines.append((str(label), name, _percent(areas[label] / total), *cells))
    written = text_table(lines, left=[_COLUMNS.index("class")])
    return "\n".join([*written, "", *_summary(found)])


def to_data(found: Evaluation) -> dict[str, Any]:
    """Turn an evaluation into data for `json.dumps`; a score that does not exist is None."""
    scores, areas = found.scores, found.confusion.counts.sum(axis=1)
    return {
        "model": found.model,
        "dataset": found.dataset,
        "split": found.split,
        "convention": found.convention,
        "trained_on": found.trained,
        "warnings": list(found.warnings),
        "notes": list(found.notes),
        "mean_iou": _number(scores.mean_iou),
        "pixel_accuracy": _number(scores.pixel_accuracy),
        "mean_accuracy": _number(scores.mean_accuracy),
        "kappa": _number(scores.kappa),
        "mean_dice": _number(scores.mean_dice),
        "classes": [
            {
                "label": label,
                "name": name,
                "pixels": int(areas[label]),
                "iou": _number(scores.iou[label]),
                "precision": _number(scores.precision[label]),
                "recall": _number(scores.recall[label]),
                "dice": _number(scores.dice[label]),
            }
            for label, name in enumerate(found.names)
        ],
        "classes_nowhere": _nowhere(found),
        "pictures": found.pictures,
        "pixels": found.confusion.pixels,
        "failed": [{"name": name, "error": why} for name, why in found.failed.items()],
        "seconds": found.seconds,
        "images_per_second": found.images_per_second,
        "provenance": dict(found.provenance),
    }


def _summary(found: Evaluation) -> list[str]:
    scores = found.scores
    means = {
        "mean IoU": scores.mean_iou,
        "pixel accuracy": scores.pixel_accuracy,
        "mean accuracy": scores.mean_accuracy,
        "mean Dice": scores.mean_dice,
    }
    if found.convention == "fastfcn":
        means["final score"] = scores.final
    nowhere = _nowhere(found)
    kappa = "-" if math.isnan(scores.kappa) else f"{scores.kappa:.4f}"
    lines = [
        ", ".join(f"{name} {_percent(mean)} %" for name, mean in means.items())
        + f", Kappa {kappa}",
        f"{found.model} on {found.dataset}, part {found.split}, by the convention of "
        f"{found.convention}",
        f"{found.pictures} pictures, {found.confusion.pixels} pixels in {found.seconds:.1f} s: "
        f"{found.images_per_second:.2f} pictures per second, from files to counts",
    ]
    if nowhere and found.pictures:
        lines.append(
            f"{nowhere} of {len(found.names)} classes are neither in the labels nor predicted; by "
            f"this convention {_NOWHERE[found.convention]}"
        )
    unlabelled = _unlabelled(found)
    if unlabelled and found.pictures:
        lines.append(
            f"{len(unlabelled)} of {len(found.names)} classes have no labelled pixel in these pictures: "
            f"{listing([printable(name) for name in unlabelled], most=_SHOWN)}"
        )
    lines += [f"note: {note}" for note in found.notes]
    lines += [f"WARNING: {warning}" for warning in found.warnings]
    return lines


def _unlabelled(found: Evaluation) -> list[str]:
    """List the names of the classes that no pixel has by the label maps."""
    areas = found.confusion.counts.sum(axis=1)
    return [name for name, area in zip(found.names, areas, strict=True) if not area]


def _nowhere(found: Evaluation) -> int:
    counts = found.confusion.counts
    return int((counts.sum(axis=0) + counts.sum(axis=1) == 0).sum())


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.2f}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
