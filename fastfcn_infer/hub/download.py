"""Downloads: a file from an address (by pooch), an artifact from the Hugging Face Hub.

Both clients belong to the extra ``hub`` and are imported only when they are needed. They write under
temporary names, so a file is whole under its final name or absent, whatever was interrupted and
however many processes download it at once.
"""

import glob
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastfcn_infer.artifact import manifest
from fastfcn_infer.artifact.artifact import listed_files
from fastfcn_infer.artifact.checked_file import hash_file
from fastfcn_infer.errors import ArtifactError, DownloadError, FastFCNError
from fastfcn_infer.hub.client import (
    OFFLINE,
    hub_errors,
    hub_logger,
    offline,
    package,
    quiet,
    reason_of,
)
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.progress import shows_progress

HUB = "hub:"  # how the names of models on the Hugging Face Hub begin

_TIMEOUT = 30.0  # seconds, to connect and to wait for the next bytes
_PIECE = 1 << 18  # bytes
_SHOWN = 8  # files of a repository named in a message
_PART = r"\w[\w.-]{0,95}"  # of a path; nothing that leads out of a folder
_HUB_NAME = re.compile(
    rf"{HUB}(?!.*\.\.)(?![^@]*--)(?P<repository>{_PART}/{_PART})(?:@(?P<revision>{_PART}(?:/{_PART})*))?",
    re.ASCII,
)


@dataclass(frozen=True)
class HubName:
    """An artifact on the Hugging Face Hub."""

    repository: str  # OWNER/NAME
    revision: str | None  # a branch, tag or commit; None: the default branch


def parse_hub_name(name: str) -> HubName:
    """Read a name such as ``hub:OWNER/NAME`` or ``hub:OWNER/NAME@REVISION``.

    Raises:
        ArtifactError: the name has another form.
    """
    match = _HUB_NAME.fullmatch(name)
    if match is None:
        raise ArtifactError(
            f"{name[:200]!r} is not the name of a model on the hub: {HUB}OWNER/NAME or "
            f"{HUB}OWNER/NAME@REVISION was expected, with a branch, tag or commit as revision."
        )
    return HubName(match["repository"], match["revision"])


def download_file(
    url: str, target: Path, *, sha256: str | None = None, local_files_only: bool = False
) -> Path:
    """Download a file, unless it was downloaded before.

    Args:
        url: http or https.
        target: the final name.
        sha256: of the whole file, hexadecimal; None if unknown.
        local_files_only: download nothing; a missing file is an error.

    Returns:
        `target`, whole and with the right hash.

    Raises:
        BackendMissing: it has to be downloaded, and the extra ``hub`` is not installed.
        DownloadError: it could not be downloaded, or is not what was expected.
    """
    sha256 = None if sha256 is None else sha256.lower()
    try:
        if target.is_file() and sha256 in (None, hash_file(target).sha256):
            return target
        if local_files_only or offline():
            raise DownloadError(
                f"{target} is missing or was changed, and {_switch(local_files_only)} forbids "
                f"downloads. Allow them, or save {url} there yourself."
            )
        pooch = package("pooch", f"{url} has to be downloaded")
        with quiet(pooch.get_logger()):
            pooch.retrieve(url, sha256, fname=target.name, path=target.parent, downloader=_receive)
    except (OSError, ValueError) as error:  # ValueError: a wrong hash
        raise _failure(url, target.parent, error, f"save it as {target} yourself") from error
    return target


def download_artifact(name: str, cache: Path, *, local_files_only: bool = False) -> Path:
    """Download the files of an artifact that are missing in the cache, and no others.

    Args:
        name: as `parse_hub_name` reads it. Without a network, the revision that was downloaded last
            is used.
        cache: folder of all repositories, in the layout of huggingface_hub.
        local_files_only: download nothing; a missing file is an error.

    Returns:
        The artifact's folder; `open_artifact` has to check it.

    Raises:
        ArtifactError: the name has another form, or the repository holds no artifact.
        BackendMissing: the extra ``hub`` is not installed.
        DownloadError: it could not be downloaded.
    """
    asked = parse_hub_name(name)
    hub = package("huggingface_hub", f"{name} has to be downloaded")
    forbidden = local_files_only or offline()

    def fetch(revision: str | None, names: list[str], *, quietly: bool) -> Path:
        folder = hub.snapshot_download(
            asked.repository,
            revision=revision,
            cache_dir=cache,
            allow_patterns=names,
            local_files_only=forbidden,
            tqdm_class=_bar(hub, hidden=quietly),
        )
        return Path(folder)

    try:
        with quiet(hub_logger()):
            folder = fetch(asked.revision, [manifest.NAME], quietly=True)
            if not (folder / manifest.NAME).is_file():
                held = _held(hub, asked.repository, folder, forbidden=forbidden)
                raise ArtifactError(_no_artifact(name, held))
            try:
                listed = listed_files(folder)
            except ArtifactError as error:
                raise ArtifactError(f"{name} was downloaded, but {error}") from error
            names = [manifest.NAME, *map(glob.escape, listed)]
            found = fetch(folder.name, names, quietly=False)
    except FastFCNError:
        raise
    except hub_errors(hub) as error:
        if forbidden:
            raise _not_kept(name, cache, _switch(local_files_only)) from error
        advice = "check the name; HF_TOKEN gives access to private repositories"
        raise _failure(name, cache, error, advice) from error
    # Before version 2 huggingface_hub does not notice.
    if forbidden and not all((found / file).is_file() for file in listed):
        raise _not_kept(name, cache, _switch(local_files_only))
    return found


def _receive(url: str, file: str, pooch: object) -> None:
    """Download to the temporary file of pooch, and refuse a web page in place of the file."""
    from pooch import HTTPDownloader
    from requests import HTTPError

    # The temporary file is for this user alone; a new one can be read by whom the umask allows.
    Path(file).unlink()
    get = HTTPDownloader(
        progressbar=shows_progress(),
        chunk_size=_PIECE,
        timeout=_TIMEOUT,
        # A body that is compressed on the way and cut off could not be told by its length.
        headers={"Accept-Encoding": "identity"},
    )
    try:
        get(url, file, pooch)
    except HTTPError as error:
        error.response.close()  # pooch leaves it open
        raise
    with Path(file).open("rb") as received:
        start = received.read(512).lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise DownloadError(
            f"{url} was not downloaded: a web page came in its place. Open the address in a browser "
            "to see why."
        )


def _bar(hub: Any, *, hidden: bool) -> type:
    """Make the class of progress bars: hidden, or drawn on terminals only, which None means."""
    disable = True if hidden or not shows_progress() else None

    class Bar(hub.utils.tqdm):  # type: ignore[misc] # a class that mypy does not see
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "disable": disable})

    return Bar


def _held(hub: Any, repository: str, folder: Path, *, forbidden: bool) -> list[str]:
    """Name the files of a repository, or those that were downloaded of it."""
    if forbidden:
        return [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return list(hub.HfApi().list_repo_files(repository, revision=folder.name))


def _no_artifact(name: str, held: list[str]) -> str:
    shown = ", ".join(map(printable, sorted(held)[:_SHOWN])) or "no files"
    more = f" and {len(held) - _SHOWN} more" if len(held) > _SHOWN else ""
    below = [file for file in held if file.endswith(f"/{manifest.NAME}")]
    advice = (
        f"Of an artifact in a sub-folder, such as {printable(min(below))}, download the sub-folder"
        if below
        else "Of a checkpoint, download the file"
    )
    return (
        f"{name} is not an artifact: the repository has no {manifest.NAME}; it holds {shown}{more}. "
        f"{advice} and give its path; an artifact is a folder that fastfcn-export wrote."
    )


def _switch(local_files_only: bool) -> str:
    return "local_files_only (--offline)" if local_files_only else OFFLINE


def _not_kept(name: str, cache: Path, switch: str) -> DownloadError:
    return DownloadError(
        f"{name} was not downloaded to {cache} before, or not all of it, and {switch} forbids "
        "downloads. Allow them once."
    )


def _failure(what: str, folder: Path, error: Exception, advice: str) -> DownloadError:
    if isinstance(error, OSError) and error.errno is not None:  # the disk's; clients set none
        return DownloadError(
            f"{what} was not downloaded: {folder} cannot be used: {error.strerror}. Make room "
            "there, or choose another folder: cache_dir, --cache-dir or FASTFCN_CACHE."
        )
    reason = reason_of(error)
    return DownloadError(f"{what} was not downloaded: {reason}. Try again, or {advice}.")
