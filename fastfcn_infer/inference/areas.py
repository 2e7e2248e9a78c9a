"""How much of a picture each class covers, from the number of its pixels."""

from collections.abc import Sequence

import numpy as np


def present(pixels: Sequence[int]) -> list[int]:
    """Return the labels of the classes that have pixels, the largest area first; ties by label."""
    order = np.argsort(-np.asarray(pixels), kind="stable").tolist()
    return [label for label in order if pixels[label]]


def shares(names: Sequence[str], pixels: Sequence[int]) -> dict[str, float]:
    """Return the share of all pixels of every class that is present, the largest first.

    Args:
        names: of the classes.
        pixels: of each class.

    Returns:
        Name -> fraction; they sum to 1. Classes of one name are added up.
    """
    total, found = sum(pixels), dict[str, float]()
    for label in present(pixels):
        found[names[label]] = found.get(names[label], 0.0) + pixels[label] / total
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def rows(names: Sequence[str], pixels: Sequence[int]) -> list[dict[str, object]]:
    """Return label, name, pixels and fraction of every class that is present, for JSON."""
    total = sum(pixels)
    return [
        {
            "label": label,
            "name": names[label],
            "pixels": pixels[label],
            "fraction": pixels[label] / total,
        }
        for label in present(pixels)
    ]
