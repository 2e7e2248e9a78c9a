"""Files whose content, whenever it is used, is the content that was checked.

A file may be replaced or rewritten between the check and the use. Hashing it again for each use
would cost as much as the check, so its `Stamp` is compared instead, as git does for its index: while
the stamp stays the same, so do the bytes. If the stamp has changed, or was too young at the check to
prove anything, the bytes that are used are hashed again.
"""

import hashlib
import io
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from fastfcn_infer.artifact.manifest import FileFacts
from fastfcn_infer.errors import ArtifactError

T = TypeVar("T")

# Seconds after a change within which another one may leave the same times: FAT counts in twos.
_YOUNG = 2.5


@dataclass(frozen=True)
class Stamp:
    """Facts of a file that change if it is replaced or written; times in nanoseconds."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int  # not set by utime, which can reset `modified`; on Windows the time of creation


@dataclass(frozen=True)
class CheckedFile:
    """A file that was checked.

    Args:
        path: where it is.
        sha256: what `measure` returned, hexadecimal.
        stamp: of the file at the check.
        settled: a later change will show in the stamp.
        measure: hashes an open file, or the part of it that was checked.
    """

    path: Path
    sha256: str
    stamp: Stamp
    settled: bool
    measure: Callable[[BinaryIO], str]

    def read(self) -> bytes:
        """Read the file.

        Returns:
            The bytes that were checked.

        Raises:
            ArtifactError: the file was changed or removed since.
        """
        with self._opened() as file:
            before = _stamp(file)
            data = file.read()
            same = self.settled and before == self.stamp == _stamp(file)
        if not same and self.measure(io.BytesIO(data)) != self.sha256:
            raise self._changed()
        return data

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Make sure that a block that opens the file by its name gets the bytes that were checked.

        Raises:
            ArtifactError: the file was changed or removed since, or during the block; in place of
                any error that this caused in the block.
        """
        # An unsettled stamp is enough to begin with, because the bytes are hashed afterwards.
        before = self._confirm(settled=True), self._link()
        try:
            yield
        finally:
            if (self._confirm(settled=self.settled), self._link()) != before:
                raise self._changed()

    def _link(self) -> Stamp:
        """Stamp what the path names itself: a link that led to another file meanwhile has changed."""
        try:
            return _stamp_of(self.path.lstat())
        except OSError as error:
            raise self._unreadable(error) from error

    def _confirm(self, *, settled: bool) -> Stamp:
        with self._opened() as file:
            stamp = _stamp(file)
            same = settled and stamp == self.stamp
            if not same and self.measure(file) != self.sha256:
                raise self._changed()
        return stamp

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        try:
            with open_regular(self.path) as file:
                yield file
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> ArtifactError:
        return ArtifactError(
            f"{self.path} was checked, and cannot be read now: {error.strerror or error}. Try again."
        )

    def _changed(self) -> ArtifactError:
        return ArtifactError(
            f"{self.path} was changed since it was checked. Open the model again."
        )


def check_file(path: Path) -> tuple[CheckedFile, FileFacts]:
    """Hash a file, so that it can be used later as it is now.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    facts, stamp, settled = measured(path, _facts)
    return CheckedFile(path, facts.sha256, stamp, settled, _sha256), facts


def hash_file(path: Path) -> FileFacts:
    """Measure a file.

    Args:
        path: a regular file of any size; it is read in pieces.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    with open_regular(path) as file:
        return _facts(file)


def measured(path: Path, measure: Callable[[BinaryIO], T]) -> tuple[T, Stamp, bool]:
    """Measure a file from one opening of it.

    Args:
        path: a regular file.
        measure: gets the file, open at its beginning.

    Returns:
        What `measure` returned; the file's stamp; and whether that is the stamp of exactly what
        was read: the file was not written meanwhile, nor so shortly before that its times may not
        show another change.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    with open_regular(path) as file:
        before = _stamp(file)
        found = measure(file)
        after = _stamp(file)
    age = time.time() - max(after.modified, after.changed) / 1e9
    return found, before, before == after and age > _YOUNG


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; anything else (a pipe would wait for ever) is an OSError."""
    descriptor = os.open(
        path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is not a regular file")
    return open(descriptor, "rb", buffering=1 << 18)  # noqa: PTH123 - a descriptor has no path


def _stamp(file: BinaryIO) -> Stamp:
    return _stamp_of(os.fstat(file.fileno()))


def _stamp_of(found: os.stat_result) -> Stamp:
    return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _facts(file: BinaryIO) -> FileFacts:
    digest, size = hashlib.sha256(), 0
    buffer = bytearray(1 << 18)  # larger ones leave the processor's cache and are slower
    view = memoryview(buffer)
    while count := file.readinto(buffer):  # type: ignore[attr-defined]
        digest.update(view[:count])
        size += count
    return FileFacts(size, digest.hexdigest())


def _sha256(file: BinaryIO) -> str:
    return _facts(file).sha256
