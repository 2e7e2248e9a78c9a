"""A record of what ``fastfcn predict`` has done: lines of JSON, so that a long job continues where it was."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastfcn_infer.cli import earlier_results
from fastfcn_infer.system.excerpt import excerpt
from fastfcn_infer.system.writing import writing

Report = dict[str, Any]

_FORMAT = "fastfcn predict 1"
_LONGEST = 1 << 30  # bytes
_FINISHED = ("done", "exists")


class JobRecord:
    """The reports of pictures that are done, in a file that a killed job leaves readable.

    The first line says what makes the results; each other line is the report of a picture, written when
    all of its results are. A line that was cut off is dropped, and its picture looked at again.
    """

    def __init__(self, path: Path, made_by: Mapping[str, str], kinds: Sequence[str]) -> None:
        """Open a record, or begin one.

        Args:
            path: of the file.
            made_by: model, procedure and options, as `Segmenter.made_by` says them.
            kinds: of results.

        Raises:
            ValueError: the file is no record, or that of a job with another model or other options.
            WriteError: it cannot be written.
        """
        self._done: dict[str, tuple[int, int]] = {}  # source -> its stamp
        header = {"format": _FORMAT, "made_by": dict(made_by), "kinds": sorted(kinds)}
        whole = 0
        if path.exists() and path.stat().st_size:
            whole = self._read(path, header)
        with writing(path):
            self._file = path.open("r+b" if path.exists() else "xb")
            self._file.truncate(whole)
            self._file.seek(whole)
        if not whole:
            self._write(header)

    def has(self, source: Path) -> bool:
        """Tell whether a picture is done, and is the same file as it was then."""
        return self._done.get(str(source)) == _stamp(source)

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
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        try:
            first, *lines = [json.loads(line) for line in data[:whole].splitlines()] or [{}]
            if first.get("format") != _FORMAT:
                raise ValueError("its first line does not say so")
            self._done = {line["file"]: (line["stamp"][0], line["stamp"][1]) for line in lines}
            other = earlier_results.compare(first["made_by"], header["made_by"])
            kinds = first["kinds"]
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            IndexError,
            RecursionError,
        ) as error:
            raise ValueError(
                f"{path} is not a record of fastfcn predict ({excerpt(str(error))}); give another name to "
                "--resume"
            ) from error
        if kinds != header["kinds"]:
            other.append(f"results {excerpt(kinds)}, now {header['kinds']}")
        if other:
            raise ValueError(
                f"{path} is the record of another job: {'; '.join(other)}. Give the same options, or another "
                "name to --resume"
            )
        return whole


def _stamp(path: Path) -> tuple[int, int]:
    """Identify a version of a file: bytes, and time of the last change."""
    try:
        found = os.stat(path)  # noqa: PTH116 - one call
    except OSError:
        return (-1, -1)
    return found.st_size, found.st_mtime_ns
