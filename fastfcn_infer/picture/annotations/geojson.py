"""GeoJSON: a polygon with holes for each region, on the ground where the place of the picture is known."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.picture.annotation import OUTLINES, Annotated, Entry
from fastfcn_infer.picture.geometry.regions import Region
from fastfcn_infer.system.json_bytes import json_bytes

READER = "QGIS, GDAL, geopandas, shapely, Leaflet"
PLACE = "{}.geojson"
ALONE = (".geojson", ".json")

Points = NDArray[np.float64]  # (N, 2), x and y


def describe(
    found: Annotated,
    regions: Sequence[Region],
    project: Callable[[Points], Points] | None,
    units: str,
    made: str,
) -> dict[str, Any]:
    """Return a collection of features, one for each region; see `Segmentation.to_geojson`.

    Args:
        found: the picture.
        regions: of it.
        project: from pixels to the coordinates to write; None: pixels.
        made: what `annotation.outlines` says.
        units: of the coordinates: "degrees" (WGS84), "pixels", or "transform".

    Source: RFC 7946, 3.1.6: exterior rings run counterclockwise, holes clockwise, the last point is the first.
    """
    return {
        "type": "FeatureCollection",
        "units": units,
        "features": [
            {
                "type": "Feature",
                "properties": {
                    "label": region.label,
                    "name": region.name,
                    "area": region.area,
                    "color": "#{:02x}{:02x}{:02x}".format(*found.colors[region.label].tolist()),
                },
                "geometry": {"type": "Polygon", "coordinates": _rings(region, project)},
            }
            for region in regions
        ],
        "provenance": {**found.provenance, OUTLINES: made},
    }


def _rings(region: Region, project: Callable[[Points], Points] | None) -> list[list[list[float]]]:
    rings: list[list[list[float]]] = []
    for ring in region.polygon:
        points = ring if project is None else project(ring.astype(np.float64))
        # A transform may mirror: north is up on the ground, and down in pixels.
        clockwise = _area(points) < 0
        if clockwise != bool(rings):
            points = points[::-1]
        rings.append([*points.tolist(), points[0].tolist()])
    return rings


def _area(points: NDArray[Any]) -> float:
    x, y = (points - points[0]).astype(np.float64).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1))


def encode(found: Annotated, entry: Entry) -> dict[str, bytes]:
    """Write the regions of a picture."""
    content = found.to_geojson(min_area=entry.min_area, simplify=entry.simplify)
    return {PLACE.format(entry.name): json_bytes(content)}


def collect(folder: Path, names: Mapping[str, str]) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Make nothing: each picture lies in a place of its own."""
    return iter(())
