"""A record of what ``fastfcn predict`` has done: lines of JSON, so that a long job continues where it was."""

import errno
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from fastfcn_infer.cli import earlier_results
from fastfcn_infer.system.excerpt import excerpt, listing
from fastfcn_infer.system.warn import warn
from fastfcn_infer.system.writing import writing

if sys.platform != "win32":
    import fcntl

Report = dict[str, Any]

_FORMAT = "fastfcn predict 1"
_LONGEST = 1 << 30  # bytes
_FINISHED = ("done", "exists")
_UNSAID = {"every": "1", "smooth": "0.0"}  # in the first records
_DAMAGED = (
    ValueError,
    KeyError,
    TypeError,
    RecursionError,
)  # where a line is not what was written


class JobRecord:
    """The reports of pictures that are done, in a file that a killed job leaves readable.

    The first line says what makes the results; each other line is the report of a picture, written when
    all of its results are. A line that was cut off or is damaged does not count, and its picture is looked
    at again. The file is locked, so that two runs do not do the same pictures.
    """

    def __init__(
        self,
        path: Path,
        made_by: Mapping[str, str],
        kinds: Sequence[str],
        folder: Path = Path(),
    ) -> None:
        """Open a record, or begin one.

        Args:
            path: of the file.
            made_by: model, procedure and options, as `Segmenter.made_by` says them.
            kinds: of results.
            folder: of the results.

        Raises:
            ValueError: the file is no record, or that of a job with another model or other options.
            WriteError: it cannot be written, or another run uses it.
        """
        self._done: dict[str, tuple[int, int]] = {}  # source -> its stamp
        header = {
            "format": _FORMAT,
            "made_by": dict(made_by),
            "kinds": sorted(kinds),
            "folder": os.path.abspath(folder),  # noqa: PTH100 - keeps links
        }
        with writing(path):
            self._file = path.open("a+b")
        try:
            with writing(path):
                _lock(self._file)
            whole = self._read(path, header)
        except BaseException:
            self._file.close()
            raise
        with writing(path):
            self._file.truncate(whole)
        if not whole:
            self._write(header)

    def has(self, source: Path) -> bool:
        """Tell whether a picture is done, and is the same file as it was then."""
        return self._done.get(str(source)) == _stamp(source)

    def is_changed(self, source: Path) -> bool:
        """Tell whether a picture is done, but was another file then."""
        return str(source) in self._done and not self.has(source)

    def add(self, source: Path, report: Report) -> None:
        """Record a picture, unless it failed: a failed one is tried again.

        Raises:
            WriteError: the file cannot be written.
        """
        if report["status"] in _FINISHED and not self.has(source):
            stamp = _stamp(source)
            self._write({**report, "file": str(source), "stamp": stamp})
            self._done[str(source)] = stamp

    def __enter__(self) -> "JobRecord":
        """Use the record in a ``with``."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        with writing(Path(self._file.name)):  # what could not be written is tried again
            self._file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        with writing(Path(self._file.name)):
            self._file.write(json.dumps(line, ensure_ascii=True).encode() + b"\n")
            self._file.flush()

    def _read(self, path: Path, header: Mapping[str, Any]) -> int:
        """Read the lines that are whole; return how many bytes they are."""
        if path.stat().st_size > _LONGEST:
            raise ValueError(f"{path} is larger than a record of {_LONGEST >> 20} MiB may be")
        self._file.seek(0)
        data = self._file.read()
        if not data:
            return 0
        whole = data.rfind(b"\n") + 1
        first, *lines = data[:whole].split(b"\n")[:-1] or [b"{}"]
        try:
            found = json.loads(first)
            if found.get("format") != _FORMAT:
                raise ValueError("its first line does not say so")
            then, now = ({**_UNSAID, **one["made_by"]} for one in (found, header))
            other = earlier_results.compare(then, now)
            other += [
                f"{what} {excerpt(found[key])}, now {excerpt(header[key])}"
                for key, what in (("kinds", "results"), ("folder", "folder of the results"))
                if found.get(key, header[key]) != header[key]
            ]
        except (*_DAMAGED, AttributeError) as error:
            raise ValueError(
                f"{path} is not a record of fastfcn predict ({excerpt(str(error))}); give another name to "
                "--resume"
            ) from error
        if other:
            raise ValueError(
                f"{path} is the record of another job: {'; '.join(other)}. Give the same options, or another "
                "name to --resume"
            )
        self._take(path, lines)
        return whole

    def _take(self, path: Path, lines: Sequence[bytes]) -> None:
        damaged = []
        for number, line in enumerate(lines, 2):
            try:
                found = json.loads(line)
                size, changed = found["stamp"]
                self._done[found["file"]] = size, changed
            except _DAMAGED:
                damaged.append(str(number))
        if damaged:
            warn(
                f"{path} has damaged lines, {listing(damaged, most=8)}; their pictures are looked at again"
            )


def _lock(file: BinaryIO) -> None:
    """Refuse a file that another process has locked; the lock ends with this process, however it ends."""
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OSError(errno.EBUSY, "another run of fastfcn predict uses it") from error
    except OSError:  # no locks here
        return


def _stamp(path: Path) -> tuple[int, int]:
    """Identify a version of a file: bytes, and time of the last change."""
    try:
        found = os.stat(path)  # noqa: PTH116 - one call
    except OSError:
        return (-1, -1)
    return found.st_size, found.st_mtime_ns
