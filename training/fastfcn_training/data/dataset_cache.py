"""The data sets of one call of ``fastfcn-train``, each opened once."""

from pathlib import Path

from fastfcn_infer.artifact.class_table import class_table
from fastfcn_infer.data.dataset import Dataset, layout, open_dataset
from fastfcn_infer.errors import DatasetError


class Shelf:
    """Opens data sets.

    Args:
        estimate: where a data set is not there, go by its published numbers.

    Attributes:
        notes: on what was not there.
    """

    def __init__(self, *, estimate: bool) -> None:
        self.notes: list[str] = []
        self._estimate = estimate
        self._opened: dict[tuple[str, Path, str], Dataset] = {}

    def open(self, name: str, root: Path, split: str) -> Dataset:
        """Open a part of a data set.

        Raises:
            DatasetError: there is no such part, or the layout is another.
        """
        key = (name, root, split)
        if key not in self._opened:
            self._opened[key] = open_dataset(name, root, split)
        return self._opened[key]

    def count(self, name: str, root: Path, split: str) -> int:
        """Count the pictures of a part.

        Raises:
            DatasetError: as `open`; not for want of the data where its published size will do.
        """
        try:
            return len(self.open(name, root, split).samples)
        except DatasetError:
            published = layout(name).SPLITS.get(split)
            if not self._estimate or published is None:
                raise
            note = f"note: {name} {split} is not at {root}: counted {published} pictures, as published"
            if note not in self.notes:
                self.notes.append(note)
            return published

    def classes(self, name: str, root: Path, split: str) -> int:
        """Count the classes.

        Raises:
            DatasetError: as `count`.
        """
        try:
            return len(self.open(name, root, split).classes)
        except DatasetError:
            if not self._estimate or split not in layout(name).SPLITS:
                raise
            return len(class_table(name))
