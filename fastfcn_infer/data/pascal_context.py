"""PASCAL Context as PaddleSeg and mmsegmentation convert it, read as 59 or 60 classes."""

from collections.abc import Mapping
from pathlib import Path

from fastfcn_infer.artifact.class_table import class_table
from fastfcn_infer.data.dataset import Dataset, Sample
from fastfcn_infer.data.tree import DatasetTree

LAYOUT = """
VOCdevkit/VOC2010/
  JPEGImages/NAME.jpg
  Context/NAME.png                                     0 background, 1..59 classes
  ImageSets/Segmentation/{train,val}_context.txt       NAME a line

or, as in mmsegmentation,

VOCdevkit/VOC2010/
  JPEGImages/NAME.jpg
  SegmentationClassContext/NAME.png
  ImageSets/SegmentationContext/{train,val}.txt

VOCdevkit or VOC2010 may be the root itself.
"""
PAGE = "https://cs.stanford.edu/~roozbeh/pascal-context/"
SPLITS = {"train": 4998, "val": 5105, "trainval": 10103}

# Folder of the labels -> list of a part.
_CONVERTED = {
    "Context": "ImageSets/Segmentation/{}_context.txt",
    "SegmentationClassContext": "ImageSets/SegmentationContext/{}.txt",
}


def open_context(name: str, root: Path, split: str, values: Mapping[int, int]) -> Dataset:
    """Find the pictures of a part; ``trainval`` is train and val joined.

    Args:
        name: of the data set and of its class table.
        root: the folder that the user named.
        split: name of the part.
        values: value in a label file -> label.

    Raises:
        DatasetError: the layout is not as expected, or the labels have not been converted yet.
    """
    tree = DatasetTree(name, root, LAYOUT)
    pictures = tree.first("VOCdevkit/VOC2010/JPEGImages", "VOC2010/JPEGImages", "JPEGImages")
    base = pictures.parent
    labels = next((base / folder for folder in _CONVERTED if (base / folder).is_dir()), None)
    if labels is None:
        tree.fault(_unconverted(tree, base))
        raise tree.error(split)
    samples: list[Sample] = []
    for part in ("train", "val") if split == "trainval" else (split,):
        names = tree.lines(base / _CONVERTED[labels.name].format(part))
        samples += tree.pair_listed(names, pictures, labels)
    return Dataset(name, split, class_table(name), tree.finish(samples, split), values)


def _unconverted(tree: DatasetTree, base: Path) -> str:
    expected = " and no ".join(tree.below(base / folder) for folder in _CONVERTED)
    originals = ("trainval_merged.json", "train.pth", "val.pth")
    found = [file for file in originals if (base / file).exists()]
    have = f"{', '.join(found)} cannot be read directly (a .pth may run code); " if found else ""
    return (
        f"there is no {expected}; {have}make the label maps from trainval_merged.json with "
        "PaddleSeg's tools/data/convert_voc2010.py or mmsegmentation's "
        "tools/dataset_converters/pascal_context.py"
    )
