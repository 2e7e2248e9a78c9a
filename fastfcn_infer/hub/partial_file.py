"""The part of a download that is there already, kept for the next try, used by one process at a time.

Names are unique, so that where locks do nothing (some network disks) two processes do the same
work twice and nothing worse: both write the same bytes at the same places.
"""

import contextlib
import os
import re
import secrets
import sys
from pathlib import Path
from typing import IO

from fastfcn_infer.system import atomic

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class PartialFile:
    """An open and locked ``<target>.<key>.<random>.partial``."""

    def __init__(self, path: Path, key: str, file: IO[bytes]) -> None:
        self.path, self.key, self._file = path, key, file

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return os.fstat(self._file.fileno()).st_size

    def cut(self, size: int) -> None:
        """Keep the first `size` bytes; the next `write` goes behind them."""
        self._file.truncate(size)
        self._file.seek(size)

    def write(self, data: bytes) -> None:
        """Write behind what was written before."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def publish(self, target: Path) -> None:
        """Bring the content to the disk and give it the name `target`."""
        os.fsync(self._file.fileno())
        if os.name == "nt":  # does not rename open files
            self.close()
        self.path.replace(target)
        atomic.sync(target.parent)
        self.close()  # only now: whoever waits for the lock finds another file, or none

    def discard(self) -> None:
        """Delete it."""
        if os.name == "nt":
            self.close()
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Leave it for the next try; twice is harmless."""
        self._file.close()


def create(target: Path, key: str) -> PartialFile:
    """Begin an empty one.

    Args:
        target: the final name.
        key: 16 hexadecimal digits that tell versions of the remote file apart.
    """
    while True:
        path = target.parent / f"{target.name}.{key}.{secrets.token_hex(4)}.partial"
        file = path.open("xb+", buffering=0)
        if _hold(file, path):
            return PartialFile(path, key, file)
        file.close()  # somebody took it for an abandoned one before we could lock it


def claim(target: Path) -> PartialFile | None:
    """Take over the longest one that no living process works on; None where there is none.

    Args:
        target: the final name.
    """
    pattern = re.compile(re.escape(target.name) + r"\.([0-9a-f]{16})\.[0-9a-f]{8}\.partial")
    found = [(path, pattern.fullmatch(path.name)) for path in target.parent.iterdir()]
    ours = [(path, match[1]) for path, match in found if match]
    for path, key in sorted(ours, key=lambda pair: _size(pair[0]), reverse=True):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            file = path.open("rb+", buffering=0)
            if _hold(file, path):
                return PartialFile(path, key, file)
            file.close()
    return None


def clear(target: Path) -> None:
    """Delete those that no living process works on."""
    while left := claim(target):
        left.discard()


def _hold(file: IO[bytes], path: Path) -> bool:
    """Lock the file; False where another process has it, or had it and has renamed or deleted it."""
    try:
        return _lock(file) and os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _lock(file: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            file.seek(1 << 40)  # far behind the content, which stays readable for others
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # Windows says so when it is locked; a file system without locks, too
        return os.name != "nt"
    return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # gone meanwhile
        return 0
