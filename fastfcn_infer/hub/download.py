"""Fetch a file over HTTP: whole and right under its final name, or not there at all.

What came before a cut is kept and used by the next try; nothing is fetched without being asked.

Source: RFC 9110, sections 8.8 (validators) and 14.4 (Content-Range).
"""

import contextlib
import hashlib
import http.client
import os
import re
import shutil
import time
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from fastfcn_infer.artifact.artifact import hash_file
from fastfcn_infer.artifact.manifest import FileFacts
from fastfcn_infer.errors import DownloadError
from fastfcn_infer.hub import partial_file, web
from fastfcn_infer.hub.partial_file import PartialFile
from fastfcn_infer.system import atomic, record
from fastfcn_infer.system.progress import Progress

OFFLINE = "FASTFCN_OFFLINE"  # the variable with which users forbid downloads

_ATTEMPTS = 3
_PAUSE = 0.5  # seconds before the second attempt; longer before later ones
_SPARE = 16 << 20  # bytes that stay free on the disk


@dataclass(frozen=True)
class Record:
    """What was fetched; kept beside the file, so that a change on the disk is noticed."""

    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class _Job:
    url: str
    target: Path
    size: int | None
    sha256: str | None
    timeout: float
    progress: bool


def offline() -> bool:
    """Tell whether the user forbade downloads with FASTFCN_OFFLINE."""
    return os.environ.get(OFFLINE, "").lower() not in ("", "0", "false", "no", "off")


def download(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    timeout: float = 30.0,
    progress: bool = True,
    local_files_only: bool = False,
) -> FileFacts:
    """Fetch a file, unless it is there already, whole and right.

    Several processes may fetch the same file at the same time.

    Args:
        url: http or https; redirects stay within these, and https stays https.
        target: the final name. ``<target>.json`` beside it keeps the hash.
        size: bytes, where known.
        sha256: hexadecimal, where known.
        timeout: seconds, to connect and for each kilobyte.
        progress: draw a bar where standard error is a terminal.
        local_files_only: fetch nothing; a file that is not there is an error.

    Returns:
        Size and hash of the file.

    Raises:
        DownloadError: it could not be fetched, or is not what was promised; what came is kept
            for the next try.
    """
    job = _Job(url, target, size, sha256.lower() if sha256 else None, timeout, progress)
    try:
        present = _present(job)
        if present:
            return present
        if local_files_only or offline():
            switch = "local_files_only" if local_files_only else OFFLINE
            raise DownloadError(f"{switch} is set, and the file is not there, or was changed")
        target.parent.mkdir(parents=True, exist_ok=True)
        return _try_and_try_again(job)
    except DownloadError as error:
        what = str(error)
        raise DownloadError(
            f"{url} was not downloaded: {what}. Run it again (it goes on where it stopped), or put "
            f"the file at {target} yourself. {OFFLINE}=1 keeps it from being tried."
        ) from error
    except OSError as error:
        raise DownloadError(
            f"{url} was not downloaded: {target.parent} cannot be used: {error.strerror or error}. "
            "Make room, or give another folder (FASTFCN_CACHE)."
        ) from error


def _present(job: _Job) -> FileFacts | None:
    if not job.target.is_file():
        return None
    facts = hash_file(job.target)
    expected = job.sha256
    with contextlib.suppress(OSError, record.RecordError):  # no record: the name alone vouches
        expected = expected or record.from_json(Record, _beside(job.target).read_bytes()).sha256
    fits = job.size in (None, facts.size) and expected in (None, facts.sha256)
    return facts if fits else None


def _beside(target: Path) -> Path:
    return target.with_name(target.name + ".json")


def _try_and_try_again(job: _Job) -> FileFacts:
    reason = ""
    for attempt in range(_ATTEMPTS):
        time.sleep(_PAUSE * attempt)
        part = partial_file.claim(job.target)
        try:
            return _attempt(job, part)
        except web.Interrupted as error:
            reason = str(error)
        finally:
            if part:
                part.close()
    raise DownloadError(reason)


def _attempt(job: _Job, found: PartialFile | None) -> FileFacts:
    # One byte is asked for again, so that even a complete part has something left to ask for.
    asked = max(found.size - 1, 0) if found else 0
    try:
        with web.ask(job.url, asked, job.timeout) as response:
            start, total = _promise(job, response, asked)
            part = _part(job, found, _key(job, response.headers), start)
            with contextlib.closing(part):
                _receive(job, response, part, start, total)
                return _finish(job, part, start)
    except web.RangeRefused:
        if found:
            found.discard()
        raise


def _part(job: _Job, part: PartialFile | None, key: str, start: int) -> PartialFile:
    """Take the part that is continued, or a new one where the server sends everything."""
    if part and start and part.key == key:
        part.cut(start)
        return part
    if part:
        part.discard()
    if start:
        raise web.Interrupted("the file on the server has changed meanwhile")
    return partial_file.create(job.target, key)


def _promise(job: _Job, response: http.client.HTTPResponse, asked: int) -> tuple[int, int | None]:
    """Read where the body starts and how long the whole file is; None where nobody says."""
    if response.headers.get_content_type() == "text/html":
        raise DownloadError(
            "a web page came in its place; open the address in a browser to see why"
        )
    start = 0
    total: int | None = None
    if response.status == 206:
        answer = response.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.strip())
        if not match or int(match[1]) != asked or int(match[2]) != int(match[3]) - 1:
            raise web.RangeRefused(f"bytes from {asked} on were asked for, {answer!r} came")
        start, total = asked, int(match[3])
    elif (length := response.headers.get("Content-Length", "")).isdecimal():
        total = int(length)
    if None not in (total, job.size) and total != job.size:
        raise DownloadError(f"the server has {total} bytes, {job.size} were expected")
    total = job.size if total is None else total
    chunked = response.headers.get("Transfer-Encoding", "").lower() == "chunked"
    if total is None and not chunked and job.sha256 is None:
        raise DownloadError("the server does not say how long it is, so a cut would go unnoticed")
    return start, total


def _key(job: _Job, headers: Message) -> str:
    """Name a version of the remote file; parts of different versions must never be joined."""
    tag = headers.get("ETag") or ""
    if not tag or tag.startswith("W/"):  # weak: the same to a reader, not to the byte
        tag = headers.get("Last-Modified") or ""
    if not tag:
        # Nothing tells the versions apart but the hash of the whole.
        tag = job.sha256 or os.urandom(16).hex()
    return hashlib.sha256(f"{job.url}\n{tag}".encode()).hexdigest()[:16]


def _receive(
    job: _Job,
    response: http.client.HTTPResponse,
    part: PartialFile,
    start: int,
    total: int | None,
) -> None:
    needed, free = (total or 0) - start, shutil.disk_usage(job.target.parent).free
    if needed + _SPARE > free:
        raise DownloadError(f"it needs {needed} bytes and the disk has {free} left")
    done = start
    with Progress(job.target.name, total=total, unit="B", done=start, visible=job.progress) as bar:
        for piece in web.pieces(response, job.timeout):
            if done == 0 and piece.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
                part.discard()
                raise DownloadError("a web page came in its place")
            part.write(piece)
            bar.advance(len(piece))
            done += len(piece)
    if total is not None and done < total:
        raise web.Interrupted(f"the connection ended after {done} of {total} bytes")


def _finish(job: _Job, part: PartialFile, start: int) -> FileFacts:
    facts = hash_file(part.path)
    if job.size not in (None, facts.size):
        what = f"{facts.size} bytes came, {job.size} were expected"
    elif job.sha256 and facts.sha256 != job.sha256:
        what = f"the SHA-256 of what came is {facts.sha256}, {job.sha256} was expected"
    else:
        text = record.to_json(Record(job.url, facts.size, facts.sha256)) + "\n"
        part.publish(job.target)
        atomic.write_file(_beside(job.target), text.encode())
        partial_file.clear(job.target)
        return facts
    part.discard()  # or every later try would end in the same way
    if start:
        raise web.Interrupted(what)
    raise DownloadError(what)
