"""What `fastfcn tune` measured of a model on this machine, and the file in the cache that keeps it.

A profile only ever chooses among what is installed and what the model holds; the files of models are checked
as always. One that is damaged, of another user, model or machine, or of other versions is not used.
"""

import hashlib
import os
import platform
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.errors import DownloadError
from fastfcn_infer.system import atomic, record
from fastfcn_infer.system.cache import cache_folder
from fastfcn_infer.system.machine import (
    MOST_THREADS,
    RUNTIMES,
    cpu_budget,
    cpu_features,
    cpu_model,
    versions,
)
from fastfcn_infer.system.version import __version__
from fastfcn_infer.system.writing import make_folder, writing

FOLDER = "tuned"  # in the cache
MOST_BATCH = 64

_MOST_BYTES = 256 << 10
_DIGITS = 32  # of a hash in a file's name


@dataclass(frozen=True)
class Choice:
    """What was the fastest in a precision.

    Args:
        backend: one of `backend_names`.
        threads: to compute with.
        batch: views in one call that gave the most views a second.
        seconds: of a single view.
    """

    backend: str
    threads: int
    batch: int
    seconds: float

    def __post_init__(self) -> None:
        """Refuse numbers that are none of a measurement."""
        if not (
            1 <= self.threads <= MOST_THREADS
            and 1 <= self.batch <= MOST_BATCH
            and self.seconds > 0
        ):
            raise ValueError("threads, batch or seconds are out of range")


@dataclass(frozen=True)
class Measured:
    """One thing that was tried.

    Args:
        backend: what ran.
        precision: of the arithmetic.
        threads: to compute with.
        batch: views in a call.
        seconds: of a view, the median; None: it could not be measured.
        agreement: share of the photograph's labels that are those of the model's own precision.
        note: why it could not be measured.
    """

    backend: str
    precision: str
    threads: int
    batch: int
    seconds: float | None
    agreement: float | None = field(default=None, metadata=record.OMITTED)
    note: str = field(default="", metadata=record.OMITTED)


@dataclass(frozen=True)
class TunedProfile:
    """What to choose for a model on a machine.

    Args:
        format_version: of the file.
        model: its name, for people.
        fingerprint: of its files, see `Artifact.fingerprint`.
        machine: processor, instructions, and how many threads a process may start.
        versions: package -> version of what was measured.
        date: UTC, ISO 8601.
        size: height and width of the view that was computed.
        allowed: precisions that the user allowed, the model's own among them.
        precision: the fastest of these.
        choices: precision -> what is the fastest in it.
        measured: all that was tried.
        others_took: share of the processors' time that other processes used meanwhile; None: unknown.
    """

    format_version: Literal[1]
    model: str
    fingerprint: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    date: str
    size: tuple[int, int]
    allowed: tuple[str, ...]
    precision: str
    choices: Mapping[str, Choice]
    measured: tuple[Measured, ...]
    others_took: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no measurement can have chosen."""
        if self.precision not in self.choices or not set(self.choices) <= set(self.allowed):
            raise ValueError("it chooses a precision that was not allowed, or not measured")

    @property
    def choice(self) -> Choice:
        """What is the fastest of all that was allowed."""
        return self.choices[self.precision]

    @property
    def summary(self) -> str:
        """Say what `auto` chooses."""
        found = self.choice
        return (
            f"auto uses {found.backend} in {self.precision}, {found.threads} "
            f"{'thread' if found.threads == 1 else 'threads'}, batches of {found.batch}, measured on {self.day}"
        )

    @property
    def day(self) -> str:
        """The date without the time."""
        return self.date.partition("T")[0]


class UnusableProfileError(ValueError):
    """A profile that cannot be used; says why."""


def this_machine() -> dict[str, str]:
    """Describe what decides how fast runtimes are."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_model(),
        "features": " ".join(cpu_features() or ()),
        "threads": str(cpu_budget().threads),
    }


def installed_versions() -> dict[str, str]:
    """List what is installed of all that decides which runtime is the fastest."""
    return {"fastfcn-infer": __version__, **versions((*RUNTIMES, "numpy"))}


def profile_path(cache: Path, fingerprint: str) -> Path:
    """Return where the profile of a model is kept; machines that share a cache have one each."""
    machine = hashlib.sha256(repr(sorted(this_machine().items())).encode()).hexdigest()
    return cache / FOLDER / fingerprint[:_DIGITS] / f"{machine[:_DIGITS]}.json"


def read_profile(cache: Path, fingerprint: str) -> TunedProfile | None:
    """Read the profile of a model on this machine; None if it was not tuned.

    Raises:
        UnusableProfileError: it is damaged, another user's, or of other things than those that are here.
    """
    if not (cache / FOLDER / fingerprint[:_DIGITS]).is_dir():  # most models are never tuned
        return None
    path = profile_path(cache, fingerprint)
    try:
        text = _read(path)
        if text is None:
            return None
        found = record.from_json(TunedProfile, text)
    except (OSError, ValueError) as error:
        raise UnusableProfileError(f"{path} cannot be read: {error}") from error
    if (found.fingerprint, found.machine) != (fingerprint, this_machine()):
        raise UnusableProfileError(f"{path} is of another model or machine")
    now = installed_versions()
    if found.versions != now:
        changed = sorted(
            name for name in {*found.versions, *now} if found.versions.get(name) != now.get(name)
        )
        raise UnusableProfileError(f"{path} is of other versions of {', '.join(changed)}")
    return found


def tuned_here(cache: Path) -> tuple[str, ...]:
    """Say of every model that was tuned on this machine what `auto` chooses, or why the profile is not used."""
    found = []
    name = profile_path(cache, "").name
    for path in sorted((cache / FOLDER).glob(f"*/{name}")):
        try:
            text = _read(path)
            profile = record.from_json(TunedProfile, text or b"")
            usable = read_profile(cache, profile.fingerprint)
        except (OSError, ValueError) as error:
            found.append(f"not used: {error}")
        else:
            found += [] if usable is None else [f"{usable.model}: {usable.summary}"]
    return tuple(found)


def write_profile(cache: Path, profile: TunedProfile) -> Path:
    """Keep a profile, in one step; returns where.

    Raises:
        WriteError: it could not be written; an earlier one is what it was.
    """
    path = profile_path(cache, profile.fingerprint)
    make_folder(path.parent)
    atomic.write_file(path, (record.to_json(profile) + "\n").encode())
    return path


def forget_profile(cache: Path, fingerprint: str) -> bool:
    """Remove the profile of a model on this machine, usable or not; tells whether there was one.

    Raises:
        WriteError: it cannot be removed.
    """
    path = profile_path(cache, fingerprint)
    if not os.path.lexists(path):
        return False
    with writing(path):
        path.unlink()
    return True


def _read(path: Path) -> bytes | None:
    """Read a file of this user's; None if there is none.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no file of this user's, or too large.
    """
    try:
        # Not through a link; and a pipe would wait for a writer.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a regular file")
        if os.name != "nt" and status.st_uid != os.geteuid():
            raise ValueError("it is another user's")
        text = file.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        raise ValueError(f"it is larger than {_MOST_BYTES >> 10} KiB")
    return text


def summary_of_profile(artifact: Artifact, cache: Path | None) -> str | None:
    """Say for people what a profile lets `auto` choose, or why it is not used; None if there is none."""
    try:
        found = find_profile(artifact, cache)
    except (UnusableProfileError, OSError) as error:
        return f"not used: {error}"
    return None if found is None else found.summary


def find_profile(artifact: Artifact, cache: Path | None) -> TunedProfile | None:
    """Read the profile of a model on this machine; see `read_profile`.

    Args:
        artifact: the model.
        cache: folder of profiles; None: the user's.
    """
    try:
        folder = cache_folder() if cache is None else cache
    except DownloadError:  # no home, so nothing was ever kept
        return None
    return read_profile(folder, artifact.fingerprint)
