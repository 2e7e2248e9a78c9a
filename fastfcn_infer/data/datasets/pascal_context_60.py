"""PASCAL Context, 60 classes: the background is one of them."""

from pathlib import Path

from fastfcn_infer.data import pascal_context
from fastfcn_infer.data.dataset import IGNORE, Dataset

LAYOUT, PAGE, SPLITS = pascal_context.LAYOUT, pascal_context.PAGE, pascal_context.SPLITS


def open(root: Path, split: str) -> Dataset:
    """Find the pictures of a part; see `pascal_context.open_context`."""
    values = {label: label for label in range(60)} | {IGNORE: IGNORE}
    return pascal_context.open_context("pascal_context_60", root, split, values)
