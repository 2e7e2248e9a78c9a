"""Errors of the file system while something is written name what the user asked for, and what to do."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fastfcn_infer.errors import WriteError

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
"""Only writing ever meets these; the next file would meet them, too."""


@contextlib.contextmanager
def writing(target: str | os.PathLike[str], temporary: Path | None = None) -> Iterator[None]:
    """Turn errors of the file system into one about `target`.

    Args:
        target: as the user gave it.
        temporary: the block may read other files and fail at that, too; only errors about this file or
            folder, and of the disk, are about `target`. None: all are.

    Raises:
        WriteError: it cannot be written.
    """
    try:
        yield
    except WriteError as error:
        if temporary is None or not _below(error, temporary):
            raise
        raise WriteError(error.errno, error.strerror, os.fspath(target)) from error
    except OSError as error:
        full = error.errno in DISK_ERRORS and error.filename is None
        if error.errno is None or not (temporary is None or full or _below(error, temporary)):
            raise
        raise WriteError(error.errno, error.strerror, os.fspath(target)) from error


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for files that nobody keeps, and remove it afterwards.

    Raises:
        WriteError: the disk for temporary files is full, or nothing can be written there; the block's own errors of
            other places pass.
    """
    with tempfile.TemporaryDirectory(prefix="fastfcn-") as name:
        try:
            with writing(name, Path(name)):
                yield Path(name)
        except WriteError as error:
            if error.filename != name:
                raise
            place = (
                f"{tempfile.gettempdir()} (the folder for temporary files, which TMPDIR chooses)"
            )
            raise WriteError(error.errno, error.strerror, place) from error


def write_all(descriptor: int, data: bytes) -> None:
    """Write to a descriptor, which may take a part at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def check_folder(folder: Path) -> None:
    """Refuse a folder for results before anything is computed; nothing is made.

    Raises:
        WriteError: it, or what it would be made in, is a file or cannot be written to.
    """
    place = folder
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    # Tried, as modes say nothing of read-only disks, of lists of rights and of an administrator.
    with writing(folder), tempfile.TemporaryFile(dir=place):
        pass


def make_folder(folder: Path) -> None:
    """Make a folder for results, and its parents; one that exists is kept.

    Raises:
        WriteError: it cannot be made, or is a file.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def _below(error: OSError, folder: Path) -> bool:
    names = [name for name in (error.filename, error.filename2) if isinstance(name, str)]
    return any(folder == Path(name) or folder in Path(name).parents for name in names)
