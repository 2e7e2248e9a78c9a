"""COCO: one JSON file over all pictures, a stuff annotation for each class of a picture."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fastfcn_infer.picture.annotation import (
    Annotated,
    Entry,
    categories,
    files,
    join_coco,
    picture_name,
    present,
)
from fastfcn_infer.picture.run_lengths import coco_rle
from fastfcn_infer.system.json_bytes import json_bytes
from fastfcn_infer.system.opencv import cv2

READER = "pycocotools, FiftyOne, CVAT, supervision, detectron2"
PLACE = "coco/{}.json"
ALONE = (".json",)


def describe(found: Annotated, image_id: int = 1, file_name: str | None = None) -> dict[str, Any]:
    """Return a data set of one picture; see `Segmentation.to_coco`."""
    height, width = found.labels.shape
    annotations: list[dict[str, Any]] = []
    for label in present(found):
        mask = found.labels == label
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": label + 1,
                "segmentation": coco_rle(mask),
                "area": int(mask.sum()),
                "bbox": list(cv2.boundingRect(mask.view("uint8"))),
                "iscrowd": 0,
            }
        )
    name = picture_name(found) if file_name is None else file_name
    return {
        "info": {"description": "Labels by fastfcn-infer", "version": "1.0"},
        "images": [{"id": image_id, "width": width, "height": height, "file_name": name}],
        "categories": categories(found),
        "annotations": annotations,
        "provenance": dict(found.provenance),
    }


def encode(found: Annotated, entry: Entry) -> dict[str, bytes]:
    """Write a data set of one picture."""
    return {PLACE.format(entry.name): json_bytes(describe(found, file_name=entry.picture))}


def collect(folder: Path, names: Mapping[str, str]) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Make ``annotations.json``."""
    yield "annotations.json", join_coco(files(folder, PLACE, names))
