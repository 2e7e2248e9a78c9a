"""The catalogue of published checkpoints (`catalogue.json`), and how to get one of them.

Nothing is downloaded unless a name is asked for.
"""

import difflib
import functools
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from fastfcn_infer.errors import ArtifactError, DownloadError
from fastfcn_infer.hub.download import download_file
from fastfcn_infer.system import record
from fastfcn_infer.system.cache import cache_folder


@dataclass(frozen=True)
class Entry:
    """A published checkpoint."""

    name: str
    title: str
    dialect: str
    classes: str  # one of `class_table_names`
    output_stride: int  # of the backbone
    backbone: str
    head: str
    url: str | None  # None: a program cannot download it
    page: str
    size: int | None  # bytes; None: not published
    sha256: str | None  # None: not published
    licence: str
    procedure: str  # how its authors came to the figures
    figures: Mapping[str, float]  # as published, percent


@dataclass(frozen=True)
class _Catalogue:
    entries: tuple[Entry, ...]


@functools.cache
def entries() -> tuple[Entry, ...]:
    """List all published checkpoints."""
    text = (resources.files("fastfcn_infer") / "assets" / "catalogue.json").read_bytes()
    return record.from_json(_Catalogue, text).entries


def find(name: str) -> Entry:
    """Find a checkpoint by name.

    Raises:
        ArtifactError: no such name; the message has similar ones.
    """
    known = {entry.name: entry for entry in entries()}
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, 3, 0.4)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    raise ArtifactError(
        f"{name!r} is neither a file or folder that exists nor a name of the catalogue.{hint} "
        "All names: fastfcn models"
    )


def fetch(name: str, cache: Path | None = None, *, local_files_only: bool = False) -> Path:
    """Return a published checkpoint, downloaded now or earlier.

    Args:
        name: one of `entries`.
        cache: where files are kept; None: `cache_folder`.
        local_files_only: download nothing; a missing file is an error.

    Returns:
        The checkpoint, with the published hash if one is published.

    Raises:
        ArtifactError: no such name.
        BackendMissing: it has to be downloaded, and the extra ``hub`` is not installed.
        DownloadError: it can only be downloaded by hand, must not be, or could not be.
    """
    entry = find(name)
    if entry.url is None:
        raise DownloadError(
            f"{name!r} cannot be downloaded by a program. Get the file from {entry.page}, then "
            "give its path in place of the name."
        )
    file = urllib.parse.urlsplit(entry.url).path.rpartition("/")[2]
    target = (cache or cache_folder()) / "checkpoints" / name / file
    return download_file(entry.url, target, sha256=entry.sha256, local_files_only=local_files_only)
