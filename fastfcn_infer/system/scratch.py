"""A temporary folder that is removed with the object that owns it."""

import os
import shutil
import weakref
from pathlib import Path

from fastfcn_infer.system import atomic


class Scratch:
    """Owns a folder: keeps it locked, so that no other process sweeps it, and removes it.

    It is removed by `remove`, or when this object or the process ends. A forked child leaves the
    folder to its parent.
    """

    def __init__(self, folder: Path) -> None:
        """Take over a folder that this process has just made."""
        self.folder = folder
        self._end = weakref.finalize(self, _remove, folder, atomic.lock(folder), os.getpid())

    def remove(self) -> None:
        """Remove the folder; removing twice is harmless."""
        self._end()


def _remove(folder: Path, lock: int | None, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
    atomic.unlock(lock)
