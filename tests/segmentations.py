"""Results made by hand: labels, names and a picture that no model saw."""

from typing import Any

import numpy as np

from fastfcn_infer.artifact.class_table import class_table, numbered_classes
from fastfcn_infer.inference.segmentation import Segmentation

TABLE = class_table("ade20k")
NAMES = tuple(info.name for info in TABLE)
COLORS = np.array([info.color for info in TABLE], np.uint8)


def segmentation(height: int = 240, width: int = 320, **changes: Any) -> Segmentation:
    """Sky above, a road below, a car on it."""
    labels = np.full((height, width), NAMES.index("sky"), np.uint8)
    labels[height // 2 :] = NAMES.index("road")
    labels[height // 2 : height * 3 // 4, : width // 4] = NAMES.index("car")
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    parts: dict[str, Any] = {
        "labels": labels,
        "names": NAMES,
        "colors": COLORS,
        "picture": picture,
        "timings": {"decode": 0.01, "network": 0.6},
        "provenance": {"model": "a", "runtime": "b"},
    }
    return Segmentation(**(parts | changes))


def wide(classes: int = 300) -> Segmentation:
    labels = np.arange(classes, dtype=np.uint16).reshape(-1, 20)
    table = numbered_classes(classes)
    return Segmentation(
        labels,
        tuple(info.name for info in table),
        np.array([info.color for info in table], np.uint8),
        np.zeros((*labels.shape, 3), np.uint8),
    )
