"""The labels of a raster that are final, kept on disk until the raster is complete.

They lie in a folder beside the target: the labels row by row, strip after strip where the raster is
labelled in strips of columns, and a journal that says what they belong to and how many rows are final. The journal is written after the rows are on the disk, so it is
true whenever the process is killed.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.inference.bands import strips
from fastfcn_infer.inference.labels import Labels
from fastfcn_infer.inference.views import Size
from fastfcn_infer.system import atomic, record
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.small_file import read_small_file
from fastfcn_infer.system.warn import warn
from fastfcn_infer.system.writing import writing

if sys.platform != "win32":
    import fcntl

_LABELS, _JOURNAL, _LOCK = "labels", "journal.json", "lock"
_LONGEST_NAME = 255  # bytes, of common file systems
_HASHED = 1 << 16  # bytes at either end of the source


@dataclass(frozen=True)
class Run:
    """Everything that the labels depend on."""

    source: str  # size, time of the last change, and a hash of the beginning and the end
    depth: int | None  # bits of 16 that the source uses, as the user says
    size: Size
    model: str
    model_sha256: str
    procedure: Procedure
    batch: int
    runtime: Mapping[str, str]
    version: str  # of fastfcn-infer
    strip: int | None = field(default=None, metadata=record.OMITTED)  # columns; None: all
    options: Mapping[str, str] = field(default_factory=dict, metadata=record.OMITTED)

    @property
    def strips(self) -> tuple[slice, ...]:
        """The columns that are labelled together."""
        return strips(self.size[1], self.strip)


@dataclass(frozen=True)
class _Journal:
    run: Run
    rows: int


def identify(path: Path) -> str:
    """Identify the content of a file without reading all of it."""
    with path.open("rb") as file:
        facts = os.fstat(file.fileno())
        digest = hashlib.sha256(file.read(_HASHED))
        file.seek(max(0, facts.st_size - _HASHED))
        digest.update(file.read(_HASHED))
    return f"{facts.st_size} bytes, changed {facts.st_mtime_ns}, {digest.hexdigest()}"


class Progress:
    """The folder of one target, locked while this object is in use; use it in a ``with``.

    Args:
        target: the final name.
        run: what the labels depend on.
        dtype: of the labels, uint8 or uint16.

    Raises:
        OSError: the folder cannot be made or written, or another process uses it.
    """

    def __init__(self, target: Path, run: Run, dtype: type[np.uint8] | type[np.uint16]) -> None:
        self.folder = target.with_name(_folder_name(target.name))
        self._run, self.dtype = run, np.dtype(dtype)
        self._target = target
        with writing(target, self.folder):
            self.folder.mkdir(exist_ok=True)
            self._lock = _locked(self.folder / _LOCK, target)
        self.rows = self._resumed(target)
        whole = run.size[0] * run.size[1] * self.dtype.itemsize  # bytes
        missing = whole - _size(self.folder / _LABELS)
        # The labels, and the compressed raster of at most about that size.
        free, needed = shutil.disk_usage(self.folder).free, missing + whole
        if free < needed:
            self.close()
            raise OSError(
                f"{target.parent} has {free >> 20} MiB of free space; {-(-needed >> 20)} MiB may be "
                "needed for the labels of this raster, some of them only until it is complete."
            )

    def _resumed(self, target: Path) -> int:
        """Return how many rows of an earlier run can be used."""
        try:
            journal = record.from_json(_Journal, read_small_file(self.folder / _JOURNAL))
        except FileNotFoundError:
            return 0
        except ValueError as error:
            warn(f"{self.folder / _JOURNAL} is damaged ({error}); {target} is begun anew.")
            return 0
        differing = [
            f"{part.name}: {printable(str(getattr(journal.run, part.name)))} then, "
            f"{printable(str(getattr(self._run, part.name)))} now"
            for part in fields(Run)
            if getattr(journal.run, part.name) != getattr(self._run, part.name)
        ]
        if differing:
            warn(
                f"An interrupted run left {journal.rows} rows of {target}, which are not used because "
                f"they were made of something else: {'; '.join(differing)}"
            )
            return 0
        if not 0 <= journal.rows <= self.total or (
            _size(self.folder / _LABELS) < self._offset(journal.rows)
        ):
            warn(f"{self.folder / _JOURNAL} does not fit its labels; {target} is begun anew.")
            return 0
        return journal.rows

    @property
    def total(self) -> int:
        """The rows of all strips."""
        return self._run.size[0] * len(self._run.strips)

    def _offset(self, rows: int) -> int:
        """Return where a row begins in the file, bytes; rows are counted through all strips."""
        height, whole = self._run.size
        step = self._run.strip or whole
        index, below = divmod(rows, height)
        left = min(index * step, whole)
        width = min(step, whole - left)
        return (height * left + below * width) * self.dtype.itemsize

    def append(self, labels: Labels) -> None:
        """Keep rows of a strip that follow the last ones.

        Raises:
            WriteError: they cannot be written.
        """
        with writing(self._target, self.folder):
            self._append(labels)

    def _append(self, labels: Labels) -> None:
        path = self.folder / _LABELS
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.seek(self._offset(self.rows))
            file.truncate()
            file.write(np.ascontiguousarray(labels, self.dtype).data)
            file.flush()
            os.fsync(file.fileno())
        self.rows += len(labels)
        journal = record.to_json(_Journal(self._run, self.rows))
        atomic.write_file(self.folder / _JOURNAL, journal.encode())

    def read(self, rows: slice, strip: slice) -> NDArray[np.uint8 | np.uint16]:
        """Return rows that were kept, (rows, columns), of one of the run's strips."""
        width = strip.stop - strip.start
        index = strip.start // (self._run.strip or self._run.size[1])
        first = self._run.size[0] * index + rows.start
        found: NDArray[np.uint8 | np.uint16] = np.fromfile(
            self.folder / _LABELS,
            self.dtype,
            (rows.stop - rows.start) * width,
            offset=self._offset(first),
        )
        return found.reshape(-1, width)

    def finish(self) -> None:
        """Keep nothing any longer: the raster is complete."""
        self.rows = 0

    def close(self) -> None:
        """Release the folder, and remove it if nothing is kept."""
        if os.name == "nt":
            self._lock.close()  # an open file cannot be removed there
        if self.rows == 0:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    def __enter__(self) -> "Progress":
        """Use it in a ``with``."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


def _folder_name(name: str) -> str:
    found = f".{name}.unfinished"
    if len(os.fsencode(found)) > _LONGEST_NAME:
        found = f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}.unfinished"
    return found


def _locked(path: Path, target: Path) -> BinaryIO:
    file = path.open("wb")
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise OSError(
                f"another process is labelling {target}; wait for it, or choose another target"
            ) from error
        except OSError:  # no locks on this file system
            return file
    return file


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
