"""A picture of how two models differ: the worst pictures, each beside its two overlays and where they disagree."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.evaluation.difference import matching_labels
from fastfcn_infer.inference.predictor import Predictor
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.picture.legend import Entry, add_legend, draw_title, drawable
from fastfcn_infer.picture.picture import Picture
from fastfcn_infer.system.opencv import cv2
from fastfcn_infer.system.percent import percent

_HEIGHT, _WIDTH = 240, 360  # pixels of a picture, at most
_GAP = 4
_GROUND = 24  # grey
_LINE = 24  # pixels, of the legend
_DIFFERENT = (220, 30, 30)
# Said above A and B where they differ.
_TOLD = ("model", "precision", "backend", "device", "procedure")


def sheet(
    a: Predictor,
    b: Predictor,
    pictures: Sequence[tuple[Path, str, float]],
    *,
    ignore_names: bool = False,
) -> Picture:
    """Draw some pictures, each in a row: the picture, A's overlay, B's overlay, where they differ in red.

    Both overlays and the legend below have the names and colours of A.

    Args:
        a: the reference.
        b: the other model.
        pictures: path, name and share of equal labels of each; at least one.
        ignore_names: as in `compare`.

    Raises:
        ValueError: there is no picture.
        EvaluationError: the models cannot be compared.
        ImageError: a picture cannot be read.
    """
    if not pictures:
        raise ValueError("a sheet of no pictures; at least one was expected")
    matching = matching_labels(a, b, ignore_names=ignore_names)
    heads = ("picture", *_heads(a.provenance, b.provenance), "red: A and B differ")
    rows = [np.concatenate([draw_title(head, _WIDTH + _GAP) for head in heads], axis=1)]
    areas = np.zeros(len(matching), np.int64)
    for path, name, share in pictures:
        first, second = a.predict(path), b.predict(path)
        second = replace(
            second, labels=matching[second.labels], names=first.names, colors=first.colors
        )
        for found in (first, second):
            areas += np.bincount(found.labels.ravel(), minlength=len(areas))
        row = _row(first, second)
        title = f"{drawable(name, 'picture')}: {percent(share, 2)} % of the labels agree"
        rows += [draw_title(title, row.shape[1]), row]
    return Picture(_with_legend(np.concatenate(rows), a, areas))


def _heads(first: Mapping[str, str], second: Mapping[str, str]) -> tuple[str, str]:
    """Name A and B by what differs."""
    differing = [fact for fact in _TOLD if first.get(fact) != second.get(fact)]
    a, b = (
        ", ".join(drawable(facts.get(fact, "-"), fact) for fact in differing)
        for facts in (first, second)
    )
    return (f"A: {a}", f"B: {b}") if differing else ("A", "B")


def _with_legend(
    drawn: NDArray[np.uint8], a: Predictor, areas: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Draw the names of the classes that occur below the sheet, the largest first."""
    order = [label for label in np.argsort(-areas, kind="stable").tolist() if areas[label]]
    entries = [
        Entry(
            drawable(a.model.classes[label].name, f"class {label}"),
            "",
            a.model.classes[label].color,
        )
        for label in order
    ]
    return add_legend(
        drawn,
        entries,
        lambda nth: Entry(f"others ({len(entries) - nth})", "", None),
        "below",
        lambda *_: 0.0,
        line=_LINE,
    )


def _row(first: Segmentation, second: Segmentation) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(cv2.cvtColor(first.picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    differs = np.asarray(grey // 2 + 96, np.uint8)
    differs[first.labels != second.labels] = _DIFFERENT
    panels = [
        first.picture,
        first.overlay(legend="none").array,
        second.overlay(legend="none").array,
        differs,
    ]
    height, width = first.size
    scale = min(_HEIGHT / height, _WIDTH / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # Panoramas and columns get no more room than other pictures.
    row = np.full((size[1] + _GAP, len(panels) * (_WIDTH + _GAP), 3), _GROUND, np.uint8)
    for nth, panel in enumerate(panels):
        left = nth * (_WIDTH + _GAP) + (_WIDTH - size[0]) // 2
        # Averaged where it becomes smaller: single pixels in red are still seen.
        row[: size[1], left : left + size[0]] = cv2.resize(
            panel, size, interpolation=cv2.INTER_AREA
        )
    return row
