"""Where downloaded files and what was made of them are kept."""

import os
import sys
from pathlib import Path

from fastfcn_infer.errors import DownloadError

VARIABLE = "FASTFCN_CACHE"


def cache_folder() -> Path:
    """Say where the cache of this user is; the folder need not exist.

    Returns:
        The environment's FASTFCN_CACHE, else the system's place for caches: ``$XDG_CACHE_HOME`` or
        ``~/.cache``, ``~/Library/Caches`` on macOS, ``%LOCALAPPDATA%`` on Windows.

    Raises:
        DownloadError: this user has no home folder.
    """
    own = os.environ.get(VARIABLE)
    if own:
        return Path(own).expanduser().absolute()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else _home() / "AppData" / "Local") / "fastfcn" / "Cache"
    if sys.platform == "darwin":
        return _home() / "Library" / "Caches" / "fastfcn"
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The specification says that relative paths are to be ignored.
    return (shared if shared.is_absolute() else _home() / ".cache") / "fastfcn"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise DownloadError(
            f"There is no home folder to keep downloads in ({error}). Set {VARIABLE} to a folder."
        ) from error
