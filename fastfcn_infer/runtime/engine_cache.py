"""A cache of the engines that a runtime compiles for one model on one device.

Compiled engines are code, so the cache guards against running somebody else's:
- against other users: the folder has to be this user's alone, and so does each entry;
- against damage: an entry is one file, written as a whole, that begins with the hash of the rest;
- against an engine for something else: the hash covers the entry's name, which stands for the
  model, the versions, the device and the settings.
An entry that fails a check is deleted, and the engines are compiled again. It does not guard
against this user's other programs or an administrator, who could change this package as well.

A runtime never works in the cache itself: it gets a copy of what was checked, and what it leaves
there is stored as a whole.
"""

import hashlib
import io
import json
import os
import secrets
import shutil
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

from fastfcn_infer.system import atomic
from fastfcn_infer.system.scratch import Scratch

_DIGEST = hashlib.sha256().digest_size


class UnsafeCacheError(Exception):
    """The cache folder is not private to this user, so it is not used."""


class Engines:
    """A private folder that a runtime compiles into, filled from the cache."""

    def __init__(self, root: Path, identity: Mapping[str, str]) -> None:
        """Copy the engines from the cache, if they pass the checks.

        Args:
            root: the cache; made if need be, for this user alone.
            identity: all that an engine depends on: the model's hash, versions, device, settings.

        Raises:
            UnsafeCacheError: `root` is a link, another user's, or open to others.
            OSError: the cache cannot be read or written.
        """
        key = hashlib.sha256(json.dumps(dict(identity), sort_keys=True).encode()).hexdigest()
        _make_private(root)
        atomic.sweep(root)
        self.folder = root / f".{key}.{secrets.token_hex(8)}.partial"
        self.folder.mkdir(mode=0o700)
        self._scratch = Scratch(self.folder)
        self._entry = root / f"{key}.engines"
        self._kept = _take_out(self._entry, self.folder)
        self._seen = self._look()

    def keep(self) -> None:
        """Cache what the runtime left in the folder, if it is new; nothing may be writing there.

        Raises:
            OSError: the folder is gone, or the cache cannot be written; nothing was kept.
        """
        os.utime(self.folder)  # in use, for those who go by age where folders cannot be locked
        now = self._look()
        if now == self._seen:
            return
        self._seen = now
        archive = _pack(self.folder)
        digest = _digest(self._entry, archive)
        if digest != self._kept:
            atomic.write_file(self._entry, digest + archive)
            self._kept = digest

    def close(self) -> None:
        """Remove the folder; closing twice is harmless."""
        self._scratch.remove()

    def _look(self) -> tuple[tuple[str, int, int], ...]:
        with os.scandir(self.folder) as entries:
            found = [(entry.name, entry.stat()) for entry in entries]
        return tuple(sorted((name, facts.st_size, facts.st_mtime_ns) for name, facts in found))


def _make_private(root: Path) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    root.mkdir(mode=0o700, exist_ok=True)
    status = root.lstat()
    if not stat.S_ISDIR(status.st_mode) or not _ours(status) or status.st_mode & _others():
        raise UnsafeCacheError(
            f"{root} is a link, belongs to another user or is open to others; delete it."
        )


def _ours(status: os.stat_result) -> bool:
    return os.name == "nt" or status.st_uid == os.geteuid()


def _others() -> int:
    return 0 if os.name == "nt" else 0o077  # Windows has no modes; the profile's folder is private


def _take_out(entry: Path, folder: Path) -> bytes:
    """Copy the files of an entry, return its hash; empty if absent, or deleted because wrong."""
    try:
        with entry.open("rb") as file:
            data = file.read() if _ours(os.fstat(file.fileno())) else b""
    except FileNotFoundError:
        return b""
    except OSError:  # a folder
        data = b""
    digest, archive = data[:_DIGEST], data[_DIGEST:]
    if digest != _digest(entry, archive):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)
        return b""
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        for name in files.namelist():
            (folder / name).write_bytes(files.read(name))
    return digest


def _pack(folder: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as files:  # not compressed: engines hardly shrink
        for path in sorted(folder.iterdir()):
            if path.is_file():
                files.writestr(zipfile.ZipInfo(path.name), path.read_bytes())
    return packed.getvalue()


def _digest(entry: Path, archive: bytes) -> bytes:
    return hashlib.sha256(entry.name.encode() + b"/" + archive).digest()
