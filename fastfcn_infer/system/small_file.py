"""Whole files that are never large: lists, tables, reports, label maps. What is larger is refused, not read."""

import os

MOST_BYTES = 64 << 20


class LargerFileError(ValueError):
    """A file is larger than any of its kind; says so."""


def read_small_file(path: str | os.PathLike[str], most: int = MOST_BYTES) -> bytes:
    """Read a file, but no more than a bound: devices have no end, and sparse files cost nothing to send.

    Args:
        path: of the file, a pipe or a device.
        most: bytes that it may have.

    Raises:
        OSError: it cannot be read.
        LargerFileError: it has more bytes.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - a path of any kind
        data = file.read(most + 1)
    if len(data) > most:
        raise LargerFileError(
            f"{os.fspath(path)} has more than {most >> 20} MiB, more than any file of its kind"
        )
    return data
