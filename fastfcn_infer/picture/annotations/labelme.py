"""labelme: a JSON file for each picture, with polygons to edit."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastfcn_infer.picture.annotation import (
    OUTLINES,
    Annotated,
    Entry,
    outlines,
    picture_name,
)
from fastfcn_infer.picture.geometry.outlines import signed_area
from fastfcn_infer.picture.geometry.regions import find_regions
from fastfcn_infer.system.json_bytes import json_bytes

READER = "labelme"
PLACE = "labelme/{}.json"
ALONE = (".json",)
IGNORED = "__ignore__"  # as labelme's examples call what is of no class

_VERSION = "5.5.0"  # of the format


def describe(
    found: Annotated, image_path: str | None = None, *, min_area: int = 0, simplify: float = 0.0
) -> dict[str, Any]:
    """Return the content of a file of labelme; see `Segmentation.to_labelme`."""
    height, width = found.labels.shape
    labels, names = found.labels, found.names
    nothing = labels >= len(names)
    if nothing.any():
        # Without polygons of their own they would belong to what surrounds them.
        labels, names = np.where(nothing, np.uint16(len(names)), labels), (*names, IGNORED)
    regions = find_regions(labels, names, min_area, simplify)
    # Polygons have no holes here, and later ones are painted over earlier ones: what lies in a hole has
    # to come after what surrounds it.
    regions.sort(key=lambda region: -signed_area(region.polygon[0]))
    return {
        "version": _VERSION,
        "flags": {},
        "shapes": [
            {
                "label": region.name,
                "points": region.polygon[0].astype(float).tolist(),
                "group_id": None,
                "description": "",
                "shape_type": "polygon",
                "flags": {},
                "mask": None,
            }
            for region in regions
        ],
        "imagePath": picture_name(found) if image_path is None else image_path,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
        "provenance": {**found.provenance, OUTLINES: outlines(min_area, simplify)},
    }


def encode(found: Annotated, entry: Entry) -> dict[str, bytes]:
    """Write the polygons of a picture, and the way to the picture."""
    relative = PLACE.format(entry.name)
    target = entry.folder / relative if entry.alone is None else entry.alone
    picture = entry.picture if found.source is None else _way(Path(found.source), target.parent)
    content = describe(found, picture, min_area=entry.min_area, simplify=entry.simplify)
    return {relative: json_bytes(content, indent=1)}


def _way(picture: Path, folder: Path) -> str:
    """Return the path of a picture from a folder, with forward slashes."""
    try:
        return Path(os.path.relpath(picture, folder)).as_posix()
    except ValueError:  # another drive of Windows
        return Path(os.path.realpath(picture)).as_posix()


def collect(folder: Path, names: Mapping[str, str]) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Make nothing: each picture has its file."""
    return iter(())
