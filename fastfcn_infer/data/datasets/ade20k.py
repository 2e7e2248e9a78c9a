"""ADE20K scene parsing, 150 classes: the benchmark's release, ADEChallengeData2016."""

from pathlib import Path

from fastfcn_infer.artifact.class_table import class_table
from fastfcn_infer.data.dataset import IGNORE, Dataset, Sample
from fastfcn_infer.data.tree import DatasetTree

LAYOUT = """
ADEChallengeData2016/
  images/{training,validation}/NAME.jpg
  annotations/{training,validation}/NAME.png
release_test/testing/NAME.jpg        the part "test", without labels

ADEChallengeData2016 may be the root itself.
"""
PAGE = "http://sceneparsing.csail.mit.edu"
SPLITS = {"train": 20210, "val": 2000, "trainval": 22210, "test": 3352}

_FOLDERS = {
    "train": ("training",),
    "val": ("validation",),
    "trainval": ("training", "validation"),
}


def open(root: Path, split: str) -> Dataset:
    """Find the pictures of a part; ``trainval`` is train and val joined.

    Raises:
        DatasetError: the layout is not as expected.

    Source: in a label file 0 is "other", which is ignored, and 1..150 are the classes
    (semantics 6.1 and 6.2); 255 is not defined, and the dialects disagree about it.
    """
    tree = DatasetTree("ade20k", root, LAYOUT)
    classes = class_table("ade20k")
    values = {0: IGNORE} | {label + 1: label for label in range(len(classes))}
    if split == "test":
        pictures = tree.files(tree.first("release_test/testing"))
        samples = [Sample(name, picture, None) for name, picture in pictures.items()]
        return Dataset("ade20k", split, classes, tree.finish(samples, split), values)
    base = tree.first("ADEChallengeData2016/images", "images").parent
    samples = []
    for folder in _FOLDERS[split]:
        labels = base / "annotations" / folder
        samples += tree.pair(
            tree.files(base / "images" / folder),
            tree.files(labels, (".png",)),
            f"{tree.below(labels)}/{{}}.png",
        )
    return Dataset("ade20k", split, classes, tree.finish(samples, split), values)
