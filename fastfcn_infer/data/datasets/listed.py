"""Your own pictures: lists of pictures and label maps, and a table of the classes."""

from itertools import zip_longest
from pathlib import Path, PurePath

from fastfcn_infer.artifact.class_table import read_class_table
from fastfcn_infer.artifact.manifest import ClassInfo
from fastfcn_infer.data.dataset import IGNORE, Dataset, Sample
from fastfcn_infer.data.tree import DatasetTree
from fastfcn_infer.errors import ArtifactError
from fastfcn_infer.system.excerpt import excerpt

LAYOUT = """
classes.json          [{"name": "road", "color": [128, 64, 128]}, ...], in the order of the labels
train.txt             one list per part, of any name, with lines like
                      images/a.jpg labels/a.png
images/a.jpg          wherever the lists say, below the root
labels/a.png          0 is the first class; 255 is ignored

The two names are separated by a tab, "|", ";", "," or a space: the same one in the whole list, and one
that occurs in no name. A list of pictures alone is a part without labels.
"""
PAGE = ""
SPLITS: dict[str, int] = {}

_SEPARATORS = ("\t", "|", ";", ",", None)  # None: white space


def open(root: Path, split: str) -> Dataset:
    """Read the list ``SPLIT.txt``.

    Raises:
        DatasetError: the list or the table is missing or wrong, or files it names are missing.

    Source: PaddleSeg's ``Dataset`` with a list file (semantics 6.2). There the separator is a
    setting; here it is the first that splits every line in two.
    """
    tree = DatasetTree("listed", root, LAYOUT)
    classes = _classes(tree)
    rows = _rows(tree, split)
    pictures = _files(tree, [row[0] for row in rows], "pictures")
    labels = _files(tree, [name for row in rows for name in row[1:]], "label maps")
    samples = [
        Sample(tree.below(picture.with_suffix("")), picture, label)
        for picture, label in zip_longest(pictures, labels)  # no labels at all, or one per picture
    ]
    values = {label: label for label in range(len(classes))} | {IGNORE: IGNORE}
    return Dataset("listed", split, classes, tree.finish(samples, split), values)


def _files(tree: DatasetTree, names: list[str], what: str) -> list[Path]:
    files = [tree.root / name for name in names]
    missing = [name for name, file in zip(names, files, strict=True) if not file.is_file()]
    tree.missing(missing, len(names), what)
    return files


def _classes(tree: DatasetTree) -> tuple[ClassInfo, ...]:
    try:
        classes = read_class_table(tree.root / "classes.json")
    except ArtifactError as error:
        tree.fault(str(error))
        return ()
    if len(classes) > IGNORE:
        tree.fault(f"classes.json has {len(classes)} classes; at most {IGNORE} were expected")
    return classes


def _rows(tree: DatasetTree, split: str) -> list[list[str]]:
    """Split the lines of a part's list into picture and label, or into the picture alone."""
    lists = tree.files(tree.root, (".txt",))
    if split not in lists:
        tree.fault(
            f"there is no {split}.txt, the list of this part; found lists: {', '.join(lists) or 'none'}"
        )
        return []
    lines = tree.lines(lists[split])
    if not lines or (tree.root / lines[0]).is_file():
        rows = [[line] for line in lines]
    else:
        rows = _split(tree, lists[split].name, lines)
    outside = [name for row in rows for name in row if not _is_below(name)]
    if outside:
        tree.fault(
            f"{len(outside)} names in {split}.txt lead out of the root, such as "
            f"{excerpt(outside[0])}; paths relative to the root were expected"
        )
        return []
    return rows


def _split(tree: DatasetTree, file: str, lines: list[str]) -> list[list[str]]:
    rows: list[list[str]] = []
    for separator in _SEPARATORS:
        rows = [[name.strip() for name in line.split(separator)] for line in lines]
        if all(len(row) == 2 and all(row) for row in rows):
            return rows
    number = next(number for number, row in enumerate(rows) if len(row) != 2)
    tree.fault(
        f"{file}, entry {number + 1}: expected a picture and a label map, separated as in the other "
        f"entries, but found {excerpt(lines[number])}"
    )
    return []


def _is_below(name: str) -> bool:
    path = PurePath(name)
    return path.name != "" and not path.is_absolute() and ".." not in path.parts
