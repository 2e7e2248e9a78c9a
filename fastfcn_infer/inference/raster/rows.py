"""A raster as the pipeline sees it: a picture whose rows are read when a window needs them.

Of a raster that is labelled strip by strip, only the columns that the strip's windows see are read.

Windows are cut from top to bottom, so each row is read once and forgotten when all later windows
lie below it.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.inference.views import Size


class Source(Protocol):
    """What a raster is read from."""

    @property
    def size(self) -> Size:
        """Height and width, pixels."""

    @property
    def step(self) -> int:
        """Rows that are best read at a time; reading begins at multiples of it."""

    @property
    def masked(self) -> bool:
        """Tell whether some pixels may hold no data."""

    @property
    def channels(self) -> int:
        """How many the model takes."""

    @property
    def dtype(self) -> Any:
        """Of what is read: uint8, or float32 on the scale 0..255."""

    def read(self, rows: slice, columns: slice) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Read a part: (rows, columns, channels), three being RGB, and (rows, columns) where there is data.

        The latter is None if there is data everywhere.

        Raises:
            ImageError: they cannot be read.
        """


class Rows:
    """The rows that windows need: an `inference.preprocess.Picture`."""

    def __init__(self, source: Source, columns: slice | None = None) -> None:
        self._source = source
        self._columns = slice(0, source.size[1]) if columns is None else columns
        self._pixels: dict[int, NDArray[Any]] = {}  # first row -> rows
        self._valid: dict[int, NDArray[np.bool_]] = {}
        self._next: int | None = None  # the row to read next

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width, channels."""
        return (*self._source.size, self._source.channels)

    def __getitem__(self, part: tuple[slice, slice], /) -> NDArray[Any]:
        """Return a window; no window that is asked for later may begin above it."""
        (rows, columns), (height, width) = part, self._source.size
        top, bottom = rows.start, min(rows.stop, height)
        _forget(self._pixels, top)
        if self._next is None:
            self._next = top // self._source.step * self._source.step
        while self._next < bottom:
            self._read(min(self._next + self._source.step, height))
        shape = (bottom - top, min(columns.stop, width) - columns.start, self._source.channels)
        window = np.empty(shape, self._source.dtype)
        _copy(self._pixels, window, top, self._mine(columns))
        return window

    def _mine(self, columns: slice) -> slice:
        """Return columns of the raster as counted from the first that is read."""
        first = self._columns.start
        return slice(columns.start - first, min(columns.stop, self._columns.stop) - first)

    def valid(self, rows: slice, columns: slice) -> NDArray[np.bool_] | None:
        """Return where a part that was read holds data, and forget the rows above its end."""
        if not self._source.masked:
            return None
        found = np.empty((rows.stop - rows.start, columns.stop - columns.start), np.bool_)
        _copy(self._valid, found, rows.start, self._mine(columns))
        _forget(self._valid, rows.stop)
        return found

    def _read(self, stop: int) -> None:
        if self._next is None:
            raise ValueError("nothing is to be read")
        pixels, valid = self._source.read(slice(self._next, stop), self._columns)
        self._pixels[self._next] = pixels
        if valid is not None:
            self._valid[self._next] = valid
        self._next = stop


def _forget(held: dict[int, NDArray[Any]] | dict[int, NDArray[np.bool_]], top: int) -> None:
    """Release what lies above a row."""
    for first in [first for first, rows in held.items() if first + len(rows) <= top]:
        del held[first]


def _copy(
    held: dict[int, NDArray[Any]] | dict[int, NDArray[np.bool_]],
    target: NDArray[Any],
    top: int,
    columns: slice,
) -> None:
    """Copy the rows from `top` on.

    Raises:
        ValueError: some of them are not held.
    """
    copied = 0
    for first, rows in held.items():
        start, stop = max(first, top), min(first + len(rows), top + len(target))
        if start < stop:
            target[start - top : stop - top] = rows[start - first : stop - first, columns]
            copied += stop - start
    if copied != len(target):
        raise ValueError(f"{copied} of {len(target)} rows from {top} on are held")
