"""The files in a folder of ours that are not ours: found, and kept when the folder is replaced."""

import contextlib
import os
import shutil
import stat
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from fastfcn_infer.errors import ArtifactError


def other_files(folder: Path, ours: Collection[str]) -> tuple[str, ...]:
    """List what a folder holds besides our files: files, links and empty folders.

    Args:
        folder: is searched with its sub-folders; links are not followed.
        ours: names of our files, relative, with forward slashes.

    Returns:
        Names likewise, sorted.

    Raises:
        OSError: a sub-folder cannot be read.
    """
    found = []
    for place, folders, files in os.walk(folder, onerror=_raise):
        inside = Path(place).relative_to(folder)
        links = [name for name in folders if Path(place, name).is_symlink()]
        found += [(inside / name).as_posix() for name in [*files, *links]]
        if not folders and not files and inside.parts:
            found.append(inside.as_posix())
    return tuple(sorted(set(found).difference(ours)))


def carry_over(names: Collection[str], old: Path, new: Path) -> None:
    """Put files of one folder into another as well, without reading them where that is possible.

    Args:
        names: as `other_files` returns them.
        old: holds them; stays as it is.
        new: on the same file system.

    Raises:
        ArtifactError: `new` has something of that name already, or it is a pipe, socket or device.
        OSError: a file cannot be linked or copied.
    """
    for name in names:
        source, target = old / name, new / name
        with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
            mode = source.lstat().st_mode
            if os.path.lexists(target) and not (stat.S_ISDIR(mode) and target.is_dir()):
                raise ArtifactError(_in_the_way(source))
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError) as error:
                raise ArtifactError(_in_the_way(source)) from error
            _copy(source, target, mode)
    _copy_modes(names, old, new)


def bring_back(names: Iterable[str], old: Path, new: Path) -> None:
    """Move what appeared in the old folder after `carry_over`; what `new` has stays as it is."""
    for name in names:
        source, target = old / name, new / name
        if not os.path.lexists(target):
            with contextlib.suppress(OSError):
                target.parent.mkdir(parents=True, exist_ok=True)
                source.rename(target)


def _copy(source: Path, target: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        target.mkdir(exist_ok=True)
    elif stat.S_ISLNK(mode):
        target.symlink_to(source.readlink())
    elif stat.S_ISREG(mode):
        try:
            os.link(source, target)
        except FileNotFoundError:
            raise
        except OSError:  # this file system has no hard links, or none to this file
            shutil.copy2(source, target)
    else:
        raise ArtifactError(
            f"{source} is a pipe, a socket or a device, which cannot be kept when its folder is "
            "replaced. Choose another folder."
        )


def _copy_modes(names: Iterable[str], old: Path, new: Path) -> None:
    """Give folders the permissions that they had: what is private must not become public."""
    folders = {PurePosixPath()}
    for name in names:
        folders |= {PurePosixPath(name), *PurePosixPath(name).parents}
    for folder in sorted(folders, reverse=True):  # inner ones first: an outer one may be read-only
        if (old / folder).is_dir() and not (old / folder).is_symlink():
            with contextlib.suppress(FileNotFoundError):  # another process replaces it just now
                shutil.copymode(old / folder, new / folder)


def _in_the_way(path: Path) -> str:
    return (
        f"{path} is not part of the existing artifact, and the new one has a file of the same name. "
        "Nothing was replaced; move it away, or choose another folder."
    )


def _raise(error: OSError) -> None:
    raise error
