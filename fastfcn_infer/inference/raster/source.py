"""Open a raster: a TIFF is read in bands of rows, any other picture is decoded once."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.limits import LONGEST_SIDE
from fastfcn_infer.artifact.manifest import RGB, Input
from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.multiband import bands_of, read_pixels
from fastfcn_infer.inference.raster import geo
from fastfcn_infer.inference.raster.geo import Place
from fastfcn_infer.inference.raster.rows import Source
from fastfcn_infer.inference.views import Size
from fastfcn_infer.picture.depth import warn_of_few_bits
from fastfcn_infer.picture.formats import DamagedError
from fastfcn_infer.picture.header import read_header, recognise
from fastfcn_infer.picture.tiff import Survey, survey

_LONG_BLOCK = 1024  # rows; of blocks higher than that, parts are read and GDAL keeps the block
_PART = 256  # rows of such a part, or of a raster whose blocks are lower
_CACHE = 16 << 20  # bytes; more only where a block is larger
_GREY, _RGB, _PALETTE, _YCBCR = 1, 2, 3, 6  # colour spaces of TIFF that are read in bands
_READ = ("uint8", "uint16", "float32", "float64")


@dataclass(frozen=True)
class Opened:
    """A raster that is open for reading.

    Args:
        source: its rows.
        place: where it lies.
        memory: bytes that reading it takes, when windows of some height are cut from it.
    """

    source: Source
    place: Place
    whole: int  # bytes that are held all the time
    row: int  # bytes of a row that is held
    cache: int  # bytes that GDAL may hold

    def memory(self, crop: int, columns: int) -> int:
        """Return the bytes that it takes to cut windows of `crop` rows from so many columns."""
        # The rows of a window, those read with its last row, and the same before they are RGB.
        row = -(-self.row * columns // self.source.size[1])
        held = row * (min(crop, self.source.size[0]) + 3 * self.source.step)
        return self.whole + self.cache + held


class FileBytes:
    """The bytes of a file, read where they are asked for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._size = file, os.fstat(file.fileno()).st_size

    def __len__(self) -> int:
        """Return the size of the file."""
        return self._size

    def __getitem__(self, part: slice, /) -> bytes:
        """Read some bytes."""
        start, stop, _ = part.indices(self._size)
        self._file.seek(start)
        return self._file.read(stop - start)


def survey_tiff(path: Path) -> Survey | None:
    """Read what a TIFF says about itself, without decoding it; None for any other file.

    Raises:
        ImageError: it cannot be opened, is no picture, or is cut off.
    """
    try:
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "not a regular file"
            raise ImageError(f"{path} is {kind}; the path of a picture was expected.")
        with path.open("rb") as file:
            kind, _ = recognise(file.read(4096), str(path))
            return survey(FileBytes(file)) if kind == "TIFF" else None
    except (DamagedError, struct.error) as error:
        raise ImageError(f"{path} is a TIFF file that cannot be used: {error}.") from error
    except (OSError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{path} cannot be opened: {error}.") from error


@contextmanager
def open_raster(
    path: Path, given: Input, max_pixels: int, max_memory: int, depth: int | None = None
) -> Iterator[Opened]:
    """Open a raster for reading.

    Args:
        path: of a TIFF or of any other picture.
        given: the input of the model.
        max_pixels: the largest picture to decode at once.
        max_memory: bytes; a picture that takes more when it is decoded is refused.
        depth: bits that a picture of 16 bits uses; None: all, with a warning where no value of the
            whole raster needs as many.

    Raises:
        ImageError: it cannot be read, is damaged, or is too large.
        BackendMissing: it is a TIFF, and rasterio is not installed.
    """
    found = survey_tiff(path)
    if found is None:
        yield _decoded(path, given, Place(), max_pixels, max_memory, depth)
        return
    _check(found, path)
    package = geo.rasterio(f"The raster {path}")
    with geo.bounded(package, _CACHE):
        try:
            dataset = geo.open_tiff(package, path)
        except package.errors.RasterioError as error:
            raise ImageError(
                f"{path} is a TIFF file that GDAL cannot read: {geo.reason(error)}."
            ) from error
        with dataset:
            place = geo.place(dataset)
            if (dataset.height, dataset.width) != (found.height, found.width):
                raise ImageError(f"{path} contradicts itself: two sizes were read from it.")
            bands: tuple[int, ...] | None = None
            if given.channels != RGB and found.orientation == 1:
                bands = bands_of(dataset, found.photometric, given, str(path))
            elif given.channels == RGB and not _is_unusual(found, dataset):
                bands = _rgb_bands(dataset, path)
            if bands is not None:
                source = _Bands(package, dataset, bands, given, found, path, depth)
                with geo.bounded(package, source.cache):
                    yield Opened(source, place, 0, source.row, source.cache)
                if depth is given.white is None and dataset.dtypes[0] == "uint16":
                    warn_of_few_bits(source.highest)
                return
        yield _decoded(path, given, place, max_pixels, max_memory, depth)


def _check(found: Survey, path: Path) -> None:
    if not 1 <= min(found.width, found.height) <= max(found.width, found.height) <= LONGEST_SIDE:
        raise ImageError(
            f"{path} has {found.width} x {found.height} pixels; 1 to {LONGEST_SIDE} a side were "
            "expected."
        )


def _is_unusual(found: Survey, dataset: Any) -> bool:
    """Tell whether GDAL's pixels may differ from what `picture.read` makes of such a file."""
    bits = dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS")
    palette = found.photometric == _PALETTE
    return (
        found.photometric not in (_GREY, _RGB, _PALETTE, _YCBCR)
        or found.orientation != 1
        or bits not in (None, str(8 * np.dtype(dataset.dtypes[0]).itemsize))
        or len(set(dataset.dtypes)) != 1
        or dataset.dtypes[0] not in _READ
        or (palette and (dataset.count != 1 or dataset.dtypes[0] != "uint8"))
    )


def _rgb_bands(dataset: Any, path: Path) -> tuple[int, ...]:
    """Choose the bands that are red, green and blue, or the one that is grey or a palette's."""
    names = [kind.name for kind in dataset.colorinterp]
    if {"red", "green", "blue"} <= set(names):
        return tuple(names.index(name) + 1 for name in ("red", "green", "blue"))
    colours = [index + 1 for index, name in enumerate(names) if name != "alpha"]
    if len(colours) == 1:
        return (colours[0],)
    if len(names) in (3, 4):
        return (1, 2, 3)
    raise ImageError(
        f"{path} has {len(names)} bands, and does not say which are red, green and blue. Choose "
        "them: gdal_translate -b 3 -b 2 -b 1 IN.tif OUT.tif"
    )


def _decoded(
    path: Path, given: Input, place: Place, max_pixels: int, max_memory: int, depth: int | None
) -> Opened:
    """Decode a picture at once."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be opened: {error}.") from error
    is_rgb = given.channels == RGB
    header = read_header(data, str(path), any_tiff=not is_rgb)
    area = header.width * header.height
    # The decoder's own copy, and one with the channels in order or turned upright.
    needed = 2 * (RGB if is_rgb else 4 * given.channels) * area + 2 * len(data)
    if area <= max_pixels and needed > max_memory:
        raise ImageError(
            f"{path} has {header.width} x {header.height} pixels and is decoded at once, which takes "
            f"{needed / (1 << 30):.2f} GiB; {max_memory / (1 << 30):.2f} GiB are allowed. Allow more "
            "(max_memory, --max-memory), or write it as an uncompressed or tiled TIFF, which is read "
            "in parts."
        )
    del data, header
    pixels = read_pixels(path, given, depth=depth, max_pixels=max_pixels)
    return Opened(_Whole(pixels), place, needed, pixels[:1].nbytes, 0)


@dataclass(frozen=True, eq=False)
class _Whole:
    """A picture that was decoded at once."""

    pixels: NDArray[Any]
    step: int = _PART
    masked: bool = False

    @property
    def size(self) -> Size:
        """Height and width, pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def channels(self) -> int:
        """How many the model takes."""
        return int(self.pixels.shape[2])

    @property
    def dtype(self) -> Any:
        """Of what is read."""
        return self.pixels.dtype

    def read(self, rows: slice, columns: slice) -> tuple[NDArray[Any], None]:
        """Return a part."""
        return self.pixels[rows, columns], None


@dataclass(eq=False)
class _Bands:
    """A TIFF that GDAL reads."""

    package: Any
    dataset: Any
    bands: tuple[int, ...]
    given: Input
    found: Survey
    path: Path
    depth: int | None
    highest: int = field(init=False, default=0)  # value of all rows that were read
    size: Size = field(init=False)
    step: int = field(init=False)
    cache: int = field(init=False)
    row: int = field(init=False)
    channels: int = field(init=False)
    dtype: Any = field(init=False)
    masked: bool = field(init=False)

    def __post_init__(self) -> None:
        """Look at the layout."""
        dataset = self.dataset
        self.size = (dataset.height, dataset.width)
        high, wide = dataset.block_shapes[0]
        itemsize = np.dtype(dataset.dtypes[0]).itemsize
        self.step = high if _PART <= high <= _LONG_BLOCK else _PART // high * high or _PART
        block = high * wide * itemsize * dataset.count
        across = -(-dataset.width // wide) if self.step % high else 1
        self.cache = max(_CACHE, 2 * block * across)
        self.channels = self.given.channels
        kept = self.channels == RGB or (
            dataset.dtypes[0] == "uint8" and self.given.white in (None, 255)
        )
        self.dtype = np.dtype(np.uint8 if kept else np.float32)
        # As they are stored, and as the model's pixels.
        self.row = dataset.width * max(
            self.channels * self.dtype.itemsize, len(self.bands) * itemsize
        )
        flags = {flag.name for flag in dataset.mask_flag_enums[self.bands[0] - 1]}
        self._nodata = dataset.nodata if "nodata" in flags else None
        # Alpha is dropped, as of any picture, unless the raster has a place on the ground, where it
        # marks what was not photographed.
        self._mask = "per_dataset" in flags and ("alpha" not in flags or self.found.georeferenced)
        self.masked = self._mask or self._nodata is not None
        self._palette: NDArray[np.uint8] | None = None
        if self.channels == RGB and self.found.photometric == _PALETTE:
            self._palette = _palette(dataset.colormap(self.bands[0]))

    def read(self, rows: slice, columns: slice) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Read a part."""
        height, width = rows.stop - rows.start, columns.stop - columns.start
        window = self.package.windows.Window(columns.start, rows.start, width, height)
        try:
            stored = self.dataset.read(self.bands, window=window)
            mask = self.dataset.read_masks(self.bands[0], window=window) if self._mask else None
        except self.package.errors.RasterioError as error:
            raise ImageError(
                f"{self.path} cannot be read in the rows {rows.start} to {rows.stop}: "
                f"{geo.reason(error)}. It is damaged; copy it again."
            ) from error
        valid: NDArray[np.bool_] | None = None if mask is None else mask > 0
        if self._nodata is not None:
            valid = np.any(stored != self._nodata, axis=0)
            if np.isnan(self._nodata):
                valid = ~np.all(np.isnan(stored), axis=0)
        if valid is not None and stored.dtype.kind == "f":
            stored[:, ~valid] = 0
        if self._palette is not None and self.depth is None:
            return self._palette[stored[0]], valid
        depth = self.depth
        if stored.dtype == np.uint16 and depth is self.given.white is None:
            self.highest, depth = max(self.highest, int(stored.max())), 16
        pixels = np.moveaxis(stored, 0, -1)
        try:
            return read_pixels(pixels, self.given, "rgb", depth, pixels.size), valid
        except ImageError as error:
            raise ImageError(
                f"{self.path} cannot be used in the rows {rows.start} to {rows.stop}: {error}"
            ) from error


def _palette(colours: dict[int, tuple[int, ...]]) -> NDArray[np.uint8]:
    table = np.zeros((256, 3), np.uint8)
    for index, colour in colours.items():
        if index < len(table):
            table[index] = colour[:3]
    return table
