"""The data sets of one run of ``fastfcn-train``, each opened once."""

from pathlib import Path

from fastfcn_infer.artifact.class_table import class_table
from fastfcn_infer.data.dataset import Dataset, layout, open_dataset
from fastfcn_infer.errors import DatasetError


class DatasetCache:
    """Opens data sets.

    Args:
        estimate: use the published sizes of data sets that are missing.

    Attributes:
        estimate: as given.
        notes: one for each published size that was used.
    """

    def __init__(self, *, estimate: bool) -> None:
        self.estimate = estimate
        self.notes: list[str] = []
        self._opened: dict[tuple[str, Path, str], Dataset] = {}

    def open(self, name: str, root: Path | None, split: str) -> Dataset:
        """Open a part of a data set.

        Raises:
            DatasetError: unknown part, missing data set or unexpected layout.
        """
        if root is None:
            raise DatasetError(f"--root DIR is missing: the folder of the data set {name}")
        key = (name, root, split)
        if key not in self._opened:
            self._opened[key] = open_dataset(name, root, split)
        return self._opened[key]

    def count(self, name: str, root: Path | None, split: str) -> int:
        """Count the pictures of a part.

        Raises:
            DatasetError: as `open`, unless the published size can be used.
        """
        try:
            return len(self.open(name, root, split).samples)
        except DatasetError:
            published = layout(name).SPLITS.get(split)
            if not self.estimate or published is None:
                raise
            place = "--root is not given" if root is None else f"{name} {split} is not at {root}"
            note = f"note: {place}: assuming the published {published} pictures of {name} {split}"
            if note not in self.notes:
                self.notes.append(note)
            return published

    def classes(self, name: str, root: Path | None, split: str) -> int:
        """Count the classes.

        Raises:
            DatasetError: as `count`.
        """
        try:
            return len(self.open(name, root, split).classes)
        except DatasetError:
            if not self.estimate or split not in layout(name).SPLITS:
                raise
            return len(class_table(name))
