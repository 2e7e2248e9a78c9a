"""Files and folders that are written completely or not at all, even if the process is killed.

A file is written under a temporary name in the same folder, flushed to the disk, and renamed. So
is a folder; if one of that name exists already the two change places in one step.
"""

import contextlib
import ctypes
import errno
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from fastfcn_infer.errors import ArtifactError
from fastfcn_infer.system.excerpt import listing, printable
from fastfcn_infer.system.other_files import bring_back, carry_over, other_files
from fastfcn_infer.system.warn import warn
from fastfcn_infer.system.writing import write_all, writing

if sys.platform != "win32":
    import fcntl

# Names the files of ours in a folder, relative, with forward slashes; raises ArtifactError if the
# folder is not ours.
Ours = Callable[[Path], Collection[str]]

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{16}\.(?P<kind>partial|old)")
_MOST_NAMED = 8  # files in a warning
_ATTEMPTS = 16  # other processes may write the same folder; each attempt needs one of them to win
_IN_THE_WAY = (errno.EEXIST, errno.ENOTEMPTY, errno.EACCES if os.name == "nt" else errno.EEXIST)


def write_file(path: Path, data: bytes) -> None:
    """Write a file; an existing one of that name stays as it was until it is replaced in one step.

    Args:
        path: where; its folder exists.
        data: the whole content.

    Raises:
        WriteError: it could not be written; `path` is what it was before.
    """
    with writing(path):
        _write_file(path, (data,))


def write_parts(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file as `write_file` does, from parts that need not be in memory together.

    Raises:
        WriteError: it could not be written; `path` is what it was before.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_file(path, parts)


def _write_file(path: Path, parts: Iterable[bytes]) -> None:
    temporary, descriptor = open_temporary(path.parent)
    held = True
    try:
        for part in parts:
            write_all(descriptor, part)
        os.fsync(descriptor)
        if sys.platform == "win32":  # where an open file cannot be renamed, and none is locked
            os.close(descriptor)
            held = False
        os.replace(temporary, path)  # noqa: PTH105 - every system call here goes through os
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        if held:
            os.close(descriptor)
    sync(path.parent)


def open_temporary(folder: Path) -> tuple[Path, int]:
    """Make a file under a temporary name, locked so that `sweep` knows it is in use.

    Args:
        folder: where it is to be renamed.

    Returns:
        Its path, and a descriptor to write to, which holds the lock until it is closed.

    Raises:
        OSError: it cannot be made.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        # It says nothing of the final name, which may be as long as the file system allows.
        temporary = folder / f".fastfcn.{secrets.token_hex(8)}.partial"
        # Exclusive, so that no link is followed; the user's umask decides who may read it.
        descriptor = os.open(temporary, flags, 0o666)
        if _hold(descriptor):
            return temporary, descriptor
        os.close(descriptor)  # another process took it for one that was left, a moment ago
        temporary.unlink(missing_ok=True)


def _hold(descriptor: int) -> bool:
    """Lock a new file; False: another process is about to remove it, or has."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no locks here
        return True
    return os.fstat(descriptor).st_nlink > 0


def has_content(path: Path) -> bool:
    """Tell whether a file exists and is not empty; an empty one is not a result of `write_file`."""
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:  # deleted meanwhile, or its name is longer than any file's
        return False


@contextlib.contextmanager
def write_folder(folder: Path, *, replace: Ours | None) -> Iterator[Path]:
    """Fill a temporary folder that takes the name `folder` when the block ends without an error.

    At every moment, and after a kill at any moment, `folder` is the old one or the new one. Files in
    it that are not ours are kept: the new folder holds them, too, and a warning names them.

    Args:
        folder: where the result is to be; parents are made. A link is followed.
        replace: names our files in a folder that exists, which are replaced; None: none may exist.

    Yields:
        The temporary folder, empty, in the same parent.

    Raises:
        FileExistsError: `folder` exists and `replace` is None, which is found before the block runs unless
            another process was quicker.
        ArtifactError: `folder` is not empty and not ours, which is found before the block runs; or a
            file that is not ours has the name of a new one.
        WriteError: the file system refused; `folder` is what it was before.
        OSError: a file that is not ours cannot be read.
    """
    asked = folder
    folder = Path(os.path.realpath(folder))
    with writing(asked):
        folder.parent.mkdir(parents=True, exist_ok=True)
        if replace is None and folder.is_file():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    sweep(folder.parent)
    recover(folder)
    _others(folder, replace)
    partial = _temporary(folder, "partial")
    with writing(asked):
        os.mkdir(partial)  # noqa: PTH102 - see write_file
    held = lock(partial)
    try:
        with writing(asked, partial):
            yield partial
            others = _others(folder, replace)  # again: the block may have taken an hour
            carry_over(others, folder, partial)
            with writing(asked):
                _sync_tree(partial)
            _take_place(partial, folder, replace)
        with contextlib.suppress(ArtifactError, OSError):
            # By now the old content, if any; something may have been put there a moment ago.
            bring_back(_others(partial, replace), partial, folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # the old content, or a failed new one
        unlock(held)
    if others:
        warn(
            f"{folder} was replaced, except for files that are not part of it, which were left: "
            f"{listing([printable(name) for name in others], most=_MOST_NAMED)}"
        )


def recover(folder: Path) -> None:
    """Put back a folder whose replacement was cut off half-way, or delete what it replaced.

    Only systems that cannot swap two folders in one step ever leave anything to recover.

    Args:
        folder: the final name.
    """
    # List first, look second: what was listed is not needed once `folder` is seen complete.
    old = [
        path
        for path, name, kind in _temporaries(folder.parent)
        if (name, kind) == (folder.name, "old")
    ]
    if old and not os.path.lexists(folder):
        newest = max(old, key=_modified)
        with contextlib.suppress(OSError):  # another process was quicker
            os.rename(newest, folder)  # noqa: PTH104 - see write_file
            old.remove(newest)
    if os.path.lexists(folder):
        for path in old:
            _discard(path, folder)


_DAY = 86400.0  # seconds; no process takes longer for a file, or leaves a folder untouched so long
ABANDONED = (
    2.0  # seconds after which what could be locked and is not was left by a process that is gone
)


def sweep(parent: Path, older_than: float = _DAY) -> None:
    """Remove what killed processes left in a folder; nothing but our own temporary names.

    Args:
        parent: the folder to look into, not below.
        older_than: seconds since the last change of a folder; younger ones may still be in use. What a
            living process has locked is in use, however old it is. Where nothing can be locked, a day is
            the least.
    """
    limit = time.time() - older_than
    for path, name, kind in _temporaries(parent):
        if path.is_symlink():
            continue
        if path.is_file():
            _remove_left(path)
        elif _modified(path) > limit:
            continue
        elif kind == "old":
            recover(parent / name)
        elif not _locked(path, unknown=_modified(path) > time.time() - _DAY):
            shutil.rmtree(path, ignore_errors=True)


def _remove_left(path: Path) -> None:
    """Remove a file that no living process holds; where that cannot be told, if it is a day old."""
    descriptor = None
    with contextlib.suppress(OSError):
        left = _modified(path) < time.time() - _DAY
        if sys.platform != "win32":
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left = True
            except BlockingIOError:
                left = False
            except OSError:  # no locks here
                pass
        if left:
            path.unlink()  # while it is locked, so that a process that has just made it notices
    unlock(descriptor)


def lock(folder: Path) -> int | None:
    """Mark a folder as in use until `unlock`, or until this process has ended, however it ends.

    Args:
        folder: or file, under one of our temporary names, just made.

    Returns:
        What `unlock` takes; None where folders cannot be locked (Windows, some network file
        systems): there only their age protects them.
    """
    if sys.platform == "win32":
        return None
    descriptor = None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        unlock(descriptor)
        return None
    return descriptor


def unlock(descriptor: int | None) -> None:
    """Release what `lock` returned."""
    if descriptor is not None:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _locked(folder: Path, *, unknown: bool = False) -> bool:
    """Tell whether a living process has locked a folder or file; `unknown` where that cannot be told."""
    if sys.platform == "win32":
        return unknown
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no locks here
        return unknown
    finally:
        unlock(descriptor)
    return False


def _others(folder: Path, replace: Ours | None) -> tuple[str, ...]:
    """Check that a folder may be replaced, and list what in it is not ours."""
    if not os.path.lexists(folder):
        return ()
    if replace is None:
        raise _exists(folder)
    for _ in range(_ATTEMPTS):
        try:
            if not os.listdir(folder):  # noqa: PTH208 - see write_file
                return ()
            ours = replace(folder)
            others = other_files(folder, ours)
            if replace(folder) == ours:  # else another process replaced it while it was searched
                return others
        except FileNotFoundError:  # another process is between its two renames
            if not os.path.lexists(folder):
                return ()
        except NotADirectoryError as error:
            raise ArtifactError(
                f"{folder} is a file, not an artifact; it is not replaced. Choose another folder."
            ) from error
    raise _busy(folder)


def _take_place(partial: Path, folder: Path, replace: Ours | None) -> None:
    for _ in range(_ATTEMPTS):
        try:
            os.rename(partial, folder)  # noqa: PTH104 - see write_file
            return
        except OSError as error:
            if error.errno not in _IN_THE_WAY:
                raise
            if replace is None:
                raise _exists(folder) from error
        _others(folder, replace)  # it may have appeared meanwhile
        if _swap(partial, folder):
            return
    raise _busy(folder)


def _exists(folder: Path) -> FileExistsError:
    return FileExistsError(
        errno.EEXIST, "exists already; give --force (replace=True) to replace it", str(folder)
    )


def _busy(folder: Path) -> OSError:
    return OSError(errno.EBUSY, "other processes keep replacing this folder", str(folder))


def _swap(partial: Path, folder: Path) -> bool:
    """Exchange the two; False if another process interfered and the caller has to try again."""
    try:
        if _exchange(os.fsencode(partial), os.fsencode(folder)):
            return True
        old = _temporary(folder, "old")
        try:
            os.rename(folder, old)  # noqa: PTH104 - see write_file
            os.rename(partial, folder)  # noqa: PTH104 - see write_file
            with contextlib.suppress(OSError):
                os.rename(old, partial)  # noqa: PTH104 - as if they had been exchanged
        finally:
            recover(folder)
        return True
    except OSError as error:
        if error.errno in (errno.ENOENT, *_IN_THE_WAY) and partial.is_dir():
            return False
        raise


def _exchange(first: bytes, second: bytes) -> bool:
    """Exchange two names in one step; False if the system cannot.

    Source: renameat2(2) with RENAME_EXCHANGE; macOS renamex_np(2) with RENAME_SWAP.
    """
    if sys.platform == "win32":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        if not hasattr(library, "renamex_np"):
            return False
        result = library.renamex_np(first, second, ctypes.c_uint(2))
    else:
        if not hasattr(library, "renameat2"):
            return False
        here = ctypes.c_int(-100)  # AT_FDCWD
        result = library.renameat2(here, first, here, second, ctypes.c_uint(2))
    if result == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM):
        return False
    raise OSError(code, os.strerror(code), os.fsdecode(first), None, os.fsdecode(second))


def _temporary(folder: Path, kind: str) -> Path:
    return folder.parent / f".{folder.name}.{secrets.token_hex(8)}.{kind}"


def _temporaries(parent: Path) -> list[tuple[Path, str, str]]:
    try:
        with os.scandir(parent) as entries:
            matches = [(entry, _TEMPORARY.fullmatch(entry.name)) for entry in entries]
    except OSError:  # absent, or not readable
        return []
    return [(Path(entry.path), match["name"], match["kind"]) for entry, match in matches if match]


def _discard(path: Path, folder: Path) -> None:
    # Renamed before it is deleted: half a folder must never look like one to recover.
    doomed = _temporary(folder, "partial")
    with contextlib.suppress(OSError):
        os.rename(path, doomed)  # noqa: PTH104 - see write_file
    shutil.rmtree(doomed, ignore_errors=True)


def _modified(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:  # gone meanwhile
        return time.time()


def _sync_tree(folder: Path) -> None:
    for place, _, files in os.walk(folder, topdown=False):
        for name in files:
            path = Path(place, name)
            if not path.is_symlink():
                sync(path)
        sync(Path(place))


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows has no handle for it
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
