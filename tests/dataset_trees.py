"""Small data sets on the disk, written by Pillow: pictures of 6 x 4 pixels with label maps."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SHAPE = (4, 6)
CAMVID = Path(__file__).parents[2] / "shared" / "data" / "camvid"  # on some machines
ADE20K = Path(__file__).parents[2] / "shared" / "data" / "ade20k_sample"


def numbers(*values: int) -> NDArray[np.uint8]:
    """Give labels (4, 6) that hold each value at least once."""
    return np.resize(np.array(values, np.uint8), SHAPE)


def write_picture(path: Path, shape: tuple[int, int] = SHAPE) -> None:
    """Write a grey picture; its folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (shape[1], shape[0]), (90, 90, 90)).save(path)


def write_labels(path: Path, labels: NDArray[np.uint8], palette: bool = False) -> None:
    """Write a label map as grey PNG, or with a palette; its folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels)
    if palette:
        image = image.convert("P")
        image.putdata(labels.ravel().tolist())
        image.putpalette(bytes((7 * value + 3) % 256 for value in range(768)))
    image.save(path)


def write_list(path: Path, lines: Iterable[str]) -> None:
    """Write a list of names, one a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
