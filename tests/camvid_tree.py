"""A data set in CamVid's layout, generated, and a tiny model of its classes."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from fastfcn_infer.artifact.class_table import class_table
from fastfcn_infer.artifact.manifest import Convention, Model
from models import tiny_artifact, tiny_model

CLASSES = 11
VOID = 11
SIZE = (45, 60)


def camvid_tree(
    root: Path, *, pictures: int = 6, split: str = "test", size: tuple[int, int] = SIZE
) -> Path:
    """Fill a folder; class 10 is nowhere, about a tenth of the pixels is void."""
    for place in ("images", "labels"):
        (root / place / split).mkdir(parents=True)
    for index in range(pictures):
        random = np.random.default_rng(index)
        picture = random.integers(0, 256, (*size, 3)).astype(np.uint8)
        labels = random.integers(0, 8, size).astype(np.uint8)
        labels[random.random(size) < 0.2] = 8 + index % 2
        labels[random.random(size) < 0.1] = VOID
        write_png(root / "images" / split / f"p{index}.png", picture)
        write_png(root / "labels" / split / f"p{index}.png", labels)
    return root


def write_png(path: Path, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def camvid_model(dialect: str = "paddleseg", convention: Convention | None = None) -> Model:
    model = tiny_model(CLASSES)
    return replace(
        model,
        classes=class_table("camvid"),
        network=replace(model.network, dialect=dialect, convention=convention),
    )


def camvid_artifact(folder: Path, dialect: str = "paddleseg") -> Path:
    tiny_artifact(folder, camvid_model(dialect))
    return folder
