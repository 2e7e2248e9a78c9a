"""Looking for the pictures and labels of a data set below a root; every fault is told at once."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fastfcn_infer.dataset import Sample
from fastfcn_infer.errors import DatasetError
from fastfcn_infer.picture_list import SUFFIXES

_SHOWN = 3  # files named in a fault
_DEPTH = 3  # levels of folders in a drawing of what is there
_ENTRIES = 6  # entries of one folder in it
_LINES = 40


class DatasetTree:
    """What lies below the root of a data set, and what is wrong with it."""

    def __init__(self, name: str, root: Path, layout: str) -> None:
        """Start at a root.

        Args:
            name: of the data set.
            root: the folder that the user named.
            layout: what is expected below it, for messages.

        Raises:
            DatasetError: `root` is no folder.
        """
        self._name, self.root, self._layout = name, root, layout
        self._faults: list[str] = []
        if not root.is_dir():
            found = "a file" if root.exists() else "nothing"
            raise DatasetError(
                f"{name}: {root} is {found}; a folder was expected, with:\n{_indented(layout)}"
            )

    def fault(self, text: str) -> None:
        """Note what is wrong, with what was expected."""
        self._faults.append(text)

    def first_folder(self, *choices: str) -> Path:
        """Give the first of some folders below the root that is there; "" is the root itself.

        Raises:
            DatasetError: none is there.
        """
        for choice in choices:
            if (self.root / choice).is_dir():
                return self.root / choice
        self.fault(f"no folder {' or '.join(choices)}")
        raise self.error()

    def files(self, folder: Path, endings: Sequence[str] = SUFFIXES) -> dict[str, Path]:
        """Find the files of a folder by how their names end, whatever the case.

        Returns:
            Name without the ending -> file, in alphabetical order. Empty where there is no such
            folder, which is a fault; so are two files of one name, and links to nothing.
        """
        found: dict[str, Path] = {}
        try:
            with os.scandir(folder) as entries:
                listed = sorted((entry.name, entry.is_file()) for entry in entries)
        except OSError as error:
            self.fault(f"the folder {self._below(folder)} cannot be read: {error.strerror}")
            return found
        for file, readable in listed:
            ending = next((end for end in endings if file.lower().endswith(end.lower())), None)
            if ending is None or file.startswith("."):  # such as ._a.jpg, which Macs leave behind
                continue
            name = file[: -len(ending)]
            if not readable:
                self.fault(f"{self._below(folder / file)} is a folder, or a link to nothing")
            elif name in found:
                self.fault(f"{self._below(folder / file)} and {found[name].name} have one name")
            else:
                found[name] = folder / file
        return dict(sorted(found.items()))

    def pair(
        self, pictures: Mapping[str, Path], labels: Mapping[str, Path], expected: str
    ) -> list[Sample]:
        """Join pictures and labels of one name.

        Args:
            pictures: name -> file.
            labels: name -> file; those without a picture are left out.
            expected: the label file of ``{}`` below the root, for messages.
        """
        missing = [expected.format(name) for name in pictures if name not in labels]
        self.missing(missing, len(pictures), "label map")
        return [
            Sample(name, picture, labels[name])
            for name, picture in pictures.items()
            if name in labels
        ]

    def missing(self, files: Sequence[str], total: int, what: str) -> None:
        """Note that `files`, out of `total`, are not there; none missing is no fault."""
        if files:
            more = ", ..." if len(files) > _SHOWN else ""
            first = ", ".join(files[:_SHOWN])
            self.fault(f"{len(files)} of {total} {what}s are missing: {first}{more}")

    def finish(self, samples: Iterable[Sample], split: str) -> tuple[Sample, ...]:
        """Hand over what was found.

        Raises:
            DatasetError: something was wrong, or nothing was found; see `error`.
        """
        found = tuple(samples)
        counts = Counter(sample.name for sample in found)
        double = [name for name, count in counts.items() if count > 1]
        if double:
            self.fault(f"{len(double)} pictures are there twice: {', '.join(double[:_SHOWN])}")
        if not found and not self._faults:
            self.fault("there is no picture")
        if self._faults:
            raise self.error(split)
        return found

    def error(self, split: str | None = None) -> DatasetError:
        """List the faults, the layout that was expected and the tree that is there."""
        part = "" if split is None else f", part {split!r}"
        text = (
            f"{self._name}{part}: {self.root} is not laid out as expected.\n"
            + "\n".join(f"- {fault}" for fault in self._faults)
            + f"\nExpected:\n{_indented(self._layout)}\nFound:\n{_indented(draw(self.root))}"
        )
        return DatasetError(_printable(text))

    def _below(self, path: Path) -> str:
        return str(path.relative_to(self.root)) if path != self.root else "."


def draw(root: Path) -> str:
    """Draw what lies below a folder, a few levels and a few entries of each, links not followed."""
    lines = _branch(root, 0)
    more = [f"... {len(lines) - _LINES} more lines"] if len(lines) > _LINES else []
    return "\n".join([f"{root}/", *lines[:_LINES], *more])


def _branch(folder: Path, depth: int) -> list[str]:
    indent = "  " * (depth + 1)
    try:
        with os.scandir(folder) as entries:
            found = sorted(
                (not entry.is_dir(follow_symlinks=False), entry.name, entry.is_symlink())
                for entry in entries
            )
    except OSError as error:
        return [f"{indent}({error.strerror})"]
    lines = [] if found else [f"{indent}(empty)"]
    for is_file, name, is_link in found[:_ENTRIES]:
        lines.append(f"{indent}{name}{' (link)' if is_link else '' if is_file else '/'}")
        if not is_file and depth + 1 < _DEPTH:
            lines += _branch(folder / name, depth + 1)
    if len(found) > _ENTRIES:
        lines.append(f"{indent}... {len(found) - _ENTRIES} more")
    return lines


def _indented(text: str) -> str:
    return "\n".join("  " + line for line in text.strip("\n").splitlines())


def _printable(text: str) -> str:
    # Names of files may hold what rewrites a terminal.
    return "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text)
