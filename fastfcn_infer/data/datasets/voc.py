"""PASCAL VOC 2012, 21 classes with the background, and the annotations of SBD that augment it."""

from pathlib import Path

from fastfcn_infer.artifact.class_table import class_table
from fastfcn_infer.data.dataset import IGNORE, Dataset, Sample
from fastfcn_infer.data.tree import DatasetTree

LAYOUT = """
VOCdevkit/VOC2012/
  JPEGImages/NAME.jpg
  SegmentationClass/NAME.png
  ImageSets/Segmentation/{train,val}.txt    NAME a line
  ImageSets/Segmentation/aug.txt            the part "trainaug": train and, as PaddleSeg's
  SegmentationClassAug/NAME.png             tools/data/voc_augment.py writes them, these
VOCaug/dataset/                             or these, as SBD is downloaded
  {train,val}.txt
  img/NAME.jpg
  cls/NAME.mat

VOCdevkit or VOC2012 may be the root itself. VOCaug may be in VOCdevkit or called benchmark_RELEASE.
"""
PAGE = "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/"
SPLITS = {"train": 1464, "val": 1449, "trainval": 2913, "trainaug": 10582}

_SBD = (
    "VOCaug/dataset",
    "VOCdevkit/VOCaug/dataset",
    "benchmark_RELEASE/dataset",
    "VOCdevkit/benchmark_RELEASE/dataset",
)


def open(root: Path, split: str) -> Dataset:
    """Find the pictures of a part; ``trainval`` is train and val joined.

    The official lists are used, as in PaddleSeg: ``train`` is train.txt, whereas the original code
    reads trainval.txt under that name. ``trainaug`` is train and the pictures of SBD that are in
    neither train nor val.

    Raises:
        DatasetError: the layout is not as expected.
    """
    tree = DatasetTree("voc", root, LAYOUT)
    pictures = tree.first("VOCdevkit/VOC2012/JPEGImages", "VOC2012/JPEGImages", "JPEGImages")
    base = pictures.parent
    lists = base / "ImageSets" / "Segmentation"
    samples: list[Sample] = []
    for part in ("train", "val") if split == "trainval" else (split.removesuffix("aug"),):
        names = tree.lines(lists / f"{part}.txt")
        samples += tree.pair_listed(names, pictures, base / "SegmentationClass")
    if split == "trainaug":
        samples += _augmentation(tree, base, lists)
    classes = class_table("voc")
    values = {label: label for label in range(len(classes))} | {IGNORE: IGNORE}
    return Dataset("voc", split, classes, tree.finish(samples, split), values)


def _augmentation(tree: DatasetTree, base: Path, lists: Path) -> list[Sample]:
    """Find what SBD adds, either converted to PNG or as downloaded."""
    if (lists / "aug.txt").exists():
        names = tree.lines(lists / "aug.txt")
        return tree.pair_listed(names, base / "JPEGImages", base / "SegmentationClassAug")
    sbd = next((tree.root / folder for folder in _SBD if (tree.root / folder).is_dir()), None)
    if sbd is None:
        tree.fault(
            f"the part 'trainaug' needs {tree.below(lists / 'aug.txt')} with "
            f"{tree.below(base / 'SegmentationClassAug')}, or SBD in {_SBD[0]}"
        )
        return []
    official = {*tree.lines(lists / "train.txt"), *tree.lines(lists / "val.txt")}
    listed = {*tree.lines(sbd / "train.txt"), *tree.lines(sbd / "val.txt")}
    return tree.pair_listed(sorted(listed - official), sbd / "img", sbd / "cls", ".mat")
