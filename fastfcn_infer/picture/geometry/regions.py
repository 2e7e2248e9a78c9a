"""The connected regions of each class in a label map, with their outlines."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.picture.geometry.outlines import Points, ring_points, signed_area, trace
from fastfcn_infer.picture.geometry.simplify import simplify
from fastfcn_infer.system.number_range import check_number
from fastfcn_infer.system.opencv import cv2


@dataclass(frozen=True, eq=False)
class Region:
    """Pixels of one class that are connected by their sides (not by corners alone).

    Coordinates are x and y in pixels from the upper left corner of the picture: the pixel in row i and
    column j covers j..j + 1 and i..i + 1, and its centre is (j + 0.5, i + 0.5).

    Args:
        label: index of the class.
        name: of the class.
        area: pixels in the label map; simplification does not change it.
        box: left, top, right, bottom of the pixels.
        centroid: x and y of the mean of the pixels' centres; it may lie outside a bent region.
        polygon: rings of points (N, 2) int32, first the exterior, then the holes; the last point is joined
            to the first, which is not repeated. The exterior runs clockwise on the screen (its area by the
            shoelace formula is positive in these coordinates), holes the other way round.
    """

    label: int
    name: str
    area: int
    box: tuple[int, int, int, int]
    centroid: tuple[float, float]
    polygon: tuple[Points, ...]

    def __repr__(self) -> str:
        """State class, area and box."""
        return f"Region({self.name!r}, {self.area} pixels, box {self.box})"


def find_regions(
    labels: NDArray[np.uint8 | np.uint16],
    names: Sequence[str],
    min_area: int = 0,
    tolerance: float = 0.0,
) -> list[Region]:
    """Find the connected regions of all classes.

    Args:
        labels: (H, W); a label that has no name is no region.
        names: of the C classes.
        min_area: pixels; smaller regions are left out, and their place stays empty.
        tolerance: pixels; how far outlines may move to become simpler. Neighbours share their border before
            and after. 0: exact outlines.

    Returns:
        The largest first; ties by label, then from above.

    Raises:
        ValueError: `min_area` or `tolerance` is no number, negative or not finite.
    """
    check_number("min_area", min_area)
    check_number("simplify", tolerance)
    parts, facts = _components(labels, len(names))
    outlines = trace(parts, len(facts))
    arcs = simplify(outlines.arcs, tolerance, parts.shape)
    order = sorted(range(len(facts)), key=lambda index: -facts[index][1])
    found = []
    for index in order:
        label, area, box, centroid = facts[index]
        if area < min_area:
            break
        rings = [ring_points(arcs, ring) for ring in outlines.rings[index]]
        if len(rings) > 1:
            rings.sort(key=signed_area, reverse=True)  # the exterior alone is positive
        found.append(Region(label, names[label], area, box, centroid, tuple(rings)))
    return found


_Facts = tuple[int, int, tuple[int, int, int, int], tuple[float, float]]


def _components(
    labels: NDArray[np.uint8 | np.uint16], classes: int
) -> tuple[NDArray[np.int32], list[_Facts]]:
    """Number the connected regions: (H, W), -1 where no class is; label, area, box, centroid of each."""
    parts = np.full(labels.shape, -1, np.int32)
    facts: list[_Facts] = []
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=classes)[:classes])
    for label in present.tolist():
        mask = (labels == label).view(np.uint8)
        x, y, width, height = cv2.boundingRect(mask)
        within = slice(y, y + height), slice(x, x + width)
        _, found, stats, centroids = cv2.connectedComponentsWithStats(mask[within], connectivity=4)
        np.copyto(parts[within], found + np.int32(len(facts) - 1), where=found > 0)
        for (left, top, wide, high, area), (cx, cy) in zip(
            stats[1:].tolist(), centroids[1:].tolist(), strict=True
        ):
            box = x + left, y + top, x + left + wide, y + top + high
            facts.append((label, area, box, (x + cx + 0.5, y + cy + 0.5)))
    return parts, facts
