"""Find the pictures and labels of a data set below a root, and report all faults at once."""

import os
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fastfcn_infer.data.dataset import Sample
from fastfcn_infer.errors import DatasetError
from fastfcn_infer.picture.read import SUFFIXES
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.small_file import MOST_BYTES, LargerFileError, read_small_file

_SHOWN = 3  # files named in the text of a fault


class DatasetTree:
    """The files below the root of a data set, and what is wrong with them.

    Its methods record faults and continue; `finish` raises them all.
    """

    def __init__(self, name: str, root: Path, layout: str) -> None:
        """Start at a root.

        Args:
            name: of the data set.
            root: the folder that the user named.
            layout: what is expected below it, for messages.

        Raises:
            DatasetError: `root` is not a folder that can be read.
        """
        self._name, self.root, self._layout = name, root, layout
        self._faults: list[str] = []
        try:
            os.scandir(root).close()
        except OSError as error:
            expected = f"a folder was expected, with:\n{_indented(layout)}"
            text = f"{name}: {root} cannot be opened: {error.strerror}; {expected}"
            raise DatasetError(_printable(text)) from error

    def fault(self, text: str) -> None:
        """Record what is wrong, and what was expected."""
        self._faults.append(text)

    def first(self, *choices: str) -> Path:
        """Return the first of some files or folders below the root that exists.

        Raises:
            DatasetError: none exists.
        """
        found = next((choice for choice in choices if (self.root / choice).exists()), None)
        if found is None:
            self.fault(f"there is no {' and no '.join(choices)}")
            raise self.error()
        return self.root / found

    def folders(self, folder: Path) -> list[str]:
        """List the names of the folders in a folder, in alphabetical order."""
        return [name for name, is_file in self._entries(folder) if not is_file]

    def files(self, folder: Path, endings: Sequence[str] = SUFFIXES) -> dict[str, Path]:
        """Find the files of a folder by how their names end, whatever the case.

        Returns:
            Name without the ending -> file, in alphabetical order. Two files of one name are a
            fault, and so are broken links.
        """
        found: dict[str, Path] = {}
        for file, is_file in self._entries(folder):
            lower = file.lower()
            ending = next((end for end in endings if lower.endswith(end.lower())), None)
            if ending is None or file.startswith("."):  # such as ._a.jpg, which Macs leave behind
                continue
            name = file[: -len(ending)]
            if not is_file:
                self.fault(f"{self.below(folder / file)} is not a file, or is a broken link")
            elif name in found:
                self.fault(
                    f"{self.below(folder / file)} and {found[name].name} have the same name"
                )
            else:
                found[name] = folder / file
        return dict(sorted(found.items()))

    def lines(self, file: Path) -> list[str]:
        """Read a list: its lines, stripped, without empty ones."""
        try:
            text = read_small_file(file).decode("utf-8-sig")
        except UnicodeDecodeError:
            self.fault(f"the list {self.below(file)} is not text in UTF-8")
            return []
        except LargerFileError:
            self.fault(f"the list {self.below(file)} is larger than {MOST_BYTES >> 20} MiB")
            return []
        except OSError as error:
            self.fault(f"the list {self.below(file)} cannot be read: {error.strerror}")
            return []
        lines = [line.strip() for line in text.splitlines()]
        if not any(lines):
            self.fault(f"the list {self.below(file)} is empty")
        return [line for line in lines if line]

    def pair(
        self, pictures: Mapping[str, Path], labels: Mapping[str, Path], expected: str
    ) -> list[Sample]:
        """Join pictures and labels of one name.

        Args:
            pictures: name -> file.
            labels: name -> file; those without a picture are left out.
            expected: the label file of ``{}``, for messages.
        """
        missing = [expected.format(name) for name in pictures if name not in labels]
        self.missing(missing, len(pictures), "label maps")
        both = (name for name in pictures if name in labels)
        return [Sample(name, pictures[name], labels[name]) for name in both]

    def pair_listed(
        self, names: Sequence[str], pictures: Path, labels: Path, ending: str = ".png"
    ) -> list[Sample]:
        """Join the pictures (``.jpg``) and labels of two folders that are listed by name."""
        found = self.files(pictures, (".jpg",))
        missing = [self.below(pictures / f"{name}.jpg") for name in names if name not in found]
        self.missing(missing, len(names), "pictures")
        listed = {name: found[name] for name in names if name in found}
        return self.pair(
            listed, self.files(labels, (ending,)), f"{self.below(labels)}/{{}}{ending}"
        )

    def missing(self, files: Sequence[str], total: int, what: str) -> None:
        """Record that `files`, out of `total`, do not exist; an empty list is no fault."""
        if files:
            self.fault(f"{len(files)} of {total} {what} are missing: {_first(files)}")

    def finish(self, samples: Iterable[Sample], split: str) -> tuple[Sample, ...]:
        """Return the samples.

        Raises:
            DatasetError: faults were recorded, or nothing was found; see `error`.
        """
        found = tuple(samples)
        counts = Counter(sample.name for sample in found)
        double = [name for name, count in counts.items() if count > 1]
        if double:
            self.fault(
                f"names of pictures occur more than once: {_first(double)} ({len(double)} in all)"
            )
        if not found and not self._faults:
            self.fault("there are no pictures")
        if self._faults:
            raise self.error(split)
        return found

    def error(self, split: str | None = None) -> DatasetError:
        """List the faults, the layout that was expected, and the files that were found."""
        part = "" if split is None else f", part {split!r}"
        text = (
            f"{self._name}{part}: {self.root} is not laid out as expected.\n"
            + "\n".join(f"- {fault}" for fault in self._faults)
            + f"\nExpected:\n{_indented(self._layout)}"
            + f"\nFound:\n{_indented(draw_folder(self.root))}"
        )
        return DatasetError(_printable(text))

    def below(self, path: Path) -> str:
        """Write a path relative to the root."""
        return path.relative_to(self.root).as_posix()

    def _entries(self, folder: Path) -> list[tuple[str, bool]]:
        """List names in a folder and whether each is a file, in alphabetical order, following links."""
        try:
            with os.scandir(folder) as entries:
                return sorted((entry.name, entry.is_file()) for entry in entries)
        except OSError as error:
            self.fault(f"the folder {self.below(folder)} cannot be read: {error.strerror}")
            return []


def _indented(text: str) -> str:
    return textwrap.indent(text.strip("\n"), "  ")


def _printable(text: str) -> str:
    # Names of files may hold control sequences of a terminal.
    return "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text)


_DEPTH = 3  # levels of folders
_ENTRIES = 6  # of one folder
_LINES = 40


def draw_folder(root: Path) -> str:
    """Draw a folder, one entry per line, indented by level, folders first; links are not followed."""
    lines = _branch(root, 1)
    more = [f"... {len(lines) - _LINES} more lines"] if len(lines) > _LINES else []
    return "\n".join([f"{root}/", *lines[:_LINES], *more])


def _branch(folder: Path, level: int) -> list[str]:
    indent = "  " * level
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
        if not is_file and level < _DEPTH:
            lines += _branch(folder / name, level + 1)
    if len(found) > _ENTRIES:
        lines.append(f"{indent}... {len(found) - _ENTRIES} more")
    return lines


def _first(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _SHOWN else ""
    return ", ".join(map(printable, names[:_SHOWN])) + more
