"""The cache folder, where downloads and conversions are kept."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from fastfcn_infer.errors import DownloadError

VARIABLE = "FASTFCN_CACHE"


def cache_folder() -> Path:
    """Return the cache folder of this user, which need not exist.

    Returns:
        FASTFCN_CACHE if it is set, else the system's place for caches: ``$XDG_CACHE_HOME`` or
        ``~/.cache``, ``~/Library/Caches`` on macOS, ``%LOCALAPPDATA%`` on Windows.

    Raises:
        DownloadError: this user has no home folder.
    """
    own = os.environ.get(VARIABLE)
    if own:
        return _home(Path(own).expanduser).absolute()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (
            (Path(local) if local else _home(Path.home) / "AppData" / "Local")
            / "fastfcn"
            / "Cache"
        )
    if sys.platform == "darwin":
        return _home(Path.home) / "Library" / "Caches" / "fastfcn"
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The specification says that relative paths are to be ignored.
    return (shared if shared.is_absolute() else _home(Path.home) / ".cache") / "fastfcn"


def _home(find: Callable[[], Path]) -> Path:
    try:
        return find()
    except RuntimeError as error:
        raise DownloadError(
            f"There is no home folder to keep downloads and conversions in ({error}). Choose a "
            f"folder: cache_dir, --cache-dir or {VARIABLE}."
        ) from error
