"""Pictures to calibrate on, and a small artifact in float32."""

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from exports import save_checkpoint, tensors_of
from fastfcn_export import Request, export
from networks import CASES
from small_pictures import photograph

CASE = "paddleseg_os32"
# Not importorskip: importing NNCF takes seconds, and without our care it reports its use.
needs_nncf = pytest.mark.skipif(
    importlib.util.find_spec("nncf") is None, reason="NNCF is not installed"
)
COUNT = 12  # pictures: 8 calibrate, 4 are held out
SIZE = (80, 112)


def write_pictures(folder: Path, count: int = COUNT) -> Path:
    """Write parts of a picture, of which no two are equal."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = photograph()
    for index in range(count):
        part = np.roll(whole, (7 * index, 11 * index), (0, 1))[: SIZE[0], : SIZE[1]]
        cv2.imwrite(str(folder / f"{index:02}.png"), part)
    return folder


def write_labelled(root: Path, classes: int) -> Path:
    """Write the same pictures with labels, as the data set `listed` has them."""
    write_pictures(root / "images")
    (root / "labels").mkdir()
    rows = []
    for index in range(COUNT):
        labels = np.full(SIZE, index % classes, np.uint8)
        labels[:40, 30:70] = (index + 1) % classes
        labels[:5] = 255
        cv2.imwrite(str(root / "labels" / f"{index:02}.png"), labels)
        rows.append(f"images/{index:02}.png labels/{index:02}.png\n")
    table = [f'{{"name": "class {n}", "color": [{n}, 0, 0]}}' for n in range(classes)]
    (root / "train.txt").write_text("".join(rows))
    (root / "classes.json").write_text(f"[{', '.join(table)}]")
    return root


def small_checkpoint(folder: Path) -> Path:
    """Save a small network with random weights."""
    folder.mkdir(parents=True, exist_ok=True)
    return save_checkpoint(folder, CASES[CASE][0], tensors_of(CASE))


def small_artifact(folder: Path) -> Path:
    """Export it."""
    checkpoint = small_checkpoint(folder / "checkpoint")
    export(checkpoint, folder / "artifact", Request(output_stride=CASES[CASE][2]))
    return folder / "artifact"
