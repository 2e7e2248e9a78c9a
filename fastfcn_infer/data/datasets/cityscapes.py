"""Cityscapes, 19 classes, fine annotations, with label ids as downloaded or with train ids."""

from pathlib import Path

from fastfcn_infer.artifact.class_table import class_table
from fastfcn_infer.data.dataset import IGNORE, Dataset, Sample
from fastfcn_infer.data.tree import DatasetTree

LAYOUT = """
leftImg8bit/{train,val,test}/CITY/NAME_leftImg8bit.png
gtFine/{train,val}/CITY/NAME_gtFine_labelTrainIds.png    as PaddleSeg and mmsegmentation make them
gtFine/{train,val}/CITY/NAME_gtFine_labelIds.png         as downloaded; either is enough
"""
PAGE = "https://www.cityscapes-dataset.com"
SPLITS = {"train": 2975, "val": 500, "trainval": 3475, "test": 1525}

_PICTURE = "_leftImg8bit.png"
_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
_NO_CLASS = {label_id: IGNORE for label_id in (*range(34), IGNORE)}
# Kind of label file -> meaning of its values. 255 in label ids is -1, a number plate.
_KINDS = {
    "_gtFine_labelTrainIds.png": {label: label for label in range(19)} | {IGNORE: IGNORE},
    "_gtFine_labelIds.png": _NO_CLASS | {number: label for label, number in enumerate(_LABEL_IDS)},
}


def open(root: Path, split: str) -> Dataset:
    """Find the pictures of a part; ``trainval`` is train and val joined.

    Of the two kinds of label files, the one that more pictures have is taken; train ids if both
    are equal. The label files of ``test`` are dummies and are left out.

    Raises:
        DatasetError: the layout is not as expected.

    Source: the ids of the 19 classes are those of semantics 6.1.
    """
    classes = class_table("cityscapes")
    tree = DatasetTree("cityscapes", root, LAYOUT)
    pictures: dict[str, Path] = {}
    labels: dict[str, dict[str, Path]] = {kind: {} for kind in _KINDS}
    for part in ("train", "val") if split == "trainval" else (split,):
        for city in tree.folders(root / "leftImg8bit" / part):
            name = f"{city}/{{}}".format
            found = tree.files(root / "leftImg8bit" / part / city, (_PICTURE,))
            pictures |= {name(stem): file for stem, file in found.items()}
            if split == "test":
                continue
            folder = root / "gtFine" / part / city
            for kind in _KINDS:
                found = tree.files(folder, (kind,))
                labels[kind] |= {name(stem): file for stem, file in found.items()}
    kind = max(_KINDS, key=lambda kind: len(labels[kind]))
    if split == "test":
        samples = [Sample(name, picture, None) for name, picture in pictures.items()]
    else:
        part = "*" if split == "trainval" else split
        samples = tree.pair(pictures, labels[kind], f"gtFine/{part}/{{}}{kind}")
    return Dataset("cityscapes", split, classes, tree.finish(samples, split), _KINDS[kind])
