"""What a runtime compiled for one model on one device, kept for the next time.

Compiled engines are code: whoever can change one runs what they like. So the cache is a folder of
this user alone; a file of it is used only if a hash made with this user's secret says that we put
it there, for exactly this model, these versions and this device. Anything else is thrown away and
compiled again. A runtime never works in the cache itself: it gets a copy of what was checked, and
what it leaves there is stored as a whole when it is done.
"""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import shutil
import stat
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path

from fastfcn_infer.errors import ArtifactError
from fastfcn_infer.system import atomic

_SEAL = "manifest.json"  # the name that `atomic.write_folder` knows folders of ours by
_SECRET = "secret"
_SECRET_BYTES = 32
_LARGEST_SEAL = 1 << 20  # bytes


class UnsafeCacheError(Exception):
    """The folder is not this user's alone; nothing is kept in it and nothing used from it."""


class Engines:
    """A private folder that a runtime compiles into, begun with what was kept for the same."""

    def __init__(self, root: Path, identity: Mapping[str, str]) -> None:
        """Take out what was kept, if it is right.

        Args:
            root: the cache; made if need be, for this user alone.
            identity: all that an engine depends on: the model's hash, versions, device, settings.

        Raises:
            UnsafeCacheError: `root` is a link, another user's, or open to others.
            OSError: the cache cannot be read or written.
        """
        key = hashlib.sha256(json.dumps(dict(identity), sort_keys=True).encode()).hexdigest()
        self._secret = _open(root)
        atomic.sweep(root)
        self._entry = root / key
        # Swept, should we be killed; removed when this object or the process ends.
        self.folder = root / f".{key}.{secrets.token_hex(8)}.partial"
        self.folder.mkdir(mode=0o700)
        self.close = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self._kept = _take_out(self._entry, self.folder, self._secret)
        self._seen = self._look()

    def keep(self) -> None:
        """Keep what the runtime left in the folder, if that is new; nobody may be writing there.

        Raises:
            OSError: the cache cannot be written.
        """
        os.utime(self.folder)  # in use, so not swept
        now = self._look()
        if now != self._seen:
            self._seen = now
            self._kept = _put_in(self._entry, self.folder, self._secret, self._kept)

    def _look(self) -> tuple[tuple[str, int, int], ...]:
        with os.scandir(self.folder) as entries:
            found = [(entry.name, entry.stat()) for entry in entries]
        return tuple(sorted((name, facts.st_size, facts.st_mtime_ns) for name, facts in found))


def _open(root: Path) -> bytes:
    """Check that the folder is ours alone and return the secret."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        root.mkdir(mode=0o700)
    _check(root, stat.S_ISDIR)
    path = root / _SECRET
    if not path.exists():
        fresh = root / f".{_SECRET}.{secrets.token_hex(8)}.partial"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no path
            file.write(secrets.token_bytes(_SECRET_BYTES))
        try:
            with contextlib.suppress(FileExistsError):  # another process was quicker: theirs
                os.link(fresh, path)
        finally:
            fresh.unlink()
    _check(path, stat.S_ISREG)
    secret = path.read_bytes()
    if len(secret) != _SECRET_BYTES:
        raise UnsafeCacheError(f"{path} is damaged; delete {root}.")
    return secret


def _check(path: Path, right_kind: Callable[[int], bool]) -> None:
    status = path.lstat()
    wrong = not right_kind(status.st_mode)
    if os.name != "nt":  # where modes and owners say nothing; the profile's folder is private
        wrong |= status.st_uid != os.geteuid() or bool(status.st_mode & 0o077)
    if wrong:
        raise UnsafeCacheError(
            f"{path} is a link, belongs to somebody else or is open to others; delete it."
        )


def _take_out(entry: Path, work: Path, secret: bytes) -> Mapping[str, str]:
    """Copy the files of an entry if every one is right; else throw the entry away."""
    atomic.recover(entry)
    try:
        sealed = _read_seal(entry / _SEAL)
        if sorted(os.listdir(entry)) != sorted([*sealed, _SEAL]):  # noqa: PTH208 - names only
            raise ValueError("a file too many or too few")
        for name, seal in sealed.items():
            data = (entry / name).read_bytes()
            if not hmac.compare_digest(_sign(secret, entry.name, name, data), seal):
                raise ValueError(f"{name} is not what was kept")
            (work / name).write_bytes(data)
    except (OSError, ValueError):
        shutil.rmtree(entry, ignore_errors=True)
        for path in work.iterdir():
            path.unlink()
        return {}
    return sealed


def _read_seal(path: Path) -> dict[str, str]:
    if path.stat().st_size > _LARGEST_SEAL:
        raise ValueError("not a seal")
    sealed = json.loads(path.read_bytes())
    if not isinstance(sealed, dict) or not all(isinstance(s, str) for s in sealed.values()):
        raise ValueError("not a seal")
    if any(Path(name).name != name or name == _SEAL for name in sealed):
        raise ValueError("a name that leaves the folder")
    return sealed


def _put_in(
    entry: Path, work: Path, secret: bytes, before: Mapping[str, str]
) -> Mapping[str, str]:
    files = {path.name: path.read_bytes() for path in work.iterdir() if path.is_file()}
    after = {name: _sign(secret, entry.name, name, data) for name, data in files.items()}
    if not after or after == before:
        return before
    # One that another process kept meanwhile, with its own engines, is replaced as a whole.
    with (
        contextlib.suppress(ArtifactError),  # something foreign appeared: next time it is removed
        atomic.write_folder(entry, replace=True) as folder,
    ):
        for name, data in files.items():
            (folder / name).write_bytes(data)
        (folder / _SEAL).write_text(json.dumps(after))
    return after


def _sign(secret: bytes, key: str, name: str, data: bytes) -> str:
    text = f"{key}/{name}/".encode() + hashlib.sha256(data).digest()
    return hmac.new(secret, text, hashlib.sha256).hexdigest()
