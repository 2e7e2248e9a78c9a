"""COCO panoptic: a PNG of segment numbers for each picture, and one JSON file over all."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from fastfcn_infer.picture.annotation import (
    Annotated,
    Entry,
    categories,
    files,
    join_coco,
    picture_name,
    present,
)
from fastfcn_infer.picture.picture import Picture
from fastfcn_infer.picture.provenance import with_provenance
from fastfcn_infer.system.json_bytes import json_bytes
from fastfcn_infer.system.opencv import cv2

READER = "panopticapi, detectron2, transformers, FiftyOne"
PLACE = "panoptic/{}.json"
ALONE = ()


def describe(
    found: Annotated, image_id: int = 1, file_name: str | None = None, png: str | None = None
) -> tuple[Picture, dict[str, Any]]:
    """Return the picture of segment numbers and its description; see `Segmentation.to_coco_panoptic`."""
    height, width = found.labels.shape
    name = picture_name(found) if file_name is None else file_name
    numbers = np.where(found.labels < len(found.names), found.labels.astype(np.uint32) + 1, 0)
    segments = []
    for label in present(found):
        mask = found.labels == label
        segments.append(
            {
                "id": label + 1,
                "category_id": label + 1,
                "area": int(mask.sum()),
                "bbox": list(cv2.boundingRect(mask.view("uint8"))),
                "iscrowd": 0,
            }
        )
    bytes_ = np.stack((numbers, numbers >> 8, numbers >> 16), axis=2).astype(np.uint8)
    return Picture(bytes_), {
        "info": {"description": "Labels by fastfcn-infer", "version": "1.0"},
        "images": [{"id": image_id, "width": width, "height": height, "file_name": name}],
        "categories": categories(found),
        "annotations": [
            {
                "image_id": image_id,
                "file_name": f"{PurePosixPath(name or 'picture').stem}.png"
                if png is None
                else png,
                "segments_info": segments,
            }
        ],
        "provenance": dict(found.provenance),
    }


def encode(found: Annotated, entry: Entry) -> dict[str, bytes]:
    """Write the PNG and its description."""
    numbers, description = describe(found, file_name=entry.picture, png=f"{entry.name}.png")
    png = with_provenance(numbers.encode(".png"), found.provenance)
    return {f"panoptic/{entry.name}.png": png, PLACE.format(entry.name): json_bytes(description)}


def collect(folder: Path, names: Mapping[str, str]) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Make ``panoptic.json``, which stands beside the folder of PNGs."""
    yield "panoptic.json", join_coco(files(folder, PLACE, names))
