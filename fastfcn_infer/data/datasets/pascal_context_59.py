"""PASCAL Context, 59 classes: the background is ignored."""

from pathlib import Path

from fastfcn_infer.data import pascal_context
from fastfcn_infer.data.dataset import IGNORE, Dataset

LAYOUT, PAGE, SPLITS = pascal_context.LAYOUT, pascal_context.PAGE, pascal_context.SPLITS


def open(root: Path, split: str) -> Dataset:
    """Find the pictures of a part; see `pascal_context.open_context`."""
    values = {0: IGNORE, IGNORE: IGNORE} | {label + 1: label for label in range(59)}
    return pascal_context.open_context("pascal_context_59", root, split, values)
