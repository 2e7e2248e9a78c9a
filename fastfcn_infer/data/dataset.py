"""A data set: pictures with label maps, split into parts; `datasets/` holds one file per data set.

A file of `datasets/` offers, at module level,

``LAYOUT``
    the folders and files that it expects below its root, as a tree;
``PAGE``
    where its owners offer it for download, though nothing is ever downloaded from there; "" for
    the user's own pictures;
``SPLITS``
    the names of its parts, with the number of pictures in each as published; empty if files below
    the root name the parts;
``open(root, split) -> Dataset``
    find the pictures of a part, or raise `DatasetError` saying what was expected where.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import ClassInfo, Input
from fastfcn_infer.data.label_options import IGNORE as IGNORE
from fastfcn_infer.data.label_options import ORIENTATIONS
from fastfcn_infer.data.label_options import Orientation as Orientation
from fastfcn_infer.errors import DatasetError, ImageError, UnknownDataset
from fastfcn_infer.inference import multiband
from fastfcn_infer.picture.label_map import read_label_file
from fastfcn_infer.picture.read import read_oriented, turned_upright
from fastfcn_infer.system import registry
from fastfcn_infer.system.excerpt import printable

_NO_CLASS = IGNORE + 1
NO_CHANGES: Mapping[int, int] = MappingProxyType({})
_MOST_VALUE = 65535  # of a label file
_SHOWN = 8  # values named in a message

_PACKAGE = "fastfcn_infer.data.datasets"


@dataclass(frozen=True)
class Sample:
    """One picture of a data set.

    Args:
        name: unique in its part, without a suffix; includes the folder if the data set has several
            (``bonn/bonn_000``).
        picture: file of the picture.
        label: file of its label map; None in a part without labels.
    """

    name: str
    picture: Path
    label: Path | None


@dataclass(frozen=True)
class Dataset:
    """One part of a data set.

    Args:
        name: name of the data set, as users type it.
        split: name of the part.
        classes: names and colours, in the order of the labels.
        samples: the pictures, in the same order on every machine.
        values: value in a label file -> label, 0 to ``len(classes) - 1``, or `IGNORE`; any other
            value is an error.
        label_orientation: how label maps of pictures that EXIF turns were drawn: on the ``upright``
            picture, or on the pixels as ``stored``, so that labels are turned with them; ``auto``:
            what the sizes say, and upright where they say nothing (180 degrees, mirrored, square).
    """

    name: str
    split: str
    classes: tuple[ClassInfo, ...]
    samples: tuple[Sample, ...]
    values: Mapping[int, int]
    label_orientation: Orientation = "auto"

    def read(
        self, sample: Sample, given: Input | None = None
    ) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Read a picture, upright, and its labels (H, W).

        Args:
            sample: which.
            given: the input of the model that is to see it; None: one of three channels.

        Returns:
            The picture, (H, W, 3) uint8 RGB, or with as many bands as the model takes and the values that
            the file holds; and its labels.

        Raises:
            ImageError: the picture cannot be read.
            DatasetError: the labels cannot be read, or their size is not that of the picture.
        """
        if given is None:
            picture, turn = read_oriented(sample.picture)
        else:
            picture, turn = multiband.read_oriented(sample.picture, given)
        labels = self.read_labels(sample)
        size = (picture.shape[0], picture.shape[1])
        stored, found = labels.shape, labels
        if turns_labels(size, (stored[0], stored[1]), turn, self.label_orientation):
            found = turned_upright(labels, turn)
        if found.shape != size:
            raise DatasetError(self.other_size(sample, size, (stored[0], stored[1]), turn))
        return picture, found

    def other_size(
        self, sample: Sample, size: tuple[int, int], label_size: tuple[int, int], turn: int
    ) -> str:
        """Say that the label map of a picture does not have its size.

        Args:
            sample: the picture.
            size: its height and width, upright.
            label_size: height and width of the label map as it is stored.
            turn: EXIF orientation of the picture.
        """
        text = (
            f"{self.name}: {sample.picture} has {_size(size)} pixels, but its label map "
            f"{sample.label} has {_size(label_size)}; the same size was expected"
        )
        if turn == 1:
            return text
        return (
            f"{text} (the picture is turned by EXIF orientation {turn}; see --label-orientation)"
        )

    def read_labels(self, sample: Sample) -> NDArray[np.uint8]:
        """Read the labels (H, W) of a picture: 0 to ``len(classes) - 1``, or `IGNORE`.

        Raises:
            DatasetError: the file is missing or not a label map, or holds values of no class;
                names the file and the values.
        """
        if sample.label is None:
            raise DatasetError(
                f"{self.name}: the part {self.split!r} has no labels; use one of the other parts"
            )
        try:
            values = read_label_file(sample.label)
        except ImageError as error:
            raise DatasetError(f"{self.name}: {error}") from error
        labels = self._table[values]
        if labels.max() > IGNORE:
            raise DatasetError(self._unknown_values(sample.label, values))
        return labels.astype(np.uint8)

    @cached_property
    def _table(self) -> NDArray[np.uint16]:
        """Label of every value that a label file can hold; `_NO_CLASS` if it has none."""
        table = np.full(65536, _NO_CLASS, np.uint16)
        table[list(self.values)] = list(self.values.values())
        return table

    def _unknown_values(self, path: Path, values: NDArray[np.uint8 | np.uint16]) -> str:
        found, counts = np.unique(values[self._table[values] > IGNORE], return_counts=True)
        pairs = zip(found.tolist(), counts.tolist(), strict=True)
        shown = [f"{value} ({count} pixels)" for value, count in pairs]
        more = ", ..." if len(shown) > _SHOWN else ""
        classes = len(self.classes)
        text = (
            f"{self.name}: the label map {path} holds {', '.join(shown[:_SHOWN])}{more}; these "
            f"values belong to none of the {classes} classes. Expected "
            f"{_ranges(self.values)}. Say what a value means: --map-labels {found[0]}=LABEL, or "
            f"{found[0]}=ignore for no class (map_labels={{{found[0]}: LABEL}})"
        )
        if found.tolist() == [classes] and self.values.get(1) == 1:
            text += (
                "; if the files count classes from 1 and 0 is no class: --map-labels "
                f"0=ignore,1-{classes}=0-{classes - 1}"
            )
        return text


def turns_labels(
    size: tuple[int, int], label_size: tuple[int, int], turn: int, orientation: Orientation
) -> bool:
    """Tell whether labels have to be turned with their picture.

    Args:
        size: height and width of the picture, upright.
        label_size: height and width of the label map as it is stored.
        turn: EXIF orientation of the picture, 1..8; 5 to 8 exchange height and width.
        orientation: of the label maps.
    """
    if orientation == "auto":
        return turn >= 5 and size != label_size == size[::-1]
    return turn != 1 and orientation == "stored"


def _size(size: tuple[int, int]) -> str:
    return f"{size[1]} x {size[0]}"


def _ranges(numbers: Iterable[int]) -> str:
    """Write 0, 1, 2, 7 as "0..2, 7"."""
    ordered = sorted(numbers)
    starts = [number for number in ordered if number - 1 not in ordered]
    ends = [number for number in ordered if number + 1 not in ordered]
    return ", ".join(
        str(start) if start == end else f"{start}..{end}"
        for start, end in zip(starts, ends, strict=True)
    )


class Layout(Protocol):
    """A file of `datasets/`."""

    LAYOUT: str
    PAGE: str
    SPLITS: Mapping[str, int]

    def open(self, root: Path, split: str) -> Dataset:
        """Find the pictures of a part below `root`."""
        ...


def dataset_names() -> tuple[str, ...]:
    """List the data sets, in alphabetical order."""
    return registry.names(_PACKAGE)


def layout(name: str) -> Layout:
    """Find the description of a data set.

    Raises:
        UnknownDataset: there is no such data set; lists the known ones.
    """
    if name not in dataset_names():
        raise UnknownDataset(
            f"no data set is called {name!r}; expected {', '.join(dataset_names())}"
        )
    return cast("Layout", registry.load(_PACKAGE, name))


def open_dataset(
    name: str,
    root: str | Path,
    split: str,
    *,
    map_labels: Mapping[int, int] = NO_CHANGES,
    label_orientation: Orientation = "auto",
) -> Dataset:
    """Open one part of a data set below `root`.

    Args:
        name: name of the data set, as `dataset_names` lists it.
        root: folder of the data set.
        split: name of the part.
        map_labels: value in the label files -> label, 0 to the number of classes - 1, or `IGNORE`;
            for files that use other values than the data set's: ``{255: 1}`` for masks of 0 and 255.
        label_orientation: how the label maps of pictures that EXIF turns were drawn; see `Dataset`.

    Raises:
        DatasetError: there is no such data set or part, or the files below `root` are not laid out
            as expected; says which file or folder was expected where, and shows what was found.
        ValueError: `map_labels` has values or labels that cannot be, or `label_orientation` is
            unknown.
    """
    found = layout(name)
    if found.SPLITS and split not in found.SPLITS:
        raise DatasetError(
            f"{name} has no part {split!r}; expected one of {', '.join(found.SPLITS)}"
        )
    try:
        opened = found.open(Path(root), split)
    except OSError as error:  # such as no permission for a folder on the way to the root
        raise DatasetError(
            f"{name}: {root} cannot be searched: {printable(str(error), 1000)}"
        ) from error
    return with_label_rules(opened, map_labels, label_orientation)


def with_label_rules(
    dataset: Dataset, map_labels: Mapping[int, int], label_orientation: Orientation
) -> Dataset:
    """Let a data set read its label files otherwise; see `open_dataset`.

    Raises:
        ValueError: `map_labels` has values or labels that cannot be, or `label_orientation` is
            unknown.
    """
    if label_orientation not in ORIENTATIONS:
        raise ValueError(
            f"label_orientation is {label_orientation!r}; expected {', '.join(ORIENTATIONS)}"
        )
    classes = len(dataset.classes)
    faults = [
        f"{value}={label}"
        for value, label in map_labels.items()
        if not 0 <= value <= _MOST_VALUE or not (0 <= label < classes or label == IGNORE)
    ]
    if faults:
        raise ValueError(
            f"map_labels has {', '.join(faults)}; VALUE=LABEL was expected, with values 0 to "
            f"{_MOST_VALUE} of the label files and labels 0 to {classes - 1}, or {IGNORE} to ignore"
        )
    values = {**dataset.values, **map_labels}
    return replace(dataset, values=values, label_orientation=label_orientation)
